"""What DevTools is told of a key."""

from __future__ import annotations

from sandbox.display.cdp_keys import key_event
from sandbox.screen import Key


def test_a_key_by_devtools_is_what_the_keyboard_says() -> None:
    """Where there is no X server, the full stop is a full stop, not Delete, and a shortcut types nothing."""
    stop = key_event(Key("Period", ".", True), set(), repeat=False)
    assert (stop["type"], stop["text"], stop["windowsVirtualKeyCode"]) == ("keyDown", ".", 190)
    save = key_event(Key("KeyS", "s", True), {"Control"}, repeat=False)
    assert (save["type"], save["modifiers"], save.get("text")) == ("rawKeyDown", 2, None)
    enter = key_event(Key("Enter", "Enter", True), set(), repeat=False)
    assert (enter["text"], enter["windowsVirtualKeyCode"]) == ("\r", 13)
    five = key_event(Key("Numpad5", "5", True), {"Shift"}, repeat=True)
    assert (five["windowsVirtualKeyCode"], five["isKeypad"], five["autoRepeat"], five["modifiers"]) == (
        101,
        True,
        True,
        8,
    )
    assert key_event(Key("KeyQ", "а", True), set(), repeat=False)["windowsVirtualKeyCode"] == ord("Q")  # noqa: RUF001 - Cyrillic
