"""What an operator types, on a real display and in a real page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from sandbox.screen import Compose, Copy, Key, Paste, PointerMove, Text, Wheel
from sandbox.words import BadRequest, StaleEpoch, TooLarge
from tests.sandbox.display.rig import BOB

if TYPE_CHECKING:
    from tests.sandbox.display.rig import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FIELD = "<textarea id=o autofocus style='width:600px;height:200px'></textarea>"
LOG = """<script>
  window.downs = []; window.events = [];
  addEventListener('keydown', e => downs.push([e.key, e.code, e.keyCode, e.isTrusted]));
  for (const name of ['paste', 'copy']) addEventListener(name, e => events.push(name));
</script>"""
VALUE = "document.querySelector('#o').value"


def code_of(character: str) -> str:
    """The `code` of a key on a US keyboard, as far as it matters."""
    if character.isascii() and character.isalpha():
        return f"Key{character.upper()}"
    return {" ": "Space", ".": "Period", ";": "Semicolon"}.get(character, "")


async def type_in(desk: Desk, text: str) -> None:
    """Type as the console does."""
    for character in text:
        await desk.do(Key(code_of(character), character, True), Key(code_of(character), character, False))


async def test_what_is_typed_is_what_the_page_gets(desk: Desk) -> None:
    """Letters, punctuation, umlauts and Chinese arrive as typed, without a click first; most by keydown."""
    await desk.open(FIELD + LOG)
    text = "The quick.brown; ÄÖÜ ß € @ {} 中文"
    await type_in(desk, text)
    await desk.until(VALUE, text)
    downs = [down for down in await desk.run("downs") if down[0] != "Shift"]
    assert [down[0] for down in downs] == list(text.removesuffix("中文"))
    assert ["T", "KeyT", 84, True] in downs
    assert [".", "Period", 190, True] in downs


async def test_no_character_is_lost_however_rare(desk: Desk) -> None:
    """Characters that are on no keyboard arrive in order with those that are, as fast as they come."""
    await desk.open(FIELD)
    text = "".join(chr(0x4E00 + n) + "aß"[n % 2] for n in range(120))
    await type_in(desk, text)
    await desk.until(VALUE, text)


async def test_a_held_key_repeats_as_the_operators_does(desk: Desk) -> None:
    """Each repeat that is forwarded types once more, and none comes by itself."""
    await desk.open(FIELD)
    await desk.do(*[Key("KeyA", "a", True)] * 4)
    await asyncio.sleep(0.7)  # longer than the delay after which X servers begin to repeat
    await desk.do(Key("KeyA", "a", False))
    await type_in(desk, "b")
    await desk.until(VALUE, "aaaab")


async def test_a_cyrillic_shortcut_is_the_latin_one_in_its_place(desk: Desk) -> None:
    """Ctrl with a letter of another alphabet does what the key does elsewhere, and is refused where that is."""
    await desk.open(FIELD)
    await type_in(desk, "ab")
    await desk.key("ф", "KeyA", held=["Control"])
    await desk.key("Delete")
    await desk.until(VALUE, "")
    with pytest.raises(BadRequest):
        await desk.key("е", "KeyT", held=["Control"])  # noqa: RUF001 - Cyrillic


async def test_keys_and_text_keep_their_order(desk: Desk) -> None:
    """Text that goes in as text does not overtake keys, nor keys it."""
    await desk.open(FIELD)
    for _ in range(12):
        await type_in(desk, "ab")
        await desk.do(Text("文"))
    await desk.until(VALUE, "ab文" * 12)


async def test_what_no_key_types_goes_as_text(desk: Desk) -> None:
    """An emoji of several characters, which no key of X can be, arrives all the same."""
    await desk.open(FIELD)
    await desk.do(Key("", "👩‍🚀", True), Key("", "👩‍🚀", False))
    await desk.until(VALUE, "👩‍🚀")


async def test_editing_keys_edit(desk: Desk) -> None:
    """Backspace, arrows, Home, Enter and Ctrl+A do what they do."""
    await desk.open(FIELD)
    await type_in(desk, "abc")
    for name in ("Backspace", "Home", "Delete", "End", "Enter"):
        await desk.key(name)
    await type_in(desk, "x")
    await desk.until(VALUE, "b\nx")
    await desk.key("a", "KeyA", held=["Control"])
    await desk.key("Delete")
    await desk.until(VALUE, "")


async def test_shift_of_the_operator_is_used(desk: Desk) -> None:
    """Shift, held for real, selects with the arrows and makes capitals."""
    await desk.open(FIELD)
    await type_in(desk, "ab")
    await desk.key("ArrowLeft", held=["Shift"])
    await desk.key("Z", "KeyZ", held=["Shift"])
    await desk.until(VALUE, "aZ")


async def test_text_reaches_a_frame_of_another_process(desk: Desk) -> None:
    """Keys and text go to the focused field, also inside a frame of another site."""
    inner = "<!doctype html><body style='margin:0'><input id=i style='width:200px;height:30px'>"
    desk.site.pages["/inner"] = inner
    frame = desk.site.url("/inner", "localhost")
    await desk.open(f"<iframe style='position:absolute;left:50px;top:100px;border:0' src='{frame}'></iframe>")
    session = next(iter(desk.page.frames))
    await desk.click(100, 115)
    await desk.until("document.activeElement.tagName", "IFRAME")
    await type_in(desk, "a")
    await desk.do(Text("文"), Compose("x"), Compose(""), Text("b"))
    assert await desk.run("document.querySelector('#i').value", session) == "a文b"


async def test_a_composition_is_shown_and_committed(desk: Desk) -> None:
    """An input method's unfinished text is in the field, and its end leaves the finished text only."""
    await desk.open(FIELD + "<script>o.addEventListener('compositionupdate', e => window.seen = e.data)</script>")
    await desk.do(Compose("ni"), Compose("nih"))
    await desk.until(VALUE, "nih")
    assert await desk.run("seen") == "nih"
    await desk.do(Text("你好"))
    await desk.until(VALUE, "你好")


