"""The sessions: where a page stands when the agent asks, what the human does, and what that changed in truth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.control.diff.human import Human
from bench.control.diff.truth import Change


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session is played: base URL of its site (no slash at the end), a directory of its own, the CAPTCHA."""

    url: str
    folder: Path
    answer: Callable[[], str] = str
    """What a human reads in the newest CAPTCHA's picture."""
    secret: str = field(default="", repr=False)
    """What this session's human types where a secret is wanted; a new one in each session."""


type Script = Callable[[Human, Place], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Session:
    """One session. `site`: own, captcha, wagtail or guest (wagtail, signed out)."""

    name: str
    site: str
    start: str
    script: Script
    truth: tuple[Change, ...]
    before: Script | None = None
    """What happens before the agent asks."""
    secret: str = ""
    """Which sort of secret the human types (see `leaks.plant`), if one."""
    lease: bool = False
    idle_s: float = 1.2
    """Between the agent's asking and the human's first press; hardly anybody is faster."""
    """Whether all that the human types is secret, as it is in handoffs of some kinds."""
