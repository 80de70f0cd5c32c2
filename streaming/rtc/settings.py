"""What is set about datagrams: where they go in and out, and what relays them where they do not get through."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any, Final

VALID_S: Final = 86400.0
"""How long a credential made from the secret opens the relay: a viewer stays no longer without a new one."""


@dataclass(frozen=True, slots=True)
class Places:
    """What is set: one shared port (0: any), or a range of which each connection takes one; and the outer addresses.

    `advertised` are the addresses that browsers reach this machine by when its own are not (NAT, a container), each
    with its port where that differs. `loopback` binds nothing but loopback.
    """

    port: int = 0
    ports: range | None = None
    advertised: tuple[tuple[str, int | None], ...] = ()
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class Relay:
    """A TURN server and what opens it: `url` as in RFC 7065 (turn: or turns:)."""

    url: str
    user: str
    credential: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """`secret` makes a credential of limited life for each viewer (coturn's use-auth-secret), else all share one."""

    url: str
    user: str = ""
    credential: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    def relay(self, now: float) -> Relay:
        """Return the relay as it may be used from `now` (seconds since 1970) on."""
        if not self.secret:
            return Relay(self.url, self.user, self.credential)
        user = f"{int(now + VALID_S)}:{self.user or 'baton'}"
        digest = hmac.new(self.secret.encode(), user.encode(), hashlib.sha1).digest()
        return Relay(self.url, user, base64.b64encode(digest).decode())


@dataclass(frozen=True, slots=True)
class DatagramSettings:
    """Everything that is set about datagrams."""

    places: Places = Places()
    turn: TurnSettings | None = None


def servers(relay: Relay | None) -> list[dict[str, Any]]:
    """Return the browser's `iceServers` (W3C WebRTC, 4.2.4)."""
    return [{"urls": relay.url, "username": relay.user, "credential": relay.credential}] if relay else []
