"""Key names and codes of W3C UI Events, and what X calls them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_ROWS: Final = (
    (9, "Escape"), (10, "Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal Backspace"),
    (23, "Tab KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Enter ControlLeft"),
    (38, "KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backquote ShiftLeft Backslash"),
    (52, "KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash ShiftRight NumpadMultiply AltLeft Space CapsLock"),
    (67, "F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NumLock ScrollLock"),
    (79, "Numpad7 Numpad8 Numpad9 NumpadSubtract Numpad4 Numpad5 Numpad6 NumpadAdd Numpad1 Numpad2 Numpad3 Numpad0"),
    (91, "NumpadDecimal"), (94, "IntlBackslash F11 F12"), (104, "NumpadEnter ControlRight NumpadDivide"),
    (108, "AltRight"), (110, "Home ArrowUp PageUp ArrowLeft ArrowRight End ArrowDown PageDown Insert Delete"),
    (127, "Pause"), (133, "MetaLeft MetaRight ContextMenu"),
)  # fmt: skip

KEYCODES: Final = MappingProxyType(
    {code: first + offset for first, codes in _ROWS for offset, code in enumerate(codes.split())}
)
"""`code` → X keycode: evdev's numbers, the same on every pc105 keyboard."""

NAMED: Final = MappingProxyType(
    {
        "Enter": "Enter", "Tab": "Tab", "Backspace": "Backspace", "Delete": "Delete", "Escape": "Escape", " ": "Space",
        "ArrowLeft": "ArrowLeft", "ArrowRight": "ArrowRight", "ArrowUp": "ArrowUp", "ArrowDown": "ArrowDown",
        "Home": "Home", "End": "End", "PageUp": "PageUp", "PageDown": "PageDown", "Insert": "Insert", "Pause": "Pause",
        "ContextMenu": "ContextMenu", **{f"F{n}": f"F{n}" for n in range(1, 13)},
    }
)  # fmt: skip
"""`key` of a key that types nothing (and Space) → the `code` of the one place where it is pressed."""

MODIFIERS: Final = frozenset({"Shift", "Control", "Alt", "Meta"})
"""`key` of the modifiers that are held on the remote side; Meta (Command) becomes Control there."""

SILENT: Final = frozenset(
    {
        "AltGraph",
        "CapsLock",
        "NumLock",
        "ScrollLock",
        "Dead",
        "Process",
        "Compose",
        "Unidentified",
        "Fn",
        "FnLock",
        "Hyper",
    }
)
"""`key` of what has done its work on the operator's side: the character that follows says the result."""

# Prepared at the start, so that typing them never has to wait for a change of the keymap.
LETTER_PAIRS: Final = tuple((low, low.upper()) for low in map(chr, range(0xE0, 0xFF)) if low != "÷")
SINGLES: Final = tuple("ß€£§°µ¿¡²³\N{ACUTE ACCENT}«»ÿ¨¬")


def keysym(character: str) -> int:
    """Return X's keysym of one character: Latin-1 is itself, everything else is Unicode's rule."""
    point = ord(character)
    return point if 0x20 <= point <= 0x7E or 0xA0 <= point <= 0xFF else 0x01000000 | point  # noqa: PLR2004
