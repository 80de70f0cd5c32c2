"""Reading a request for a human, as it comes over REST and `Baton.requestHandoff` alike."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent_bridge.control.errors import InvalidAsk, InvalidCondition
from agent_bridge.control.words import ControlSettings, Handoff, Json
from agent_bridge.words import SECRET_BLOCKERS, Blocker
from sandbox.state.conditions import parse_condition, reads_fields
from sandbox.words import BadRequest, HandoffId, SandboxId, Side, TooLarge, new_id

MAX_KEY: Final = 200
MAX_TITLE: Final = 500
_KNOWN: Final = frozenset({"kind", "instructions", "condition", "timeout_s", "idempotency_key", "target"})


@dataclass(frozen=True, slots=True)
class HandoffRequest:
    """What the agent said. `timeout_s` None means the server's default."""

    kind: Blocker
    instructions: str = ""
    condition: Json | None = None
    timeout_s: float | None = None
    idempotency_key: str | None = None
    target: str | None = None


def read_request(params: Mapping[str, Any], settings: ControlSettings) -> HandoffRequest:
    """Read the JSON form. Raises `InvalidAsk`, `InvalidCondition` or `TooLarge`, each naming the part that is wrong."""
    if unknown := sorted(str(key)[:40] for key in params.keys() - _KNOWN):
        raise InvalidAsk(f"a handoff has no {', '.join(unknown)}; it has {', '.join(sorted(_KNOWN))}", fields=unknown)
    kind = _kind(params.get("kind"))
    return HandoffRequest(
        kind,
        _text(params, "instructions", settings.max_instructions) or "",
        _condition(params.get("condition"), settings, secret=kind in SECRET_BLOCKERS),
        read_timeout(params.get("timeout_s"), settings),
        _text(params, "idempotency_key", MAX_KEY) or None,
        _text(params, "target", MAX_KEY) or None,
    )


def _kind(value: object) -> Blocker:
    if value is None:
        return Blocker.UNKNOWN
    try:
        return Blocker(str(value))
    except ValueError:
        kinds = ", ".join(sorted(Blocker))
        raise InvalidAsk(f"kind must be one of {kinds}", field="kind") from None


def _text(params: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = params.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidAsk(f"{name} must be text", field=name)
    if len(value) > limit:
        raise TooLarge(f"{name} has {len(value)} characters; at most {limit} are taken", field=name, limit=limit)
    return value.encode("utf-8", "replace").decode()


def _condition(value: object, settings: ControlSettings, *, secret: bool) -> Json | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidCondition('a condition is an object, such as {"url": "https://site/done*"}', field="condition")
    try:
        size = len(json.dumps(value))
        parsed = parse_condition(value)
    except BadRequest as error:
        raise InvalidCondition(error.message, **error.fields) from None
    except (TypeError, ValueError, RecursionError):
        raise InvalidCondition("this condition cannot be read as JSON", field="condition") from None
    if size > settings.max_condition:
        raise TooLarge(
            f"condition has {size} characters; at most {settings.max_condition} are taken", field="condition"
        )
    if secret and reads_fields(parsed):
        raise InvalidCondition(
            "what is typed in this kind of handoff is secret, so its condition may not look into fields: "
            "no predicate, no selector on values or validity",
            field="condition",
        )
    return dict(value)


def read_timeout(value: object, settings: ControlSettings) -> float | None:
    """Return a number of seconds, None for none. Raises `InvalidAsk`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise InvalidAsk("timeout_s must be a positive number of seconds", field="timeout_s")
    if value > settings.max_deadline_s:
        raise InvalidAsk(
            f"timeout_s is at most {settings.max_deadline_s:g} here", field="timeout_s", limit=settings.max_deadline_s
        )
    return float(value)


def new_handoff(
    sandbox: SandboxId,
    request: HandoffRequest,
    now: float,
    settings: ControlSettings,
    *,
    asked_by: Side = Side.AGENT,
    client: str | None = None,
    url: str = "",
    title: str = "",
) -> Handoff:
    """Return a handoff as it stands the moment it is asked for."""
    handoff = Handoff(
        HandoffId(new_id("ho")), sandbox, request.kind, request.instructions, asked_by, now,
        now + (settings.deadline_s if request.timeout_s is None else request.timeout_s),
        condition=request.condition, idempotency_key=request.idempotency_key, target=request.target, client=client,
    )  # fmt: skip
    return handoff.at(url, title[:MAX_TITLE]) if url else handoff


def clean_note(note: str | None, settings: ControlSettings, name: str = "note") -> str:
    """Return an operator's note. Raises `TooLarge`."""
    text = (note or "").strip()
    if len(text) > settings.max_note:
        raise TooLarge(f"{name} has {len(text)} characters; at most {settings.max_note} are taken", field=name)
    return text.encode("utf-8", "replace").decode()
