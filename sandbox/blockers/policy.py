"""What is to be done about a blocker of which kind, and what a human is told to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sandbox.blockers.words import BlockerKind, Finding
from sandbox.words import BadRequest, NotAllowed


class Policy(StrEnum):
    """From the mildest to the strictest."""

    IGNORE = "ignore"
    """Nobody is told."""
    OFFER = "offer"
    """The agent is told, and decides."""
    ASK = "ask"
    """The agent is stopped and a human is asked for at once."""


THRESHOLDS: Final = MappingProxyType({Policy.OFFER: 0.5, Policy.ASK: 0.8})
"""How sure one must be. Stopping an agent for nothing costs more than a word too many."""

STANDARD: Final = Policy.OFFER
_STRICTNESS: Final = tuple(Policy)

_TASKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        BlockerKind.CAPTCHA: "Solve the CAPTCHA and send it off, until the page behind it shows.",
        BlockerKind.CREDENTIALS: "Sign in on this page.",
        BlockerKind.ONE_TIME_CODE: "Enter the one-time code that the site asks for, and send it off.",
        BlockerKind.PASSKEY: "The site asks for a passkey: confirm it, or sign in another way.",
        BlockerKind.PAYMENT: "The site asks for a payment: check what is bought and for how much, then pay or decline.",
        BlockerKind.APPROVAL: "The site asks for a confirmation: check what it is for, then confirm or decline.",
        BlockerKind.DIALOG: "Answer the question that the page has open.",
        BlockerKind.UPLOAD: "The page asks for a file: choose it, or close the chooser.",
        BlockerKind.CONSENT: "Answer the consent notice, so that the page behind it can be used.",
        BlockerKind.BLOCKED_PAGE: "The site refuses this page: find out what it wants, or decline.",
        BlockerKind.STUCK: "The agent repeats itself without effect: do the step that it does not manage.",
    }
)
_SORTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "basic_auth": "The site asks for a name and a password before it shows the page: reload it and enter them.",
        "three_d_secure": "The bank asks to confirm a payment: check amount and payee, then confirm or decline.",
        "permission": "The page asks for a permission: allow it, or block it.",
        "rate_limited": "The site says that there were too many requests: wait and reload, or decline.",
    }
)


@dataclass(frozen=True, slots=True)
class Policies:
    """A policy for each kind; kinds that are not named are offered."""

    by_kind: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, kind: str) -> Policy:
        """Return the policy of a kind."""
        return self.by_kind.get(kind, STANDARD)

    def judge(self, finding: Finding) -> Policy:
        """Return what to do about one finding; one that is not sure enough for its policy falls to the milder ones."""
        policy = self.of(finding.kind)
        if policy is Policy.ASK and finding.confidence < THRESHOLDS[Policy.ASK]:
            policy = Policy.OFFER
        if policy is Policy.OFFER and finding.confidence < THRESHOLDS[Policy.OFFER]:
            policy = Policy.IGNORE
        return policy

    @property
    def idle(self) -> bool:
        """Whether everything is ignored, so that nothing need be looked at."""
        return all(self.of(kind) is Policy.IGNORE for kind in BlockerKind)

    def to_wire(self) -> dict[str, str]:
        """Return the JSON form: every kind and its policy."""
        return {kind.value: self.of(kind).value for kind in BlockerKind}


def read_policies(said: Mapping[str, str]) -> Policies:
    """Read `{kind: policy}`. Raises `BadRequest` naming what is not known."""
    if unknown := sorted(set(said) - set(BlockerKind)):
        kinds = ", ".join(BlockerKind)
        raise BadRequest(f"no blocker is called {', '.join(unknown)[:200]}; they are {kinds}", field="blockers")
    try:
        return Policies({str(kind): Policy(policy) for kind, policy in said.items()})
    except ValueError:
        raise BadRequest(f"a blocker's policy is one of {', '.join(Policy)}", field="blockers") from None


def parse_policies(text: str) -> Policies:
    """Read `captcha=ask,consent=ignore`. Raises `BadRequest`."""
    said: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        kind, equals, policy = part.partition("=")
        if not equals:
            raise BadRequest(f"{part[:60]} names no policy; write captcha=ask,consent=ignore", field="blockers")
        said[kind.strip()] = policy.strip()
    return read_policies(said)


def override(base: Policies, said: Policies, *, by_agent: bool) -> Policies:
    """Return `base` with what was said for one sandbox.

    An agent may only become stricter where the server asks for a human: its own word never raises its rights. Raises
    `NotAllowed` otherwise.
    """
    for kind, policy in said.by_kind.items():
        if by_agent and base.of(kind) is Policy.ASK and _STRICTNESS.index(policy) < _STRICTNESS.index(Policy.ASK):
            raise NotAllowed(f"this server asks a human at {kind}, and an agent cannot change that", kind=kind)
    return Policies({**base.by_kind, **said.by_kind})


def instructions(kind: str, sort: str) -> str:
    """Return what a human who was asked for by the platform is to do: never a word of the page itself."""
    return _SORTS.get(sort) or _TASKS.get(kind, "Look what keeps the agent from going on, and help it past that.")
