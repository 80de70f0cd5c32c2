"""Who listens to a screen, and what they were last told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sandbox.fence import Fence
from sandbox.pages import Pages
from sandbox.screen import Cursor, Prompt, Rect, ScreenListener, Tab
from sandbox.words import Epoch, Holder


class Audience:
    """The listeners of one screen. Tabs and control come from `pages` and `fence`; the rest is told by the screen."""

    def __init__(self, pages: Pages, fence: Fence, cursor: Cursor) -> None:
        self._pages = pages
        self._fence = fence
        self._listeners: list[ScreenListener] = []
        self._cursor = cursor
        self._tabs: tuple[Tab, ...] = pages.tabs()
        self._prompts: tuple[Prompt, ...] = ()
        self._masks: tuple[Rect, ...] = ()
        self._ends = [pages.on_change(self._on_tabs), fence.listen(self._on_control)]

    def __repr__(self) -> str:
        return f"<Audience [listeners: {len(self._listeners)} | prompts: {len(self._prompts)}]>"

    def listen(self, listener: ScreenListener) -> Callable[[], None]:
        """Implement `sandbox.screen.Screen.listen`."""
        self._listeners.append(listener)
        listener.on_control(self._fence.holder, self._fence.epoch)
        listener.on_tabs(self._tabs)
        listener.on_cursor(self._cursor)
        listener.on_prompts(self._prompts)
        listener.on_masks(self._masks)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def close(self) -> None:
        """Stop hearing pages and fence."""
        for end in self._ends:
            end()

    def set_cursor(self, cursor: Cursor) -> None:
        """Tell a new pointer shape."""
        if cursor != self._cursor:
            self._cursor = cursor
            for listener in list(self._listeners):
                listener.on_cursor(cursor)

    def set_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Tell the open prompts."""
        if tuple(prompts) != self._prompts:
            self._prompts = tuple(prompts)
            for listener in list(self._listeners):
                listener.on_prompts(self._prompts)

    def set_masks(self, masks: Sequence[Rect]) -> None:
        """Tell what must be covered."""
        if tuple(masks) != self._masks:
            self._masks = tuple(masks)
            for listener in list(self._listeners):
                listener.on_masks(self._masks)

    def tell_clipboard(self, text: str) -> None:
        """Tell a text that was copied; it is not kept."""
        for listener in list(self._listeners):
            listener.on_clipboard(text)

    def _on_tabs(self) -> None:
        tabs = self._pages.tabs()
        if tabs != self._tabs:
            self._tabs = tabs
            for listener in list(self._listeners):
                listener.on_tabs(tabs)

    def _on_control(self, holder: Holder, epoch: Epoch) -> None:
        for listener in list(self._listeners):
            listener.on_control(holder, epoch)
