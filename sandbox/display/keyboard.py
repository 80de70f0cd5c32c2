"""Which X keys to press so that the page gets what the operator typed. Pure: it returns strokes and sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.display.keysyms import KEYCODES, LETTER_PAIRS, MODIFIERS, NAMED, SILENT, SINGLES, keysym
from sandbox.screen import Key

type Strokes = list[tuple[int, bool]]
"""(keycode, down), in order."""

PREPARED_FIRST: Final = 208
"""From here to 255 lie multimedia keys nobody has; they are given to the characters in `prepared()`."""
_SHIFTS: Final = (KEYCODES["ShiftLeft"], KEYCODES["ShiftRight"])
_CONTROLS: Final = (KEYCODES["ControlLeft"], KEYCODES["ControlRight"])
_ALTS: Final = (KEYCODES["AltLeft"], KEYCODES["AltRight"])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a character lies: the key, and whether Shift must be down (None: it does not matter)."""

    keycode: int
    shift: bool | None


@dataclass(frozen=True, slots=True)
class Chord:
    """What a press amounts to on the remote side, for the table of refused shortcuts."""

    control: bool
    shift: bool
    alt: bool
    key: str
    """The unshifted character of the key, or its `key` name."""


@dataclass(frozen=True, slots=True)
class Press:
    """The strokes of one press, and the chord they make."""

    strokes: tuple[tuple[int, bool], ...]
    chord: Chord


def prepared() -> tuple[tuple[int, int], ...]:
    """Return (keysym, shifted keysym) for the keycodes from `PREPARED_FIRST` on."""
    pairs = [(keysym(low), keysym(high)) for low, high in LETTER_PAIRS]
    pairs += [(keysym(one), keysym(one)) for one in SINGLES]
    return tuple(pairs[: 256 - PREPARED_FIRST])


