"""Input by DevTools, on Baton's own sessions: text, composition, fingers and tabs; mouse and keys where there is no X.

Every write to the pipe is made right after the fence was asked, with nothing awaited in between. The browser hands
what goes to a page's main session to whichever frame has the focus, also one of another process (measured).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from sandbox.cdp import CdpError
from sandbox.display.cdp_keys import key_event, modifier_bits
from sandbox.display.keysyms import MODIFIERS
from sandbox.fence import Fence
from sandbox.pages import Page, Pages
from sandbox.screen import Compose, Key, PointerButton, PointerMove, TabAction, Text, Touch, Wheel
from sandbox.words import Clock, Conflict, Epoch, NotFound, OperatorId, SystemClock, Unavailable

_ANSWER_S: Final = 5.0
_TWICE_S: Final = 0.5
_TWICE_PX: Final = 4
_TOUCHES: Final = {"start": "touchStart", "move": "touchMove", "end": "touchEnd", "cancel": "touchCancel"}
_BUTTON_BITS: Final = {"left": 1, "right": 2, "middle": 4, "back": 8, "forward": 16}


class CdpInput:
    """Does what an operator did, if they hold control at that moment; remembers what is down.

    Every method raises `StaleEpoch` and `HeldByAnother` as the fence does, `NotFound` when there is no such tab, and
    `Unavailable` when the page does not answer.
    """

    def __init__(self, pages: Pages, fence: Fence, clock: Clock | None = None) -> None:
        self._pages = pages
        self._fence = fence
        self._clock: Clock = clock or SystemClock()
        self.on_secret_entry: Callable[[], Awaitable[object]] | None = None
        """Awaited before secret text goes into the focused field."""
        self._touched: str | None = None
        self._composed: str | None = None
        self._keys: dict[str, tuple[Key, str]] = {}
        self._buttons: dict[str, tuple[PointerButton, str]] = {}
        self._clicked: tuple[str, float, int, int] = ("", 0.0, 0, 0)
        self._clicks = 0

    def __repr__(self) -> str:
        touched = ", touched" if self._touched else ""
        return f"<CdpInput {len(self._keys)} keys, {len(self._buttons)} buttons down{touched}>"

    async def text(self, event: Text, operator: OperatorId, epoch: Epoch) -> None:
        """Put text into the focused field; it also ends a composition."""
        if event.secret and self.on_secret_entry is not None:
            self._fence.check_operator(operator, epoch)
            await self.on_secret_entry()
        self._fence.check_operator(operator, epoch)
        page, self._composed = self._page(), None
        await self._write(page, "Input.insertText", {"text": event.text}, operator, epoch)

    async def compose(self, event: Compose, operator: OperatorId, epoch: Epoch) -> None:
        """Show an input method's unfinished text in the focused field."""
        page, end = self._page(), _utf16(event.text)
        params = {"text": event.text, "selectionStart": end, "selectionEnd": end}
        self._fence.check_operator(operator, epoch)
        self._composed = page.session if event.text else None
        await self._write(page, "Input.imeSetComposition", params, operator, epoch)

    async def touch(self, event: Touch, operator: OperatorId, epoch: Epoch) -> None:
        """Put fingers on the page, move them, lift them. One that is missing has been lifted."""
        self._fence.check_operator(operator, epoch)
        page = self._page()
        if self._touched not in {None, page.session}:
            self._lift_fingers()  # another tab has come to the front meanwhile
        if event.phase != "start" and self._touched is None:
            return
        points = [{"id": point.id, "x": point.x, "y": point.y} for point in event.points]
        kind = _TOUCHES[event.phase]
        if event.phase == "cancel":
            points = []
        elif event.phase == "end" and points:
            kind = "touchMove"  # CDP compares the points with those before; only the last finger's end is an end
        self._touched = page.session if points else None
        await self._write(page, "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}, operator, epoch)

    async def tab(self, event: TabAction, operator: OperatorId, epoch: Epoch) -> None:
        """Do what the buttons of a browser do. Raises `Conflict` for closing the last tab."""
        self._fence.check_operator(operator, epoch)
        page = self._pages.get(event.tab)
        match event.action:
            case "activate":
                await self._show(page, operator, epoch)
            case "reload":
                await self._write(page, "Page.reload", {}, operator, epoch)
            case "back" | "forward":
                await self._travel(page, 1 if event.action == "forward" else -1, operator, epoch)
            case "close":
                await self._close(page, operator, epoch)

    async def move(self, event: PointerMove, operator: OperatorId, epoch: Epoch) -> None:
        """Move the mouse."""
        await self._mouse("mouseMoved", event.x, event.y, {}, operator, epoch)

    async def button(self, event: PointerButton, operator: OperatorId, epoch: Epoch) -> None:
        """Press or let go of a mouse button; letting go of one that is up does nothing."""
        self._fence.check_operator(operator, epoch)
        if event.down:
            self._count(event)
            self._buttons[event.button] = (event, self._page().session)
        elif self._buttons.pop(event.button, None) is None:
            return
        kind = "mousePressed" if event.down else "mouseReleased"
        params = {"button": event.button, "clickCount": self._clicks}
        await self._mouse(kind, event.x, event.y, params, operator, epoch)

    async def wheel(self, event: Wheel, operator: OperatorId, epoch: Epoch) -> None:
        """Turn the wheel."""
        await self._mouse("mouseWheel", event.x, event.y, {"deltaX": event.dx, "deltaY": event.dy}, operator, epoch)

    async def key(self, event: Key, operator: OperatorId, epoch: Epoch) -> None:
        """Press or let go of a key; letting go of one that is up does nothing."""
        self._fence.check_operator(operator, epoch)
        page, name = self._page(), event.code or event.key
        repeat = name in self._keys
        if event.down:
            self._keys[name] = (event, page.session)
        elif self._keys.pop(name, None) is None:
            return
        params = key_event(event, self._held(), repeat=repeat and event.down)
        await self._write(page, "Input.dispatchKeyEvent", params, operator, epoch)

    @property
    def composing(self) -> bool:
        """Whether an input method's unfinished text is shown."""
        return self._composed is not None

    def release_all(self) -> None:
        """Let go of every finger, button, key and unfinished text, at once. Raises `Gone`."""
        for event, session in list(self._keys.values()):
            up = Key(event.code, event.key, down=False)
            self._keys.pop(event.code or event.key)
            self._send(session, "Input.dispatchKeyEvent", key_event(up, self._held(), repeat=False))
        for button, session in list(self._buttons.values()):
            self._buttons.pop(button.button)
            params = {
                "type": "mouseReleased", "x": button.x, "y": button.y, "button": button.button, "clickCount": 1,
                "buttons": self._bits(),
            }  # fmt: skip
            self._send(session, "Input.dispatchMouseEvent", params)
        self._lift_fingers()
        composed, self._composed = self._composed, None
        if composed is not None:
            params = {"text": "", "selectionStart": 0, "selectionEnd": 0}
            self._send(composed, "Input.imeSetComposition", params)

    def _lift_fingers(self) -> None:
        touched, self._touched = self._touched, None
        if touched is not None:
            self._send(touched, "Input.dispatchTouchEvent", {"type": "touchCancel", "touchPoints": []})

    # How it is written.

    def _page(self) -> Page:
        page = self._pages.active
        if page is None:
            raise NotFound("the sandbox has no tab left")
        return page

    async def _write(
        self, page: Page | str, method: str, params: dict[str, Any], operator: OperatorId, epoch: Epoch
    ) -> dict[str, Any]:
        session = page if isinstance(page, str) else page.session
        self._fence.check_operator(operator, epoch)
        return await self._answer(self._pages.connection.call(method, params, session, _ANSWER_S))

    @staticmethod
    async def _answer[T](call: Awaitable[T]) -> T:
        try:
            return await call
        except TimeoutError:
            raise Unavailable("the page does not answer; reload it, or wait") from None
        except CdpError as error:
            # What Chromium says may quote what was typed.
            raise Unavailable("the page did not take this input; it may just have closed") from error

    def _send(self, session: str, method: str, params: dict[str, Any]) -> None:
        message = {"id": 0, "method": method, "params": params, "sessionId": session}
        self._pages.connection.forward(message, lambda _reply: None)

    # Mouse and keys.

    async def _mouse(
        self, kind: str, x: int, y: int, more: dict[str, Any], operator: OperatorId, epoch: Epoch
    ) -> None:  # fmt: skip
        params = {"type": kind, "x": x, "y": y, "modifiers": modifier_bits(self._held()), "buttons": self._bits()}
        if kind == "mouseMoved" and self._buttons:
            params["button"] = next(iter(self._buttons))
        await self._write(self._page(), "Input.dispatchMouseEvent", params | more, operator, epoch)

    def _count(self, event: PointerButton) -> None:
        button, at, x, y = self._clicked
        now = self._clock.monotonic()
        near = abs(event.x - x) <= _TWICE_PX and abs(event.y - y) <= _TWICE_PX
        again = button == event.button and now - at <= _TWICE_S and near
        self._clicks = self._clicks % 3 + 1 if again else 1
        self._clicked = (event.button, now, event.x, event.y)

    def _bits(self) -> int:
        return sum(_BUTTON_BITS[name] for name in self._buttons)

    def _held(self) -> set[str]:
        return {event.key for event, _ in self._keys.values() if event.key in MODIFIERS}

    # Tabs.

    async def _show(self, page: Page, operator: OperatorId, epoch: Epoch) -> None:
        self._fence.check_operator(operator, epoch)
        await self._answer(self._pages.activate(page.target))
        # The keyboard too: a new tab has it in its address bar, which nobody sees (measured).
        await self._write(page, "Page.bringToFront", {}, operator, epoch)

    async def _travel(self, page: Page, step: int, operator: OperatorId, epoch: Epoch) -> None:
        history = await self._write(page, "Page.getNavigationHistory", {}, operator, epoch)
        index = history["currentIndex"] + step
        if 0 <= index < len(history["entries"]):
            entry = {"entryId": history["entries"][index]["id"]}
            await self._write(page, "Page.navigateToHistoryEntry", entry, operator, epoch)

    async def _close(self, page: Page, operator: OperatorId, epoch: Epoch) -> None:
        others = [other for other in self._pages.all if other is not page]
        if not others:
            raise Conflict("this is the last tab, and it stays: the sandbox ends with it")
        if page is self._pages.active:
            await self._show(others[-1], operator, epoch)
        self._fence.check_operator(operator, epoch)
        closing = self._pages.connection.call("Target.closeTarget", {"targetId": page.target})
        await self._answer(closing)


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