async def test_a_composition_is_given_up(desk: Desk) -> None:
    """An empty composition, and letting go of everything, leave nothing of the unfinished text."""
    await desk.open(FIELD)
    await desk.do(Compose("ni"), Compose(""))
    await desk.until(VALUE, "")
    await desk.do(Compose("ni"))
    desk.screen.release_all()
    await desk.until(VALUE, "")


async def test_paste_is_a_real_paste(desk: Desk) -> None:
    """Pasted text arrives with a paste event, whatever modifiers are held, in order with the keys around it."""
    await desk.open(FIELD + LOG)
    await type_in(desk, "a")
    await desk.do(Key("ShiftLeft", "Shift", True), Paste("ünï 中文\nzwei"), Key("ShiftLeft", "Shift", False))
    await type_in(desk, "b")
    await desk.do(Text("文"))
    await desk.until(VALUE, "aünï 中文\nzweib文")
    assert await desk.run("events") == ["paste"]


async def test_a_long_text_can_be_pasted(desk: Desk) -> None:
    """Texts far larger than an X request usually is pass; one beyond the bound is refused."""
    await desk.open(FIELD)
    await desk.do(Paste("ä" * 700_000))
    await desk.until(f"{VALUE}.length", 700_000)
    with pytest.raises(TooLarge):
        await desk.do(Paste("x" * 1_000_001))


async def test_a_copy_arrives(desk: Desk) -> None:
    """What is copied in the page, by the console's copy or by the page itself, is told."""
    await desk.open(FIELD + LOG)
    await desk.do(Text("grüße 中文"))
    await desk.key("a", "KeyA", held=["Control"])
    await desk.do(Copy())
    await desk.heard(["grüße 中文"])
    assert await desk.run("events") == ["copy"]
    await desk.key("x", "KeyX", held=["Control"])
    await desk.heard(["grüße 中文", "grüße 中文"])


async def test_a_long_copy_arrives(desk: Desk) -> None:
    """A copy that its owner hands over in pieces arrives whole."""
    await desk.open(FIELD + "<script>o.value = 'äb'.repeat(300000); o.select()</script>")
    await desk.do(Copy())
    await desk.heard(["äb" * 300_000])


async def test_nothing_copied_tells_nothing(desk: Desk) -> None:
    """Asking for a copy with nothing marked, and pasting, tell no copy."""
    await desk.open(FIELD)
    await desk.do(Copy(), Paste("p"))
    await desk.until(VALUE, "p")
    assert desk.ear.copied == []


@pytest.mark.parametrize("copied", [False, True])
async def test_the_clipboard_is_cleared_with_control(desk: Desk, copied: bool) -> None:
    """What one holder pasted or copied cannot be pasted by the next one."""
    await desk.open(FIELD + LOG)
    await desk.do(Paste("hunter2"))
    await desk.until(VALUE, "hunter2")
    if copied:
        await desk.key("a", "KeyA", held=["Control"])
        await desk.do(Copy())
        await desk.heard(["hunter2"])
    await desk.run("o.value = ''; events.length = 0; o.focus()")
    desk.give(None)
    desk.give(BOB)
    await desk.key("v", "KeyV", held=["Control"])
    await type_in(desk, "x")
    await desk.until(VALUE, "x")


async def test_secret_text_is_announced_first(desk: Desk) -> None:
    """Before secret text goes in, the hook is awaited; what lost control meanwhile is not typed."""
    await desk.open(FIELD)
    seen: list[str] = []

    async def hook() -> None:
        seen.append(await desk.run(VALUE))

    async def robbing() -> None:
        desk.give(BOB)

    desk.screen.on_secret_entry = hook
    try:
        await desk.do(Text("open"))
        assert seen == []
        await desk.do(Text("sesame", secret=True))
        assert seen == ["open"]
        desk.screen.on_secret_entry = robbing
        with pytest.raises(StaleEpoch):
            await desk.do(Text("hunter2", secret=True))
    finally:
        desk.screen.on_secret_entry = None
    assert await desk.run(VALUE) == "opensesame"


@pytest.mark.parametrize(("key", "held"), [("F5", []), ("r", ["Control"]), ("R", ["Control", "Shift"])])
async def test_reload_keys_reload(desk: Desk, key: str, held: Sequence[str]) -> None:
    """F5 and Ctrl+R reload the page."""
    await desk.open("<p>x")
    await desk.run("window.old = true")
    await desk.key(key, held=held)
    await desk.until("!window.old && document.readyState", "complete")


async def test_shortcuts_of_the_browser_are_refused(desk: Desk) -> None:
    """A shortcut of the browser's own chrome opens no window and leaves no key down."""
    await desk.open(FIELD)
    with pytest.raises(BadRequest):
        await desk.key("t", "KeyT", held=["Control"])
    with pytest.raises(BadRequest):
        await desk.key("I", "KeyI", held=["Control", "Shift"])
    with pytest.raises(BadRequest):
        await desk.key("ArrowLeft", held=["Alt"])
    await desk.do(Key("ControlLeft", "Control", True))
    with pytest.raises(BadRequest):
        await desk.do(PointerMove(9, 9), Wheel(9, 9, 0, 120))
    await desk.do(Key("ControlLeft", "Control", False))
    assert len(desk.pages.all) == 1
    assert desk.pressed() == (set(), 0)
