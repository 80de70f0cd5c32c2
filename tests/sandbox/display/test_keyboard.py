"""Which X keys are pressed for what the operator typed."""

from __future__ import annotations

import pytest

from sandbox.display import shortcuts
from sandbox.display.keyboard import PREPARED_FIRST, Chord, Keyboard, prepared
from sandbox.display.keysyms import KEYCODES, LETTER_PAIRS, SINGLES, keysym
from sandbox.display.pointer import WheelTicks
from sandbox.screen import Key
from sandbox.words import BadRequest

_ROWS = {
    10: "1!2@3#4$5%6^7&8*9(0)-_=+", 24: "qQwWeErRtTyYuUiIoOpP[{]}", 38: "aAsSdDfFgGhHjJkKlL;:'\"`~",
    51: "\\|zZxXcCvVbBnNmM,<.>/?", 65: "  ",
}  # fmt: skip
SHIFT, CONTROL, ALT = KEYCODES["ShiftLeft"], KEYCODES["ControlLeft"], KEYCODES["AltLeft"]


def keyboard() -> Keyboard:
    """A US keyboard, with the prepared characters on it."""
    rows: list[list[int]] = [[] for _ in range(256)]
    for first, pairs in _ROWS.items():
        for offset in range(len(pairs) // 2):
            rows[first + offset] = [keysym(each) for each in pairs[2 * offset : 2 * offset + 2]]
    for offset, pair in enumerate(prepared()):
        rows[PREPARED_FIRST + offset] = list(pair)
    return Keyboard(0, [row or [0, 0] for row in rows])


def press(board: Keyboard, key: str, code: str = "") -> tuple[tuple[int, bool], ...]:
    """Press a key, and return the strokes."""
    event = Key(code, key, True)
    made = board.press(event)
    board.commit(event)
    return made.strokes if made is not None else ()


def test_a_key_is_found_by_what_it_types() -> None:
    """A character is pressed where it lies here, with Shift only while it needs one."""
    board = keyboard()
    assert press(board, "a", "KeyQ") == ((38, True),)
    assert press(board, "!", "Slash") == ((SHIFT, True), (10, True), (SHIFT, False))
    assert press(board, "Shift", "ShiftLeft") == ((SHIFT, True),)
    assert press(board, "B", "KeyB") == ((56, True),)
    assert press(board, ";", "Comma") == ((SHIFT, False), (47, True), (SHIFT, True))


def test_what_was_pressed_is_let_go() -> None:
    """A release lets go of what its press pressed, whatever the key reads by then; a second one does nothing."""
    board = keyboard()
    press(board, "!", "Digit1")
    assert board.release(Key("Digit1", "1", False)) == [(10, False)]
    assert board.release(Key("Digit1", "1", False)) == []
    press(board, "Shift", "ShiftLeft")
    press(board, "x", "KeyX")
    assert sorted(board.release_all()) == [(SHIFT, False), (53, False)]
    assert board.held == frozenset()


def test_a_repeat_lets_go_first() -> None:
    """A key that is down already is let go before it is pressed again."""
    board = keyboard()
    press(board, "a", "KeyA")
    assert press(board, "a", "KeyA") == ((38, False), (38, True))


def test_command_is_control() -> None:
    """Command of a Mac is Ctrl here, and what was pressed under it goes up with it."""
    board = keyboard()
    assert press(board, "Meta", "MetaLeft") == ((CONTROL, True),)
    press(board, "a", "KeyA")
    assert board.release(Key("MetaLeft", "Meta", False)) == [(38, False), (CONTROL, False)]


def test_alt_gr_does_not_act_twice() -> None:
    """The modifiers that made a character on the operator's side are lifted while it is pressed here."""
    board = keyboard()
    press(board, "Control", "ControlLeft")
    press(board, "AltGraph", "AltRight")
    assert press(board, "@", "KeyQ") == (
        (CONTROL, False), (SHIFT, True), (11, True), (SHIFT, False), (CONTROL, True),
    )  # fmt: skip


@pytest.mark.parametrize("typed", ["文", "👩‍🚀", "я"])
def test_what_no_key_has_goes_as_text(typed: str) -> None:
    """A character that is on no key here goes in as text; a shortcut with it does not."""
    board = keyboard()
    assert board.goes_as_text(Key("", typed, True))
    press(board, "Control", "ControlLeft")
    assert not board.goes_as_text(Key("KeyZ", "я", True))


@pytest.mark.parametrize("name", ["a", "ß", "Ü", " ", "Enter", "Shift", "Dead", "AudioVolumeUp", "\x07"])
def test_what_has_a_key_or_none_does_not_go_as_text(name: str) -> None:
    """Characters with a key, and keys that type nothing, are no text."""
    assert not keyboard().goes_as_text(Key("", name, True))


def test_the_prepared_characters_have_keys() -> None:
    """Umlauts, accents and the usual signs can be typed from the start."""
    board = keyboard()
    for character in [*(each for pair in LETTER_PAIRS for each in pair), *SINGLES]:
        assert press(board, character), character


def test_a_chord_is_pressed_as_a_whole() -> None:
    """Ctrl and a letter is pressed with nothing else, and what was held before is held again."""
    board = keyboard()
    press(board, "Shift", "ShiftLeft")
    assert board.command("v") == [
        (55, False), (SHIFT, False), (CONTROL, True), (55, True), (55, False), (CONTROL, False), (SHIFT, True),
    ]  # fmt: skip
    press(board, "Control", "ControlLeft")
    assert (CONTROL, False) not in board.command("c")


_REFUSED = (
    *(f"C+{key}" for key in "tnwospujhldgfke019-=+"),
    *(f"C+{key}" for key in ("Tab", "PageUp", "PageDown", "F4")),
    *(f"CS+{key}" for key in ("i", "j", "c", "t", "w", "n", "q", "b", "Delete", "Tab")),
    *(f"A+{key}" for key in ("ArrowLeft", "ArrowRight", "Home", "F4", "d", "e", "f")),
    *("F1", "F3", "F6", "F10", "F11", "F12"),
)
_ALLOWED = (
    *(f"C+{key}" for key in ("a", "c", "v", "x", "z", "y", "Enter", "Backspace", "ArrowLeft")),
    *("CS+z", "CS+v", "CS+ArrowRight", "S+Tab", "A+a"),
    *("Tab", "Enter", "Escape", "F2", "F8", "a"),
)


def chord(spelled: str) -> Chord:
    """Read C for Ctrl, S for Shift, A for Alt, and a key."""
    head, _, key = spelled.partition("+") if "+" in spelled else ("", "", spelled)
    return Chord("C" in head, "S" in head, "A" in head, key)


@pytest.mark.parametrize("spelled", _REFUSED)
def test_a_shortcut_of_the_browser_is_refused(spelled: str) -> None:
    """What acts on the browser around the page is an error that names the shortcut."""
    with pytest.raises(BadRequest, match="shortcut of the browser"):
        shortcuts.check(chord(spelled))


@pytest.mark.parametrize("spelled", _ALLOWED)
def test_a_shortcut_of_the_page_passes(spelled: str) -> None:
    """Editing keys and the page's own shortcuts pass."""
    shortcuts.check(chord(spelled))
    assert chord(spelled) not in shortcuts.RELOAD


def test_the_wheels_small_steps_add_up() -> None:
    """Pixels add up to clicks of 120, a turn the other way starts afresh, and one event cannot scroll for ever."""
    wheel = WheelTicks()
    assert [wheel.turn(0, 50) for _ in range(3)] == [[], [], [5]]
    assert wheel.turn(0, -119) == []
    assert wheel.turn(0, -1) == [4]
    assert wheel.turn(-240, 120) == [5, 6, 6]
    assert len(wheel.turn(0, 1e5)) == 20
    wheel.turn(0, 100)
    wheel.reset()
    assert wheel.turn(0, 100) == []
    assert wheel.turn(float("nan"), float("inf")) == []
