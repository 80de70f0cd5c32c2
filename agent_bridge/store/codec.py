"""Control and handoffs as JSON documents, and back."""

from __future__ import annotations

from agent_bridge.control.words import Control, ControlRequest, Ending, Handoff, Json, Lease, Move, Phase, Reservation
from agent_bridge.words import Blocker, HandoffState
from sandbox.words import Epoch, HandoffId, Holder, SandboxId, Side


def handoff_to_json(handoff: Handoff) -> Json:
    """Return all of a handoff."""
    return {
        "id": handoff.id, "sandbox": handoff.sandbox, "kind": handoff.kind.value, "instructions": handoff.instructions,
        "asked_by": handoff.asked_by.value, "created_at": handoff.created_at, "deadline_at": handoff.deadline_at,
        "state": handoff.state.value, "condition": handoff.condition, "site": handoff.site, "url": handoff.url,
        "title": handoff.title, "idempotency_key": handoff.idempotency_key, "target": handoff.target,
        "client": handoff.client, "lease": handoff.lease.to_wire() if handoff.lease else None,
        "reserved": handoff.reserved.to_wire() if handoff.reserved else None,
        "leases": [lease.to_wire() for lease in handoff.leases], "unknown": list(handoff.unknown),
        "claimed_at": handoff.claimed_at, "ended_at": handoff.ended_at,
        "ending": handoff.ending.to_wire() if handoff.ending else None, "result": handoff.result,
        "late": list(handoff.late), "agent_code": list(handoff.agent_code),
    }  # fmt: skip


def handoff_from_json(data: Json) -> Handoff:
    """Read a handoff back; fields that an older version did not know take their defaults."""
    return Handoff(
        HandoffId(data["id"]), SandboxId(data["sandbox"]), Blocker(data["kind"]), data["instructions"],
        Side(data["asked_by"]), data["created_at"], data["deadline_at"], HandoffState(data["state"]),
        condition=data.get("condition"), site=data.get("site", ""), url=data.get("url", ""),
        title=data.get("title", ""),
        idempotency_key=data.get("idempotency_key"), target=data.get("target"), client=data.get("client"),
        lease=Lease.from_wire(data["lease"]) if data.get("lease") else None,
        reserved=Reservation.from_wire(data["reserved"]) if data.get("reserved") else None,
        leases=tuple(Lease.from_wire(lease) for lease in data.get("leases", ())),
        unknown=tuple(data.get("unknown", ())), claimed_at=data.get("claimed_at"), ended_at=data.get("ended_at"),
        ending=Ending.from_wire(data["ending"]) if data.get("ending") else None, result=data.get("result"),
        late=tuple(data.get("late", ())), agent_code=tuple(data.get("agent_code", ())),
    )  # fmt: skip


def control_to_json(control: Control) -> Json:
    """Return control without its handoff, which has a row of its own."""
    return {
        "holder": control.holder.to_wire(), "since": control.since,
        "handoff": control.handoff.id if control.handoff else None,
        "claim": control.claim.to_wire() if control.claim else None,
        "requests": [request.to_wire() for request in control.requests],
        "last": control.last.to_wire() if control.last else None,
    }  # fmt: skip


def control_from_row(sandbox: str, phase: str, epoch: int, data: Json, handoff: Json | None) -> Control:
    """Read control back from its row and its open handoff's document."""
    return Control(
        SandboxId(sandbox), Phase(phase), Holder.from_wire(data["holder"]), Epoch(epoch), data["since"],
        handoff_from_json(handoff) if handoff is not None else None,
        Holder.from_wire(data["claim"]) if data.get("claim") else None,
        tuple(ControlRequest.from_wire(request) for request in data.get("requests", ())),
        Move.from_wire(data["last"]) if data.get("last") else None,
    )  # fmt: skip
