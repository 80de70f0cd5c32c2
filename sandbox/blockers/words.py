"""What blocker detection says: findings of a kind and a sort, where they are, and how sure we are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

type Box = tuple[int, int, int, int]
"""Left, top, width and height in CSS pixels of the frame's own viewport."""


class BlockerKind(StrEnum):
    """The design's words for what stops an agent, as far as they can be detected."""

    CAPTCHA = "captcha"
    CREDENTIALS = "credentials"
    ONE_TIME_CODE = "one_time_code"
    PASSKEY = "passkey"
    PAYMENT = "payment"
    APPROVAL = "approval"
    DIALOG = "dialog"
    UPLOAD = "upload"
    CONSENT = "consent"
    BLOCKED_PAGE = "blocked_page"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a page: CDP frame id, a CSS selector in that frame ("" for the page as a whole), and its box."""

    frame: str
    selector: str = ""
    box: Box | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: `{"frame", "selector", "box": [left, top, width, height] | null}`."""
        return {"frame": self.frame, "selector": self.selector, "box": list(self.box) if self.box else None}

    @classmethod
    def from_wire(cls, data: dict[str, Any]) -> Self:
        """Read the JSON form back."""
        box = data.get("box")
        return cls(data["frame"], data.get("selector", ""), (box[0], box[1], box[2], box[3]) if box else None)


@dataclass(frozen=True, slots=True)
class Finding:
    """One blocker.

    `kind` is the design's word, `sort` the finer one (recaptcha, turnstile, login, totp, card, three_d_secure,
    basic_auth, cookie_consent, rate_limited…). `confidence` is in 0..1; 0.5 and more means "more likely than not".
    `why` is one sentence for people, made of names of evidence, never of what stands in fields.
    """

    kind: str
    sort: str
    confidence: float
    where: Where | None = None
    why: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: `{"kind", "sort", "confidence", "where", "why"}`."""
        where = self.where.to_wire() if self.where else None
        return {
            "kind": self.kind, "sort": self.sort, "confidence": round(self.confidence, 3), "where": where,
            "why": self.why,
        }  # fmt: skip

    @classmethod
    def from_wire(cls, data: dict[str, Any]) -> Self:
        """Read the JSON form back."""
        where = Where.from_wire(data["where"]) if data.get("where") else None
        return cls(data["kind"], data["sort"], float(data["confidence"]), where, data.get("why", ""))
