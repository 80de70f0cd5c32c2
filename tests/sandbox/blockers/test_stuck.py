"""The same action on the same page state three times is stuck, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.blockers.stuck import TIMES, WINDOW_S, Repeats, action_of

CLICK: dict[str, Any] = {"type": "mousePressed", "x": 10, "y": 20, "button": "left", "clickCount": 1}


def click(**given: Any) -> str:
    """The name of a click."""
    action = action_of("Input.dispatchMouseEvent", {**CLICK, **given})
    assert action is not None
    return action


def test_an_action_is_what_the_agent_does_and_not_how() -> None:
    """Presses, text, addresses and scripts that click count; moving, letting go and looking do not."""
    assert click() == click(clickCount=2)
    assert click() != click(x=11)
    assert action_of("Input.dispatchMouseEvent", {**CLICK, "type": "mouseReleased"}) is None
    assert action_of("Input.dispatchMouseEvent", {**CLICK, "type": "mouseMoved"}) is None
    assert action_of("Runtime.evaluate", {"expression": "document.title"}) is None
    assert action_of("Runtime.evaluate", {"expression": "b.click()"}) is not None
    assert action_of("Page.navigate", {"url": "https://a/"}) != action_of("Page.navigate", {"url": "https://b/"})
    assert action_of("DOM.getDocument", {}) is None


def test_what_is_typed_cannot_be_read_from_an_action() -> None:
    """Its name is a keyed digest."""
    action = action_of("Input.insertText", {"text": "hunter2"})

    assert action is not None
    assert "hunter2" not in action
    assert action != action_of("Input.insertText", {"text": "hunter3"})


def test_three_times_without_effect_is_stuck() -> None:
    """Whether it waits in between or not, the third makes it so, and a new state ends it."""
    for batches in ([1, 1, 1], [3], [2, 1]):
        repeats = Repeats()
        repeats.read("one", "top", 0)
        for batch in batches:
            assert repeats.stuck is None
            for _ in range(batch):
                repeats.acted(click())
            repeats.read("one", "top", 1)
        assert repeats.stuck is not None
        assert (repeats.stuck.action, repeats.stuck.times) == ("Input.dispatchMouseEvent", TIMES)
        repeats.read("two", "top", 2)
        assert repeats.stuck is None


def test_an_effect_makes_it_no_repetition() -> None:
    """Next, next, next on pages that change; and a menu that opens and closes."""
    repeats = Repeats()
    repeats.read("0", "top", 0)
    for step in range(1, 9):
        repeats.acted(click())
        repeats.read(str(step % 2), "top", step)

    assert repeats.stuck is None


def test_different_actions_are_not_one() -> None:
    """Three different keys on a page that shows nothing of them are not a repetition."""
    repeats = Repeats()
    repeats.read("one", "top", 0)
    for key in "abc":
        action = action_of("Input.dispatchKeyEvent", {"type": "keyDown", "key": key})
        assert action is not None
        repeats.acted(action)
        repeats.read("one", "top", 1)

    assert repeats.stuck is None


def test_a_key_that_moves_the_focus_has_an_effect() -> None:
    """Tab, tab, tab goes from field to field; the same key in the same place is a repetition."""
    key = action_of("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": "Tab"})
    assert key is not None
    for places, stuck in ((["a", "b", "c", "d", "e"], False), (["a"] * 5, True)):
        repeats = Repeats()
        for place in places:
            repeats.read("one", place, 0)
            repeats.acted(key)
        assert (repeats.stuck is not None) is stuck


def test_code_that_clicks_is_the_agents_own() -> None:
    """Through Playwright it comes as an argument; a library that could click is not an action."""
    mine = {"functionDeclaration": "(u, a) => u.evaluate(a)", "arguments": [{"value": "b.click()"}, {"objectId": "1"}]}

    assert action_of("Runtime.callFunctionOn", mine) is not None
    assert action_of("Runtime.callFunctionOn", {**mine, "arguments": [{"value": "b.text"}]}) is None
    assert action_of("Runtime.evaluate", {"expression": "/**/" * 2000 + "b.click()"}) is None


@pytest.mark.parametrize("state", [None, "two"])
def test_what_was_done_before_a_state_is_known_does_not_count(state: str | None) -> None:
    """A page whose state cannot be told makes nobody stuck."""
    repeats = Repeats()
    for _ in range(2 * TIMES):
        repeats.acted(click())
        repeats.read(state if repeats._state != state else None, "top", 1)

    assert repeats.stuck is None


def test_who_looks_again_every_few_minutes_only_waits() -> None:
    """Repetitions count together only when they are near each other."""
    repeats = Repeats()
    repeats.read("one", "top", 0)
    for turn in range(6):
        repeats.acted(click())
        repeats.read("one", "top", turn * (WINDOW_S + 1))

    assert repeats.stuck is None
