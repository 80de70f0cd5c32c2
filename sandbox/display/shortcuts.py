"""Shortcuts of the browser's own chrome: the operator has the page, not the browser around it."""

from __future__ import annotations

from typing import Final

from sandbox.display.keyboard import Chord
from sandbox.words import BadRequest

_CONTROL: Final = "tnwospujhldgfke0123456789=-+_"
_CONTROL_NAMED: Final = ("F4", "Tab", "PageUp", "PageDown")
_CONTROL_SHIFT: Final = "ijctwnqbopumadsghek0=-+_"
_CONTROL_SHIFT_NAMED: Final = ("Tab", "Delete", "Backspace", "PageUp", "PageDown", "Escape")
_ALT: Final = "defqst123456789"
_ALT_NAMED: Final = ("ArrowLeft", "ArrowRight", "Home", "F4", "Tab", " ", "Enter", "Escape")
_ALONE: Final = ("F1", "F3", "F6", "F7", "F10", "F11", "F12")

RELOAD: Final = frozenset(
    {Chord(control, shift, False, "F5") for control in (False, True) for shift in (False, True)}
    | {Chord(True, shift, False, "r") for shift in (False, True)}
)
"""These become the console's own reload."""


def _chords() -> frozenset[Chord]:
    both = (False, True)
    refused = {Chord(True, False, False, key) for key in (*_CONTROL, *_CONTROL_NAMED)}
    refused |= {Chord(True, True, False, key) for key in (*_CONTROL_SHIFT, *_CONTROL_SHIFT_NAMED)}
    refused |= {Chord(False, shift, True, key) for key in (*_ALT, *_ALT_NAMED) for shift in both}
    refused |= {Chord(True, shift, True, key) for key in (*_CONTROL_SHIFT, *_ALT, *_ALT_NAMED) for shift in both}
    refused |= {Chord(control, shift, alt, key) for key in _ALONE for control in both for shift in both for alt in both}
    return frozenset(refused)


REFUSED: Final = _chords()
"""What acts on the browser around the page: tabs, windows, address bar, find, zoom, print, save, source, DevTools."""


def check(chord: Chord) -> None:
    """Raise `BadRequest` for a shortcut of the browser's own chrome."""
    if chord in REFUSED:
        parts = [n for n, on in (("Ctrl", chord.control), ("Shift", chord.shift), ("Alt", chord.alt)) if on]
        name = "+".join([*parts, chord.key.upper() if len(chord.key) == 1 else chord.key])
        raise BadRequest(
            f"{name} is a shortcut of the browser around the page; use the console's own buttons", shortcut=name
        )
