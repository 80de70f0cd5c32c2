"""`LiveScreen` in a real Chromium: what is painted is seen, what is done arrives."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from sandbox.screen import (
    Compose,
    Copy,
    Cursor,
    InputEvent,
    Key,
    Paste,
    PointerButton,
    PointerMove,
    Prompt,
    PromptAnswer,
    PromptKind,
    Rect,
    ReleaseAll,
    Size,
    TabAction,
    Text,
    UploadedFile,
    Wheel,
)
from sandbox.words import NOBODY, Holder, OperatorId, Side
from streaming.testing import PaintedScreen, Respond, Stage, staged, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SIZE = Size(320, 240)
ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
PIXEL = """([x, y]) => {
  const copy = new OffscreenCanvas(1, 1).getContext('2d');
  copy.drawImage(document.querySelector('[data-screen]'), x, y, 1, 1, 0, 0, 1, 1);
  return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""
ARROW = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAYAAADED76LAAAAEUlEQVR4nGNgYGD4z4AHAAAg+QEAC7xW3QAAAABJRU5ErkJggg=="


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all of these."""
    path = shutil.which("chromium") or pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


class Console:
    """A page with a `LiveScreen`, and the painted screen behind it."""

    def __init__(self, page: Page, stage: Stage, screen: PaintedScreen) -> None:
        self.page = page
        self.stage = stage
        self.screen = screen

    async def shows(self, x: int, y: int, colour: tuple[int, int, int]) -> None:
        """Wait until the canvas shows exactly `colour` at remote pixel (x, y)."""
        got: list[int] = []
        for _ in range(200):
            got = await self.page.evaluate(PIXEL, [x, y])
            if got == list(colour):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"({x}, {y}) shows {got}, not {colour}")

    async def heard(self, name: str) -> list[Any]:
        """Details of the events of one name."""
        return [detail for kind, detail in await self.page.evaluate("heard") if kind == name]

    async def live(self) -> None:
        """Wait for the first picture."""
        await self.page.wait_for_function("live.state === 'live' && live.stats.frames > 0")

    async def take_keyboard(self) -> None:
        """Click into the picture, and forget the click once it has arrived."""
        await self.page.mouse.click(120, 110)
        await until(lambda: PointerButton(100, 100, "left", False) in self.screen.events)
        self.screen.events.clear()

    async def arrived(self, *events: InputEvent) -> None:
        """Wait until exactly these inputs arrived, moves aside unless they are asked for."""
        moves = any(isinstance(event, PointerMove) for event in events)

        def seen() -> list[InputEvent]:
            return [e for e in self.screen.events if moves or not isinstance(e, PointerMove)]

        try:
            await until(lambda: seen() == list(events))
        except TimeoutError:
            raise AssertionError(f"{[(repr(e), getattr(e, 'key', getattr(e, 'text', ''))) for e in seen()]}") from None


@pytest_asyncio.fixture(loop_scope="module")
async def console(browser: Browser, respond: Respond, request: pytest.FixtureRequest) -> AsyncIterator[Console]:
    """A console that drives under epoch 1; a parameter gives the page's query."""
    query = getattr(request, "param", "epoch=1")
    async with opened(browser, respond, query) as console:
        yield console


@asynccontextmanager
async def opened(browser: Browser, respond: Respond, query: str, **context: Any) -> AsyncIterator[Console]:
    """Open the page on a screen of its own."""
    screen = PaintedScreen(SIZE)
    screen.set_control(ANN, 1)
    host = context.pop("host", "127.0.0.1")
    async with staged(screen, respond=respond, host=host) as stage:
        page = await browser.new_page(viewport={"width": 900, "height": 700}, **context)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"http://{host}:{stage.port}/?{query}")
        console = Console(page, stage, screen)
        try:
            await console.live()
            yield console
        finally:
            await page.close()
        assert errors == []


