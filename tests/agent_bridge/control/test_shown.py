"""What an operator is shown of a command."""

from __future__ import annotations

from typing import Any

import pytest

from agent_bridge.control.shown import LONGEST, summary


@pytest.mark.parametrize(
    ("method", "params", "shown"),
    [
        ("Page.navigate", {"url": "https://u:p@shop.example/pay?token=x#y"}, "Go to https://shop.example/pay"),
        ("Page.navigate", {"url": "http://["}, "Go to an address that cannot be read"),
        ("Input.dispatchMouseEvent", {"type": "mousePressed", "x": 3, "y": 4}, "Press the left button at 3, 4"),
        ("Input.insertText", {"text": "4242"}, "Type a text"),
        (
            "Input.dispatchKeyEvent",
            {"type": "char", "text": "4"},
            "Input.dispatchKeyEvent type: char, text: (not shown)",
        ),
        ("Runtime.evaluate", {"expression": "pay(12)"}, "Run in the page: pay(12)"),
        ("Page.reload", {}, "Page.reload"),
        ("Page.reload", {"ignoreCache": True}, "Page.reload ignoreCache: true"),
        (
            "X.y",
            {"password": "p", "apiKey": "k", "deep": {"password": "p"}},
            "X.y password: (not shown), apiKey: (not shown), deep: (1 parts)",
        ),
        ("Network.setCookies", {"cookies": [{"value": "p"}]}, "Network.setCookies cookies: (not shown)"),
    ],
)
def test_a_line_for_people(method: str, params: dict[str, Any], shown: str) -> None:
    """It says what the command does, and no secret."""
    text = summary(method, params)
    assert text == shown


def test_it_is_bounded() -> None:
    """Whatever is sent."""
    assert len(summary("Runtime.evaluate", {"expression": "x" * 100_000})) == LONGEST
    assert len(summary("X.y", {f"k{n}": "v" * 500 for n in range(500)})) <= LONGEST
    assert summary("Runtime.evaluate", {"expression": "\ud800"})
