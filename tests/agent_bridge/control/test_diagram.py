"""The page drawn from the table."""

from __future__ import annotations

from pathlib import Path

from agent_bridge.control.diagram import render

PAGE = Path(__file__).resolve().parents[3] / "docs/state-machine.md"


def test_the_page_is_current() -> None:
    """docs/state-machine.md says what the table says; `python -m agent_bridge.control.diagram` writes it."""
    assert PAGE.read_text(encoding="utf-8") == render()
