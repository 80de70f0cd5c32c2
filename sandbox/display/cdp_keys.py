"""What `Input.dispatchKeyEvent` wants to know of a key. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from sandbox.display.keysyms import MODIFIERS
from sandbox.screen import Key

# Windows virtual-key codes (winuser.h), which KeyboardEvent.keyCode still is.
_NAMED: Final = MappingProxyType(
    {
        "Backspace": 8, "Tab": 9, "Enter": 13, "Shift": 16, "Control": 17, "Alt": 18, "Pause": 19, "CapsLock": 20,
        "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38,
        "ArrowRight": 39, "ArrowDown": 40, "Insert": 45, "Delete": 46, "Meta": 91, "ContextMenu": 93,
        **{f"F{n}": 111 + n for n in range(1, 13)},
    }
)  # fmt: skip
_PUNCTUATION: Final = MappingProxyType(
    {
        "Semicolon": (";:", 186), "Equal": ("=+", 187), "Comma": (",<", 188), "Minus": ("-_", 189),
        "Period": (".>", 190), "Slash": ("/?", 191), "Backquote": ("`~", 192), "BracketLeft": ("[{", 219),
        "Backslash": ("\\|", 220), "BracketRight": ("]}", 221), "Quote": ("'\"", 222),
    }
)  # fmt: skip
_DIGITS: Final = ")!@#$%^&*("
_PAD: Final = MappingProxyType({"*": 106, "+": 107, "-": 109, ".": 110, "/": 111})
_PAD_DIGIT: Final = 96
_BY_CHARACTER: Final = MappingProxyType(
    {
        **{character: number for pair, number in _PUNCTUATION.values() for character in pair},
        **{character: ord("0") + digit for digit, character in enumerate(_DIGITS)},
    }
)
_BITS: Final = MappingProxyType({"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8})
_RIGHT: Final = 2
_LEFT: Final = 1


def modifier_bits(names: set[str]) -> int:
    """Return CDP's bit field of the modifiers that are down."""
    return sum(_BITS[name] for name in names & MODIFIERS)


def virtual_key(key: Key) -> int:
    """Return the key's Windows code: by what it is called, else by what it types, else by where it lies; 0 if none."""
    if (named := _NAMED.get(key.key)) is not None:
        return named
    character = key.key
    if len(character) != 1:
        return 0
    if key.code.startswith("Numpad"):
        return _PAD_DIGIT + int(character) if character.isdecimal() and character.isascii() else _PAD.get(character, 0)
    if character.isascii() and character.isalnum():
        return ord(character.upper())
    if (number := _BY_CHARACTER.get(character)) is not None:
        return number
    if key.code.startswith(("Key", "Digit")):
        return ord(key.code[-1])
    return _PUNCTUATION[key.code][1] if key.code in _PUNCTUATION else 0


def typed(key: Key, held: set[str]) -> str:
    """Return what the key types while modifiers are held; nothing with a shortcut."""
    if held & {"Control", "Alt", "Meta"}:
        return ""
    if key.key == "Enter":
        return "\r"
    return key.key if len(key.key) == 1 else ""


def key_event(key: Key, held: set[str], *, repeat: bool) -> dict[str, Any]:
    """Return the parameters of `Input.dispatchKeyEvent`."""
    text = typed(key, held) if key.down else ""
    number = virtual_key(key)
    event: dict[str, Any] = {
        "type": ("keyDown" if text else "rawKeyDown") if key.down else "keyUp",
        "key": key.key,
        "code": key.code,
        "windowsVirtualKeyCode": number,
        "nativeVirtualKeyCode": number,
        "modifiers": modifier_bits(held),
        "autoRepeat": repeat,
        "isKeypad": key.code.startswith("Numpad"),
    }
    if key.key in MODIFIERS:
        event["location"] = _RIGHT if key.code.endswith("Right") else _LEFT
    if text:
        event |= {"text": text, "unmodifiedText": text}
    return event
