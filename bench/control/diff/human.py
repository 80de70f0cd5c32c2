"""A human at a sandbox, as a script: the pointer, the keyboard, the prompts, in Chromium's own input events.

Where an element is and whether the page has come as far as it should is asked beside the input, never changed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sandbox.cdp import CdpError
from sandbox.downloads import Download
from sandbox.pages import Page, Pages
from sandbox.state import StateRoom
from sandbox.words import Gone

_PATIENCE_S: Final = 15.0
_KEYS: Final = {"Enter": 13, "Tab": 9, "Escape": 27, "Backspace": 8, "ArrowDown": 40, "End": 35, "PageDown": 34}
_WHERE: Final = """(selector => {
  const roots = [document];
  for (let i = 0; i < roots.length; i++) {
    for (const each of roots[i].querySelectorAll('*')) if (each.shadowRoot) roots.push(each.shadowRoot);
  }
  const [css, text] = selector.split(' >> ');
  for (const root of roots) {
    for (const each of root.querySelectorAll(css)) {
      if (text && !each.textContent.includes(text)) continue;
      each.scrollIntoView({block: 'center', behavior: 'instant'});
      const box = each.getBoundingClientRect();
      if (!box.width || !box.height) continue;
      return [box.x + box.width / 2, box.y + box.height / 2, box.x, box.y];
    }
  }
  return null;
})(%s)"""


class Human:
    """One operator on one browser. `to` are the answers that prompts of the page get."""

    def __init__(self, pages: Pages, room: StateRoom) -> None:
        self._pages, self._room = pages, room
        self._tasks: set[asyncio.Task[None]] = set()
        self._end: list[Callable[[], None]] = [pages.on_event(self._on_event)]
        self._accept, self._text = True, ""
        self._files: list[str] = []
        self.dialogs = 0
        self.downloads = 0
        self.first = self.page

    @property
    def page(self) -> Page:
        """The tab in front."""
        return self._pages.get(None)

    def close(self) -> None:
        """Let go of the browser."""
        for end in self._end:
            end()

    async def look(self, expression: str, page: Page | None = None) -> Any:
        """What an expression gives in a page; None while the page is on its way."""
        try:
            answer = await self._pages.call(page or self.page, "Runtime.evaluate", {
                "expression": expression, "returnByValue": True, "awaitPromise": True,
            })  # fmt: skip
        except (CdpError, Gone, TimeoutError):
            return None
        return answer["result"].get("value") if "exceptionDetails" not in answer else None

    async def see(self, expression: str) -> None:
        """Wait until an expression holds in the tab in front. Raises `TimeoutError`."""
        await self.until(lambda: self.look(expression), expression)

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait for something. Raises `TimeoutError` that says for what."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    value = holds()
                    if await value if asyncio.iscoroutine(value) else value:
                        return
                    await asyncio.sleep(0.03)
        except TimeoutError as error:
            raise TimeoutError(f"waited in vain for: {what} (at {self.page.url})") from error

    async def at(self, path: str) -> None:
        """Wait until the tab in front shows `path`, loaded."""
        await self.see(f"location.pathname === {json.dumps(path)} && document.readyState === 'complete'")

    async def click(self, selector: str, dx: float | None = None, dy: float | None = None) -> None:
        """Press the left button in the middle of an element, or at an offset from its corner."""
        where: list[list[float]] = []

        async def found() -> bool:
            box = await self.look(_WHERE % json.dumps(selector))
            if box:
                where[:] = [box]
            return bool(box)

        await self.until(found, f"something at {selector}")
        x, y, left, top = where[0]
        if dx is not None and dy is not None:
            x, y = left + dx, top + dy
        await self._mouse("mouseMoved", x, y, "none")
        await self._mouse("mousePressed", x, y, "left")
        await self._mouse("mouseReleased", x, y, "left")

    async def type(self, text: str) -> None:
        """Press the keys of a text, one after another."""
        for character in text:
            key = {"key": character, "text": character, "unmodifiedText": character}
            await self._send("Input.dispatchKeyEvent", {"type": "keyDown", **key})
            await self._send("Input.dispatchKeyEvent", {"type": "keyUp", "key": character})

    async def fill(self, selector: str, text: str) -> None:
        """Click into a field, take all that is in it, and type."""
        await self.click(selector)
        await self.press("a", modifiers=2, commands=["selectAll"])
        await self.type(text)

    async def press(self, key: str, *, modifiers: int = 0, commands: list[str] | None = None) -> None:
        """Press one named key."""
        code = _KEYS.get(key, ord(key.upper()[0]))
        event: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        text = {"Enter": "\r"}.get(key)
        down = {**event, "commands": commands or [], **({"text": text} if text else {})}
        await self._send("Input.dispatchKeyEvent", {"type": "keyDown" if text else "rawKeyDown", **down})
        await self._send("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    async def enter_secret(self, selector: str, text: str) -> None:
        """Click into a field and use the console's secret entry."""
        await self.click(selector)
        await self._room.secret_entry()
        await self._send("Input.insertText", {"text": text})

    async def choose(self, selector: str, beginning: str) -> None:
        """Focus a list of choices and type how the wanted one begins."""
        await self.look(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.type(beginning)

    async def wheel(self, selector: str, distance: float) -> None:
        """Turn the wheel over an element."""
        box = await self.look(_WHERE % json.dumps(selector))
        params = {"type": "mouseWheel", "x": box[0], "y": box[1], "deltaX": 0, "deltaY": distance}
        await self._send("Input.dispatchMouseEvent", params)

    async def upload(self, selector: str, file: Path) -> None:
        """Press a file field; the console's own chooser answers with `file`."""
        self._files = [str(file)]
        await self._send("Page.setInterceptFileChooserDialog", {"enabled": True})
        await self.click(selector)
        await self.until(lambda: not self._files, "a file chooser")

    async def answer(self, accept: bool, text: str = "") -> None:
        """How prompts are answered from now on."""
        self._accept, self._text = accept, text

    async def set_cookie(self, cookie: dict[str, Any]) -> None:
        """Store a cookie (a `Network.CookieParam`)."""
        await self._pages.connection.call("Storage.setCookies", {"cookies": [cookie]})

    async def go(self, url: str) -> None:
        """The address bar."""
        await self._send("Page.navigate", {"url": url})

    async def new_tab(self, url: str) -> None:
        """Open a tab."""
        count = len(self._pages.all)
        await self._pages.connection.call("Target.createTarget", {"url": url})
        await self.until(lambda: len(self._pages.all) > count, "a new tab")

    async def close_tab(self, page: Page) -> None:
        """Close a tab."""
        await self._pages.connection.call("Target.closeTarget", {"targetId": page.target})
        await self.until(lambda: page not in self._pages.all, "the tab to close")

    async def tabs(self, count: int) -> None:
        """Wait until there are so many tabs, the one in front loaded."""
        await self.until(lambda: len(self._pages.all) == count, f"{count} tabs")
        await self.see("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def settled(self) -> None:
        """A human who reads, or a page that no condition can be asked of: a second passes."""
        await asyncio.sleep(1)

    async def downloaded(self, count: int) -> None:
        """Wait until so many downloads are complete."""
        await self.until(lambda: self.downloads >= count, "a download")

    def note_download(self, download: Download) -> None:
        """A download went on: the room is told, as the keeper tells it."""
        self._room.note_download(download.name, download.state, download.size)
        self.downloads += download.state == "completed"

    async def _mouse(self, kind: str, x: float, y: float, button: str) -> None:
        params = {"type": kind, "x": x, "y": y, "button": button, "clickCount": int(button != "none")}
        await self._send("Input.dispatchMouseEvent", params)

    async def _send(self, method: str, params: dict[str, Any]) -> None:
        # A page that goes away or asks under the pointer answers late or never.
        try:
            await self._pages.call(self.page, method, params, 3)
        except (CdpError, Gone, TimeoutError):
            return

    def _on_event(self, page: Page, session: str, method: str, params: dict[str, Any]) -> None:
        if method == "Page.javascriptDialogOpening":
            self._spawn(self._dialog(page, session, params))
        elif method == "Page.fileChooserOpened":
            self._spawn(self._chooser(session, params))

    async def _dialog(self, page: Page, session: str, params: dict[str, Any]) -> None:
        answer = {"accept": self._accept, "promptText": self._text}
        await self._pages.connection.call("Page.handleJavaScriptDialog", answer, session)
        self._room.note_dialog(params["type"], page.url, self._accept)
        self.dialogs += 1

    async def _chooser(self, session: str, params: dict[str, Any]) -> None:
        files = {"files": self._files, "backendNodeId": params["backendNodeId"]}
        await self._pages.connection.call("DOM.setFileInputFiles", files, session)
        self._files = []

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
