"""What the client does, without I/O: flows that yield calls and pauses and are sent replies.

The same flow is driven by blocking and by asyncio code (`clients`), so that both survive a lost server alike.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from agent_bridge.client.errors import ServerUnreachable, error_of

POLL_S: Final = 25.0
GRACE_S: Final = 120.0
"""How long a server may be away, at least, before a wait is given up: time for a restart."""
PAUSES_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
FINAL: Final = frozenset({"resolved", "failed", "declined", "expired", "cancelled"})
PASSING: Final = frozenset({502, 503, 504})
"""Statuses that a restarting server, or a proxy before it, answers with."""

type Json = Mapping[str, Any]
type Flow[T] = Generator[Call | Pause, Reply | Lost | None, T]


@dataclass(frozen=True, slots=True)
class Call:
    """One request; answered by a `Reply`, or `Lost` when none came."""

    method: str
    path: str
    body: Json | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered."""

    status: int
    body: Any = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer: refused, cut off or timed out."""

    why: str


def once(call: Call) -> Flow[Any]:
    """Make one call and return its body. Raises what the answer stands for."""
    reply = yield call
    if not isinstance(reply, Reply):
        why = reply.why if reply is not None else "no answer"
        raise ServerUnreachable(f"the Baton server does not answer ({why}); is it running, and is BATON_URL right?")
    if reply.status >= 400:  # noqa: PLR2004 - HTTP
        raise error_of(reply.status, reply.body, call.path)
    return reply.body


def insist(call: Call, give_up: Callable[[], bool], go_on: str = "", **fields: str) -> Flow[Any]:
    """Make a call that may be repeated until it is answered.

    Raises `ServerUnreachable` once `give_up()`; it says how to `go_on` and carries `fields`.
    """
    tries = 0
    while True:
        reply = yield call
        if isinstance(reply, Reply) and reply.status not in PASSING and reply.status != 429:  # noqa: PLR2004 - HTTP
            if reply.status >= 400:  # noqa: PLR2004 - HTTP
                raise error_of(reply.status, reply.body, call.path)
            return reply.body
        why = reply.why if isinstance(reply, Lost) else f"status {reply.status}" if reply is not None else "no answer"
        if give_up():
            raise ServerUnreachable(
                f"the Baton server could not be reached until the deadline ({why}){go_on}", **fields
            )
        pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
        if isinstance(reply, Reply) and reply.retry_after_s is not None:
            pause = max(pause, min(reply.retry_after_s, 60.0))
        yield Pause(pause)
        tries += 1


def ask(sandbox: str, body: Json, timeout_s: float, clock: Callable[[], float], grace_s: float = GRACE_S) -> Flow[Json]:
    """Ask for a human and wait for the outcome; returns the final handoff."""
    until = clock() + timeout_s + grace_s
    handoff = yield from begin(sandbox, body, timeout_s, clock, grace_s)
    return (yield from wait(handoff, until, clock, grace_s))


def begin(
    sandbox: str, body: Json, timeout_s: float, clock: Callable[[], float], grace_s: float = GRACE_S
) -> Flow[Json]:
    """Ask for a human; returns the handoff as it stands.

    The request carries an idempotency key, so that repeating it after a lost answer makes no second handoff.
    """
    keyed = {**body, "timeout_s": timeout_s}
    keyed["idempotency_key"] = keyed.get("idempotency_key") or f"auto-{uuid.uuid4().hex}"
    until = clock() + timeout_s + grace_s
    handoff: Json = yield from insist(
        Call("POST", f"/sandboxes/{sandbox}/handoffs", keyed),
        lambda: clock() > until,
        "; it may have been asked for: ask again with error.fields['idempotency_key']",
        idempotency_key=keyed["idempotency_key"],
    )
    return handoff


def wait(handoff: Json, until: float, clock: Callable[[], float], grace_s: float = GRACE_S) -> Flow[Json]:
    """Wait until a handoff is final and return it.

    While the server answers it is waited for as long as it takes: the server ends it at its deadline, or later while
    a human holds control. Without an answer it is given up at `until`, but never before `grace_s` of silence.
    """
    name = str(handoff["id"])
    again = f"; reattach({name!r}) goes on waiting"
    call = Call("GET", f"/handoffs/{name}?wait_s={POLL_S:g}", timeout_s=POLL_S + 15)
    while handoff["state"] not in FINAL:
        quiet_until = max(until, clock() + POLL_S + grace_s)
        handoff = yield from insist(call, partial(_past, clock, quiet_until), again, handoff=name)
    return handoff


def follow(
    handoff: str, clock: Callable[[], float], timeout_s: float | None = None, grace_s: float = GRACE_S
) -> Flow[Json | None]:
    """Wait for a handoff known by its id; returns it once final, or None when it still stands after `timeout_s`.

    A server that is away is waited for until then, or for `grace_s` where there is no end.
    """
    end = None if timeout_s is None else clock() + timeout_s
    again = f"; reattach({handoff!r}) goes on waiting"
    while True:
        left = POLL_S if end is None else min(POLL_S, max(0.0, end - clock()))
        quiet_until = clock() + left + grace_s if end is None else end
        call = Call("GET", f"/handoffs/{handoff}?wait_s={left:g}", timeout_s=left + 15)
        found = yield from insist(call, partial(_past, clock, quiet_until), again, handoff=handoff)
        if found["state"] in FINAL:
            return dict(found)
        if end is not None and clock() >= end:
            return None


def extend(handoff: str, timeout_s: float, clock: Callable[[], float], grace_s: float = GRACE_S) -> Flow[Json]:
    """Let a handoff wait until `timeout_s` from now; repeated after a lost answer, which only adds to it."""
    until = clock() + grace_s
    call = Call("POST", f"/handoffs/{handoff}/extend", {"timeout_s": timeout_s})
    found: Json = yield from insist(call, partial(_past, clock, until), handoff=handoff)
    return found


def _past(clock: Callable[[], float], until: float) -> bool:
    return clock() > until
