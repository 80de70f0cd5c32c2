"""Settings: every one has a default, an environment variable with the prefix `BATON_`, and a line in docs/settings.md.

That page is written by `render()`; a test fails when it is not current.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sandbox.blockers.policy import parse_policies
from sandbox.gate import WhileHeld
from sandbox.words import BadRequest
from streaming.rtc.settings import DatagramSettings, Places, TurnSettings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

type Urls = Annotated[tuple[str, ...], NoDecode]
"""NoDecode: the variable holds URLs separated by blanks, not JSON."""

type Names = Annotated[tuple[str, ...], NoDecode]
"""As `Urls`, for addresses."""


class Settings(BaseSettings):
    """What can be set from outside. Durations are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(env_prefix="BATON_", frozen=True, extra="ignore")

    state_dir: Path = Field(
        Path("var"), description="Where the database and the sandboxes' directories lie (mode 0700)."
    )
    host: str = Field(
        "127.0.0.1", description="The address to listen on. Anything but loopback is taken with a warning."
    )
    port: int = Field(8700, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    public_url: str | None = Field(
        None, description="The address people reach this server by, for links: `https://baton.example.com`."
    )
    tls_cert: Path | None = Field(
        None, description="Certificate chain (PEM) to serve HTTPS with; needs `BATON_TLS_KEY`."
    )
    tls_key: Path | None = Field(None, description="Private key (PEM) of that certificate.")

    max_sandboxes: int = Field(8, ge=1, description="How many sandboxes may be open at once.")
    width: int = Field(1280, ge=320, le=4096, description="A sandbox's width in pixels where the agent names none.")
    height: int = Field(720, ge=240, le=4096, description="A sandbox's height in pixels where the agent names none.")
    adoption_s: float = Field(
        60, gt=0, description="How long a keeper waits for the next server before it ends itself."
    )
    idle_sandbox_s: float = Field(
        3600, ge=0,
        description="A sandbox that no agent is connected to, nobody looks at and no human holds or is awaited in "
        "is closed after this time; 0 means never.",
    )  # fmt: skip
    launch_s: float = Field(60, gt=0, description="How long a sandbox may take to start.")

    blockers: str = Field(
        "",
        description="What to do about blockers by kind, `captcha=ask,consent=ignore`: `ask` stops the agent and asks a "
        "human at once, `offer` (what is not named) tells the agent, `ignore` does nothing. A sandbox may say "
        "otherwise; an agent cannot take an `ask` away.",
    )
    while_held: WhileHeld = Field(
        WhileHeld.REFUSE,
        description="What becomes of an agent's commands while it does not hold control: `refuse` or `wait`. "
        "A sandbox, and a connection (`?while_held=`), may say otherwise.",
    )
    lease_s: float = Field(20, gt=0, description="How long an operator's lease lasts without a heartbeat.")
    heartbeat_s: float = Field(5, gt=0, description="How often the console renews the lease.")
    grace_s: float = Field(
        20, gt=0, description="How long a handoff is kept for the operator whose heartbeat was lost."
    )
    idle_s: float = Field(600, gt=0, description="How long an operator may hold control without any input.")
    idle_warning_s: float = Field(
        30, ge=0, description="How long before a lease ends the console begins to count down."
    )
    ceiling_s: float = Field(3600, gt=0, description="How long one lease may last in all.")
    extension_s: float = Field(
        1800, gt=0, description="By how much an operator may lengthen that, once in a handoff, with a reason."
    )
    drain_s: float = Field(2, ge=0, description="How long commands in flight may finish when the gate closes.")
    deadline_s: float = Field(1800, gt=0, description="A handoff's deadline where the agent names no timeout.")
    max_deadline_s: float = Field(86400, gt=0, description="The longest timeout an agent may name.")
    approval_s: float = Field(
        600, gt=0, description="How long an approval waits, and is good for, where the agent names no timeout."
    )

    link_s: float = Field(3600, gt=0, description="How long a one-use link may be redeemed.")
    sign_in_s: float = Field(43200, gt=0, description="How long a sign-in lasts after its last use.")
    failures_per_minute: int = Field(10, ge=1, description="Wrong tokens or links one address may try in a minute.")
    max_body: int = Field(1_000_000, ge=1000, description="The largest request body the API reads.")
    max_instructions: int = Field(16384, ge=100, description="The longest instructions, in characters.")

    notify_urls: Urls = Field(
        (), repr=False, description="Apprise URLs that are told of waiting handoffs, separated by blanks."
    )
    notify_tries: int = Field(5, ge=1, description="How often one notification is tried before it is given up.")

    rtc: bool = Field(
        True, description="Whether a viewer far away may be sent datagrams (WebRTC over UDP) instead of its WebSocket."
    )
    rtc_port: int = Field(0, ge=0, le=65535, description="The one UDP port of all viewers; 0 takes a free one.")
    rtc_ports: str | None = Field(
        None, description="A range of UDP ports instead, `40000-40100`: each viewer takes one that is free."
    )
    rtc_host: Names = Field(
        (),
        description="The addresses browsers reach the UDP port by where the machine's own are not (NAT, a container), "
        "separated by blanks, each with its port where that differs: `203.0.113.7 [2001:db8::7]:40000`.",
    )
    rtc_turn_url: str | None = Field(
        None, description="A TURN server for viewers that UDP does not reach: `turn:turn.example.com:3478`."
    )
    rtc_turn_user: str = Field("", description="The user at that server.")
    rtc_turn_credential: str = Field("", repr=False, description="That user's password.")
    rtc_turn_secret: str = Field(
        "", repr=False, description="coturn's `static-auth-secret` instead: each viewer gets a password for a day."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Literal["console", "json"] = Field("console", description="Log lines for people or for machines.")

    @field_validator("notify_urls", "rtc_host", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("blockers")
    @classmethod
    def _policies(cls, value: str) -> str:
        try:
            parse_policies(value)
        except BadRequest as error:
            raise ValueError(error.message) from None
        return value

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ValueError("public_url must be scheme and host only, as in https://baton.example.com")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("rtc_host")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            split_address(each)
        return value

    @field_validator("rtc_ports")
    @classmethod
    def _ports(cls, value: str | None) -> str | None:
        if value is not None:
            split_ports(value)
        return value

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("BATON_TLS_CERT and BATON_TLS_KEY come together")
        return self

    def datagrams(self) -> DatagramSettings | None:
        """Where datagrams go in and out; None when they are turned off."""
        if not self.rtc:
            return None
        places = Places(
            port=self.rtc_port,
            ports=split_ports(self.rtc_ports) if self.rtc_ports else None,
            advertised=tuple(split_address(each) for each in self.rtc_host),
            # who is reached by this machine alone opens nothing to others
            loopback=self.loopback and self.public_url is None and not self.rtc_host,
        )
        if self.rtc_turn_url is None:
            return DatagramSettings(places)
        turn = TurnSettings(self.rtc_turn_url, self.rtc_turn_user, self.rtc_turn_credential, self.rtc_turn_secret)
        return DatagramSettings(places, turn)

    @property
    def tls(self) -> bool:
        """Whether this server speaks HTTPS itself."""
        return self.tls_cert is not None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK

    def base_url(self) -> str:
        """The address that links and `cdp_url` start with; never ends in a slash."""
        if self.public_url:
            return self.public_url
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - read, not bound
        return f"{'https' if self.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"


def split_address(text: str) -> tuple[str, int | None]:
    """Read `address`, `address:port` or `[address]:port`. Raises `ValueError`."""
    host, port = text, None
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = int(rest.removeprefix(":")) if rest else None
    elif text.count(":") == 1:
        host, _, rest = text.partition(":")
        port = int(rest)
    if port is not None and not 0 < port < 1 << 16:
        raise ValueError(f"{text}: a port is from 1 to 65535")
    return str(ip_address(host)), port


def split_ports(text: str) -> range:
    """Read `first-last`. Raises `ValueError`."""
    first, _, last = text.partition("-")
    ports = range(int(first), int(last or first) + 1)
    if not ports or not 0 < ports.start <= ports.stop <= 1 << 16:
        raise ValueError(f"{text}: a range of ports is first-last, from 1 to 65535")
    return ports


def render() -> str:
    """Return docs/settings.md, written from the class."""
    rows = [
        f"| `BATON_{name.upper()}` | {_shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "Each is an environment variable. Durations are seconds, sizes are bytes. This page is written from",
            "`web/settings.py` by `python -m web.settings`.",
            "",
            "| variable | default | what it sets |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _shown(value: object) -> str:
    return "" if value is None or value == () else f"`{value}`"


if __name__ == "__main__":
    Path("docs/settings.md").write_text(render())