class Keyboard:
    """The remote keyboard: its map and what is down on it, by the `code` of the operator's key."""

    def __init__(self, first: int, rows: Sequence[Sequence[int]]) -> None:
        self._places: dict[int, Place] = {}
        self._base: dict[int, str] = {}
        for offset, row in enumerate(rows):
            self._learn(first + offset, row[0], row[1] if len(row) > 1 else 0)
        self._down: dict[str, int] = {}
        self._under_meta: set[str] = set()
        self._level3 = False

    def __repr__(self) -> str:
        return f"<Keyboard {len(self._down)} down>"

    def _learn(self, keycode: int, plain: int, shifted: int) -> None:
        if plain and plain < 0x80:  # noqa: PLR2004 - ASCII
            self._base.setdefault(keycode, chr(plain))
        if plain in {shifted, 0x20} or (plain and not shifted):
            self._places.setdefault(plain, Place(keycode, None))
            return
        for symbol, shift in ((plain, False), (shifted, True)):
            if symbol:
                self._places.setdefault(symbol, Place(keycode, shift))

    @property
    def held(self) -> frozenset[int]:
        """The keycodes that are down."""
        return frozenset(self._down.values())

    @property
    def control_held(self) -> bool:
        """Whether Ctrl is down."""
        return bool(self.held & set(_CONTROLS))

    def press(self, key: Key) -> Press | None:
        """Say what a key that goes down does, before `commit`; None when it does nothing by itself."""
        if key.key in SILENT:
            return None
        if key.key in MODIFIERS:
            keycode = self._modifier(key)
            return Press(((keycode, True),), self._chord(key.key, self.held | {keycode}))
        place = self._place(key)
        if place is None:
            return None
        lifted = self._lifted(key)
        held = self.held - lifted
        add: frozenset[int] = frozenset()
        shifts = held & set(_SHIFTS)
        if place.shift is True and not shifts:
            add = frozenset(_SHIFTS[:1])
        elif place.shift is False and shifts:
            lifted, held = lifted | shifts, held - shifts
        again = self._down.get(key.code or key.key)
        # A repeat too: to X, pressing a key that is down is nothing.
        strokes: Strokes = [(again, False)] if again is not None else []
        strokes += [(code, False) for code in sorted(lifted)] + [(code, True) for code in add]
        strokes.append((place.keycode, True))
        strokes += [(code, False) for code in add] + [(code, True) for code in sorted(lifted)]
        name = self._base.get(place.keycode) or key.key
        return Press(tuple(strokes), self._chord(name, held | add))

    def command(self, letter: str) -> Strokes:
        """Return the strokes of Ctrl and a letter, whatever is held; afterwards the same is held as before."""
        keycode = self._places[ord(letter)].keycode
        lifted = sorted(self.held & {*_SHIFTS, *_ALTS})
        add = () if self.held & set(_CONTROLS) else _CONTROLS[:1]
        strokes: Strokes = [(code, False) for code in (keycode, *lifted)] + [(code, True) for code in add]
        strokes += [(keycode, True), (keycode, False)]
        return strokes + [(code, False) for code in add] + [(code, True) for code in lifted]

    def commit(self, key: Key) -> None:
        """Remember a key as down; call it together with sending its strokes."""
        if key.key in SILENT:
            self._level3 = self._level3 or key.key == "AltGraph"
            return
        place = self._place(key)
        keycode = self._modifier(key) if key.key in MODIFIERS else place.keycode if place else None
        if keycode is not None:
            self._down[key.code or key.key] = keycode
            if "Meta" in {self._name(code) for code in self._down} and key.key not in MODIFIERS:
                self._under_meta.add(key.code or key.key)

    def release(self, key: Key) -> Strokes:
        """Let a key go: whatever its press pressed, though `key` may read otherwise by now."""
        if key.key == "AltGraph" or key.code == "AltRight":
            self._level3 = False
        names = [key.code or key.key]
        if key.key == "Meta":
            # macOS tells no keyup for what was pressed while Command is down.
            names = [*self._under_meta, *names]
            self._under_meta.clear()
        strokes: Strokes = []
        for name in names:
            keycode = self._down.pop(name, None)
            if keycode is not None and keycode not in self.held:
                strokes.append((keycode, False))
        return strokes

    def release_all(self) -> Strokes:
        """Let everything go."""
        strokes: Strokes = [(keycode, False) for keycode in self.held]
        self._down.clear()
        self._under_meta.clear()
        self._level3 = False
        return strokes

    def goes_as_text(self, key: Key) -> bool:
        """Whether what a key types is on no key here, so that it must go in as text.

        Putting it on a spare key does not do: Chromium reads a changed keyboard later than the presses that follow the
        change, and loses them (measured).
        """
        if len(key.key) > 1:
            return not key.key.isascii()  # an emoji of several parts
        return key.key.isprintable() and self._place(key) is None and not self._commanding

    @staticmethod
    def _name(code: str) -> str:
        return code.removesuffix("Left").removesuffix("Right")

    def _modifier(self, key: Key) -> int:
        side = 1 if key.code.endswith("Right") else 0
        return {"Shift": _SHIFTS, "Control": _CONTROLS, "Meta": _CONTROLS, "Alt": _ALTS}[key.key][side]

    def _place(self, key: Key) -> Place | None:
        if (code := NAMED.get(key.key)) is not None:
            own = key.code if key.code == f"Numpad{key.key}" else code
            return Place(KEYCODES[own], None)
        if len(key.key) != 1:
            return None
        character = key.key
        if self._commanding:
            if keysym(character) not in self._places:
                # A shortcut on a Greek or Cyrillic keyboard is the one of the Latin letter in that place.
                there = KEYCODES.get(key.code)
                return Place(there, None) if there is not None else None
            if not self.held & set(_SHIFTS):
                # Caps Lock with a shortcut: a Shift of ours would make another shortcut of it.
                character = character.lower()
        return self._places.get(keysym(character))

    @property
    def _commanding(self) -> bool:
        return self.control_held and not self._level3

    def _lifted(self, key: Key) -> frozenset[int]:
        """Return the modifiers that made the character on the operator's side and must not act on it again."""
        if len(key.key) != 1:
            return frozenset()
        alts, controls = self.held & set(_ALTS), self.held & set(_CONTROLS)
        if self._level3:
            return frozenset(alts | controls)
        if alts and not controls:
            code = KEYCODES.get(key.code)
            plain = self._base.get(code, "") if code is not None else ""
            # Option on a Mac types a character; Alt elsewhere leaves it what the key says.
            if not key.key.isascii() or (plain.isalnum() and key.key.lower() != plain and not key.key.isalnum()):
                return frozenset(alts)
        return frozenset()

    @staticmethod
    def _chord(key: str, held: frozenset[int]) -> Chord:
        return Chord(bool(held & set(_CONTROLS)), bool(held & set(_SHIFTS)), bool(held & set(_ALTS)), key)