async def test_painted_colours_are_seen_exactly(console: Console) -> None:
    """Each painted colour shows at its own pixels, exactly, on a canvas of the remote size."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (17, 150, 90), (250, 240, 10)]
    for number, colour in enumerate(colours):
        console.screen.paint(Rect(number * 50, 100, 50, 40), colour)

    for number, colour in enumerate(colours):
        await console.shows(number * 50 + 25, 120, colour)
        await console.shows(number * 50 + 1, 101, colour)
    assert await console.page.evaluate(
        "[...document.querySelectorAll('canvas[data-screen]')].map(c => [c.width, c.height])"
    ) == [[320, 240]]
    assert (await console.heard("picture"))[0]["kind"] == "h264-444"


@pytest.mark.parametrize("console", ["epoch=1&width=640", "epoch=1&width=213", "epoch=1&width=320"], indirect=True)
async def test_a_click_hits_the_pixel_under_it(console: Console) -> None:
    """A click on a scaled canvas arrives at the remote pixel that is drawn there."""
    box = await console.page.locator("canvas").bounding_box()
    assert box is not None
    for x, y in [(0, 0), (100, 50), (319, 239), (160, 121)]:
        console.screen.events.clear()
        scale = box["width"] / 320
        await console.page.mouse.click(box["x"] + (x + 0.5) * scale, box["y"] + (y + 0.5) * scale)
        near = 0 if scale >= 1 else 1
        await until(lambda: len([e for e in console.screen.events if isinstance(e, PointerButton)]) == 2)
        down, up = [e for e in console.screen.events if isinstance(e, PointerButton)]
        assert (down.button, down.down, up.down) == ("left", True, False)
        assert abs(down.x - x) <= near
        assert abs(down.y - y) <= near


async def test_a_drag_leaves_the_canvas(console: Console) -> None:
    """A drag that leaves the canvas goes on at its edge, and ends where it is let go."""
    mouse = console.page.mouse
    await mouse.move(120, 110)
    await mouse.down()
    await mouse.move(890, 690)
    await mouse.up()

    await console.arrived(PointerButton(100, 100, "left", True), PointerButton(319, 239, "left", False))


async def test_buttons_together(console: Console) -> None:
    """A second button while the first is down is a press of its own."""
    mouse = console.page.mouse
    await mouse.move(120, 110)
    await mouse.down()
    await mouse.down(button="right")
    await mouse.up(button="right")
    await mouse.up()

    await console.arrived(
        PointerButton(100, 100, "left", True), PointerButton(100, 100, "right", True),
        PointerButton(100, 100, "right", False), PointerButton(100, 100, "left", False),
    )  # fmt: skip


async def test_the_wheel_scrolls_the_page(console: Console) -> None:
    """Wheel deltas arrive in CSS pixels at the pointer, and the console itself does not scroll."""
    await console.page.mouse.move(120, 110)
    await console.page.mouse.wheel(0, 120)
    await console.arrived(Wheel(100, 100, 0.0, 120.0))


async def test_typing_arrives_key_by_key(console: Console) -> None:
    """Letters, capitals and the full stop arrive as keys with code and key, once each."""
    await console.take_keyboard()
    await console.page.keyboard.type("a.")
    await console.page.keyboard.press("Shift+KeyB")
    await console.page.keyboard.press("Enter")

    await console.arrived(
        Key("KeyA", "a", True), Key("KeyA", "a", False), Key("Period", ".", True), Key("Period", ".", False),
        Key("ShiftLeft", "Shift", True), Key("KeyB", "B", True), Key("KeyB", "B", False),
        Key("ShiftLeft", "Shift", False), Key("Enter", "Enter", True), Key("Enter", "Enter", False),
    )  # fmt: skip


async def test_paste_and_copy(console: Console) -> None:
    """Ctrl+V pastes the operator's clipboard as one text, Ctrl+C asks for the page's, and no letter leaks through."""
    await console.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await console.page.evaluate("navigator.clipboard.writeText('from my desk')")
    await console.take_keyboard()
    await console.page.keyboard.press("Control+KeyV")
    await console.page.keyboard.press("Control+KeyC")

    control = [Key("ControlLeft", "Control", True), Key("ControlLeft", "Control", False)]
    await console.arrived(*control, Paste("from my desk"), *control, Copy())
    console.screen.copy_text("from the page")
    await console.page.wait_for_function("heard.some(([name]) => name === 'clipboard')")
    assert await console.heard("clipboard") == [{"text": "from the page"}]


async def test_a_modifier_survives_a_copy(console: Console) -> None:
    """Ctrl that stays down over a copy is down again for the next shortcut, and up at the end."""
    keyboard = console.page.keyboard
    await console.take_keyboard()
    await keyboard.down("Control")
    await keyboard.press("KeyC")
    await keyboard.press("KeyA")
    await keyboard.up("Control")

    down, up = Key("ControlLeft", "Control", True), Key("ControlLeft", "Control", False)
    await console.arrived(down, up, Copy(), down, Key("KeyA", "a", True), Key("KeyA", "a", False), up)


async def test_input_methods_compose(console: Console) -> None:
    """What an input method composes arrives while it changes and is committed as text; no key comes with it."""
    await console.take_keyboard()
    cdp = await console.page.context.new_cdp_session(console.page)
    for text in ("k", "か", "かん"):
        await cdp.send(
            "Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
        )
    await cdp.send("Input.insertText", {"text": "漢"})

    await until(lambda: Text("漢") in console.screen.events)
    texts = [e.text for e in console.screen.events if isinstance(e, Compose)]
    assert texts[:3] == ["k", "か", "かん"]
    assert not [e for e in console.screen.events if isinstance(e, Key)]
    assert [e for e in console.screen.events if isinstance(e, Text)] == [Text("漢")]

    await console.page.keyboard.press("KeyA")
    await until(lambda: Key("KeyA", "a", False) in console.screen.events)


async def test_text_without_keys_arrives_as_text(console: Console) -> None:
    """What phone keyboards and dictation insert arrives as text."""
    await console.page.evaluate("live.focus()")
    await console.page.keyboard.insert_text("héllo 😀")
    await console.arrived(Text("héllo 😀"))


async def test_esc_twice_gives_the_keyboard_back(console: Console) -> None:
    """One Esc goes to the page; a second at once frees the keyboard."""
    await console.take_keyboard()
    await console.page.keyboard.press("Escape")
    assert await console.page.evaluate("live.keyboardActive")
    await console.page.keyboard.press("Escape")
    assert not await console.page.evaluate("live.keyboardActive")
    assert await console.heard("keyboard-released") == [None]
    await console.page.keyboard.press("KeyA")

    await console.arrived(Key("Escape", "Escape", True), Key("Escape", "Escape", False))


async def test_leaving_the_window_lets_go(console: Console) -> None:
    """When the console loses the focus everything that is down is released."""
    await console.take_keyboard()
    await console.page.keyboard.down("Shift")
    await until(lambda: Key("ShiftLeft", "Shift", True) in console.screen.events)
    await console.page.evaluate("window.dispatchEvent(new Event('blur'))")

    await until(lambda: ReleaseAll() in console.screen.events)


async def test_the_console_commands(console: Console) -> None:
    """Secret text, single keys, tabs, prompts and their files go through the same socket."""
    console.screen.set_prompts([Prompt("pr_1", PromptKind.FILE, "https://a.example")])
    await console.page.wait_for_function("heard.some(([name, detail]) => name === 'prompts' && detail.prompts.length)")
    await console.page.evaluate("""async () => {
        live.sendText('hunter2', { secret: true });
        live.sendKey('Enter');
        live.tab('reload');
        live.tab('close', 't2');
        live.paste('p');
        live.copy();
        await live.answer('pr_1', { accept: true, files: [new File(['hi'], 'a.txt')] });
    }""")

    await console.arrived(
        Text("hunter2", True), Key("Enter", "Enter", True), Key("Enter", "Enter", False), TabAction("reload"),
        TabAction("close", "t2"), Paste("p"), Copy(),
    )  # fmt: skip
    await until(lambda: console.screen.answers)
    assert console.screen.answers == [PromptAnswer("pr_1", True, files=(UploadedFile("a.txt", b"hi"),))]


@pytest.mark.parametrize("console", ["width=320"], indirect=True)
async def test_a_watcher_sends_nothing(console: Console) -> None:
    """Without an epoch to drive under no input leaves the console."""
    await console.page.mouse.click(120, 110)
    await console.page.keyboard.type("a")
    await console.page.mouse.wheel(0, 50)
    await asyncio.sleep(0.2)

    assert console.screen.events == []
    assert console.stage.hub.statistics().viewers[0].refused == 0


async def test_old_epochs_are_refused_in_the_console(console: Console) -> None:
    """After control passed on, the console hears who has it, and that its input had no effect."""
    console.screen.set_control(NOBODY, 2)
    await console.page.mouse.click(120, 110)
    await console.page.wait_for_function("heard.some(([name]) => name === 'refused')")

    assert {refused["kind"] for refused in await console.heard("refused")} == {"stale"}
    assert (await console.heard("control"))[-1] == {"holder": NOBODY.to_wire(), "epoch": 2, "mine": False}
    assert console.screen.events == []


async def test_the_remote_pointer_is_the_cursor(console: Console) -> None:
    """The remote pointer's shape is the canvas' own cursor, with its hot spot; hidden when the page hides it."""
    import base64

    console.screen.set_cursor(Cursor(base64.b64decode(ARROW), 2, 3))
    await console.page.wait_for_function("document.querySelector('canvas').style.cursor.includes('png')")
    style = await console.page.evaluate("document.querySelector('canvas').style.cursor")
    assert style.endswith(" 2 3, default")

    console.screen.set_cursor(Cursor(b"", 0, 0))
    await console.page.wait_for_function("document.querySelector('canvas').style.cursor === 'none'")


async def test_the_view_comes_back_by_itself(console: Console) -> None:
    """After a lost connection the last picture stays, the loss is said, and the view comes back and drives on."""
    console.screen.paint(Rect(0, 0, 320, 240), (10, 120, 200))
    await console.shows(50, 50, (10, 120, 200))
    for viewer in list(console.stage.hub._viewers):
        viewer._socket.transport.abort()
    await console.page.wait_for_function("live.state === 'lost'")
    await console.shows(50, 50, (10, 120, 200))

    await console.page.wait_for_function("live.state === 'live'")
    console.screen.paint(Rect(0, 0, 320, 240), (200, 20, 20))
    await console.shows(50, 50, (200, 20, 20))
    console.screen.events.clear()
    await console.page.mouse.click(120, 110)
    await console.arrived(PointerButton(100, 100, "left", True), PointerButton(100, 100, "left", False))


async def test_the_end_is_final(console: Console) -> None:
    """When the sandbox has ended the view says so and does not try again."""
    console.screen.end()
    await console.page.wait_for_function("live.state === 'closed'")
    last = (await console.heard("state"))[-1]

    assert last["code"] == 4411
    assert "ended" in last["reason"]


async def test_statistics_are_measured(console: Console) -> None:
    """Round trip, pictures and rate reach the console about once a second."""
    await console.page.evaluate("live.addEventListener('stats', e => (window.last = e.detail))")
    await console.page.wait_for_function("window.last && last.rtt > 0")
    last = await console.page.evaluate("last")

    assert last["rtt"] < 1000
    assert last["frames"] >= 1
    assert last["kind"] == "h264-444"
    assert last["way"] == "socket"
    assert last["decision"]["mode"] == "drive"


async def test_the_latency_of_input_is_measured(console: Console) -> None:
    """The time from a press to the picture of its effect becomes a statistic."""
    await console.page.wait_for_function("live.stats.rtt > 0")
    for shade in range(5):
        console.screen.events.clear()
        await console.page.mouse.click(120, 110)
        await until(lambda: console.screen.events)
        await asyncio.sleep(0.05)
        console.screen.paint(Rect(0, 0, 320, 240), (shade, 120, 200))
        await console.shows(50, 50, (shade, 120, 200))
    await console.page.wait_for_function("live.stats.inputMs > 0")

    stats = await console.page.evaluate("live.stats")
    assert 50 <= stats["inputMs"] < 1000
    assert 0 < stats["latency"] < 1000


async def test_plain_http_shows_images(browser: Browser, respond: Respond) -> None:
    """Where the browser has no decoder the picture comes as JPEG, and the console says what is off."""
    async with opened(browser, respond, "epoch=1", host="127.0.0.1") as console:
        await console.page.add_init_script("delete window.VideoDecoder")
        await console.page.reload()
        await console.live()
        console.screen.paint(Rect(0, 0, 320, 240), (10, 120, 200))
        await console.shows(50, 50, (10, 120, 200))
        (picture,) = await console.heard("picture")

        assert picture["kind"] == "jpeg"
        assert picture["reduced"]


async def test_a_painter_that_fails_starts_anew(console: Console) -> None:
    """When painting breaks, a key frame is asked for and brings the picture back."""
    await console.page.evaluate("""() => {
        const { prototype } = CanvasRenderingContext2D;
        window.torn = 0;
        for (const name of ['putImageData', 'fillRect']) {
            const real = prototype[name];
            prototype[name] = function (...all) {
                if (torn++ === 0) throw new Error('broken');
                return real.apply(this, all);
            };
        }
    }""")
    console.screen.paint(Rect(0, 0, 320, 240), (10, 120, 200))

    await console.shows(50, 50, (10, 120, 200))
    assert await console.page.evaluate("torn") > 1


async def test_fingers(browser: Browser, respond: Respond) -> None:
    """A tap clicks, a long press is the right button, one finger drags, two scroll, a pinch zooms only the picture."""
    async with opened(browser, respond, "epoch=1", has_touch=True) as console:
        cdp = await console.page.context.new_cdp_session(console.page)

        async def touch(kind: str, *points: tuple[float, float]) -> None:
            spots = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
            await cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

        await console.page.touchscreen.tap(120, 110)
        await console.arrived(PointerButton(100, 100, "left", True), PointerButton(100, 100, "left", False))

        console.screen.events.clear()
        await touch("touchStart", (120, 110))
        await console.arrived(PointerButton(100, 100, "right", True), PointerButton(100, 100, "right", False))
        await touch("touchEnd")

        console.screen.events.clear()
        await touch("touchStart", (120, 110))
        await touch("touchMove", (150, 140))
        await touch("touchMove", (170, 160))
        await touch("touchEnd")
        await console.arrived(PointerButton(100, 100, "left", True), PointerButton(150, 150, "left", False))

        console.screen.events.clear()
        await touch("touchStart", (120, 110), (160, 110))
        await touch("touchMove", (120, 80), (160, 80))
        await touch("touchEnd")
        await until(lambda: any(isinstance(e, Wheel) for e in console.screen.events))
        assert sum(e.dy for e in console.screen.events if isinstance(e, Wheel)) == 30

        console.screen.events.clear()
        await touch("touchStart", (150, 110), (170, 110))
        for spread in (20, 40, 60):
            await touch("touchMove", (160 - spread, 110), (160 + spread, 110))
        await touch("touchEnd")
        assert await console.page.evaluate("live.zoom") > 1.5
        assert console.screen.events == []

        console.screen.events.clear()
        x, y = await console.page.evaluate(
            "(() => { const b = document.querySelector('canvas').getBoundingClientRect();"
            "return [b.x + 200.5 * b.width / 320, b.y + 100.5 * b.height / 240] })()"
        )
        await console.page.touchscreen.tap(x, y)
        await console.arrived(PointerButton(200, 100, "left", True), PointerButton(200, 100, "left", False))
