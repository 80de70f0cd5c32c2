"""A window manager of one rule: every window of the browser fills the screen from (0, 0), but for one pixel.

That pixel is Chromium's own habit: without a window manager it makes a window that would cover the screen one pixel
smaller each way. Keeping to it, a page is laid out here exactly as in any kiosk Chromium on a bare display, which is
what instruments compare with. Menus and select popups are override-redirect windows, which no window manager sees.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import xcffib
import xcffib.xproto as x

from sandbox.cdp import CdpError
from sandbox.display.xvfb import Xvfb
from sandbox.pages import Pages
from sandbox.screen import Size
from sandbox.words import Gone

_GEOMETRY: Final = x.ConfigWindow.X | x.ConfigWindow.Y | x.ConfigWindow.Width | x.ConfigWindow.Height
_STACKING: Final = x.ConfigWindow.StackMode


class WindowManager:
    """Manages one display from `open` to `close`."""

    def __init__(self, connection: Any, size: Size) -> None:
        self._connection = connection
        self._size = size
        self._managed: list[int] = []
        self._loop = asyncio.get_running_loop()
        self._descriptor = connection.get_file_descriptor()

    def __repr__(self) -> str:
        return f"<WindowManager {len(self._managed)} windows of {self._size.width}x{self._size.height}>"

    @classmethod
    def open(cls, xvfb: Xvfb) -> WindowManager:
        """Take over the windows of `xvfb`, before anything is shown there. Raises `Gone`."""
        connection: Any  # xcffib says nothing of its types
        connection, spare = xvfb.connect()
        spare.close()
        try:
            root = connection.setup.roots[0].root
            mask = x.EventMask.SubstructureRedirect | x.EventMask.SubstructureNotify
            connection.core.ChangeWindowAttributesChecked(root, x.CW.EventMask, [mask]).check()
        except xcffib.XcffibException as error:
            raise Gone("the display of this sandbox has ended") from error
        manager = cls(connection, xvfb.size)
        manager._loop.add_reader(manager._descriptor, manager._read)
        return manager

    def close(self) -> None:
        """Let the windows be. Safe to call again."""
        self._loop.remove_reader(self._descriptor)
        with contextlib.suppress(xcffib.XcffibException):
            self._connection.disconnect()

    def _read(self) -> None:
        try:
            while (event := self._connection.poll_for_event()) is not None:
                self._on_event(event)
            self._connection.flush()
        except xcffib.XcffibException:
            # An error reply names a window that closed meanwhile; the rest ends with the connection.
            if self._connection.has_error():
                self._loop.remove_reader(self._descriptor)

    def _on_event(self, event: object) -> None:
        match event:
            case x.MapRequestEvent():
                self._fill(event.window)
                self._connection.core.MapWindow(event.window)
            case x.ConfigureRequestEvent():
                self._fill(event.window)
                if event.value_mask & _STACKING:
                    self._connection.core.ConfigureWindow(event.window, _STACKING, [event.stack_mode])
            case x.MapNotifyEvent() if not event.override_redirect:
                self._focus(event.window)
            case x.UnmapNotifyEvent() if event.window in self._managed:
                self._managed.remove(event.window)
                if self._managed:
                    self._focus(self._managed[-1])

    def _fill(self, window: int) -> None:
        self._connection.core.ConfigureWindow(window, _GEOMETRY, [0, 0, self._size.width - 1, self._size.height - 1])

    def _focus(self, window: int) -> None:
        if window in self._managed:
            self._managed.remove(window)
        self._managed.append(window)
        self._connection.core.SetInputFocus(x.InputFocus.PointerRoot, window, x.Time.CurrentTime)


class FullScreen:
    """Takes the location bar off popups: each window of the browser is told to be full screen, once."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._seen: set[str] = set()
        self._windows: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._end = pages.on_change(self._look)
        self._look()

    def close(self) -> None:
        """Stop looking at new pages."""
        self._end()
        for task in self._tasks:
            task.cancel()

    def _look(self) -> None:
        for page in self._pages.all:
            if page.target not in self._seen:
                self._seen.add(page.target)
                task = asyncio.create_task(self._fill(page.target))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _fill(self, target: str) -> None:
        call = self._pages.connection.call
        try:
            window = await call("Browser.getWindowForTarget", {"targetId": target})
            if window["windowId"] in self._windows:
                return
            self._windows.add(window["windowId"])
            if window["bounds"].get("windowState") != "fullscreen":
                bounds = {"windowState": "fullscreen"}
                await call("Browser.setWindowBounds", {"windowId": window["windowId"], "bounds": bounds})
        except (CdpError, Gone, TimeoutError):
            return  # the page closed again
