"""The sandbox's clipboard: what the operator pastes is offered there, what is copied in a page is read from there.

Texts live in X's selections for as long as their owner keeps them; `clear` takes them from whoever that is.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Any, Final

import xcffib
import xcffib.xfixes
import xcffib.xproto as x

from sandbox.display.xvfb import Xvfb
from sandbox.words import Gone, TooLarge

LONGEST: Final = 1_000_000
"""Characters of the longest text that is taken either way (a longer copy is not told)."""
_READ_S: Final = 3.0
_MOST_BYTES: Final = 4 * LONGEST
_ATOMS: Final = (
    "CLIPBOARD", "PRIMARY", "UTF8_STRING", "STRING", "TEXT", "TARGETS", "ATOM", "INCR", "BATON",
    "text/plain", "text/plain;charset=utf-8",
)  # fmt: skip
# Of XSelectionNotify: sent by hand, as ICCCM 2.2 wants it.
_NOTIFY: Final = struct.Struct("=B3xIIIII8x")


class Clipboard:
    """One display's CLIPBOARD, on a connection of its own, served by the running loop. Made by `open`.

    `on_owner` is called whenever a page has copied something, that is, has become the owner.
    """

    def __init__(self, connection: Any, on_owner: Callable[[], None]) -> None:
        self._connection = connection
        self._on_owner = on_owner
        self._loop = asyncio.get_running_loop()
        self._root = connection.setup.roots[0].root
        self._atoms = {name: connection.core.InternAtom(False, len(name), name) for name in _ATOMS}
        self._atoms = {name: cookie.reply().atom for name, cookie in self._atoms.items()}
        self._window = connection.generate_id()
        mask = [x.EventMask.PropertyChange]
        connection.core.CreateWindow(
            0, self._window, self._root, -1, -1, 1, 1, 0, x.WindowClass.InputOnly, 0, x.CW.EventMask, mask
        )
        self._text: str | None = None
        self._foreign = False
        self._waiting: asyncio.Future[bytes] | None = None
        self._parts: list[bytes] | None = None
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        owner = "ours" if self._text is not None else "a page's" if self._foreign else "empty"
        return f"<Clipboard {owner}>"

    @classmethod
    def open(cls, xvfb: Xvfb, on_owner: Callable[[], None]) -> Clipboard:
        """Begin to serve the clipboard of `xvfb`. Raises `Gone`."""
        connection: Any  # xcffib says nothing of its types
        connection, spare = xvfb.connect()
        spare.close()
        try:
            fixes = connection(xcffib.xfixes.key)
            fixes.QueryVersion(5, 0).reply()
            clipboard = cls(connection, on_owner)
            mask = xcffib.xfixes.SelectionEventMask
            for name in ("CLIPBOARD", "PRIMARY"):
                fixes.SelectSelectionInput(clipboard._window, clipboard._atoms[name], mask.SetSelectionOwner)
            connection.flush()
        except xcffib.XcffibException as error:
            raise Gone("the display of this sandbox has ended") from error
        clipboard._loop.add_reader(connection.get_file_descriptor(), clipboard._pump)
        return clipboard

    def offer(self, text: str) -> None:
        """Become the owner of the clipboard, with this text. Raises `TooLarge`, `Gone`."""
        if len(text) > LONGEST:
            raise TooLarge(f"a text of more than {LONGEST} characters; paste less at once", limit=LONGEST)
        self._text = text
        self._own(self._atoms["CLIPBOARD"], self._window)

    async def read(self) -> str:
        """Return the text that is on the clipboard; empty when there is none or its owner does not answer."""
        if self._text is not None:
            return self._text
        async with self._reading:
            self._waiting, self._parts = self._loop.create_future(), None
            try:
                async with asyncio.timeout(_READ_S):
                    self._ask()
                    raw = await self._waiting
            except TimeoutError:
                return ""
            finally:
                self._waiting = self._parts = None
        text = raw.decode("utf-8", "replace").replace("\0", "")
        return text if len(text) <= LONGEST else ""

    def clear(self) -> None:
        """Forget what was pasted, and make whoever copied something forget it, also what is merely marked."""
        self._text, self._foreign = None, False
        with contextlib.suppress(Gone):  # with the display its clipboard is gone too
            for name in ("CLIPBOARD", "PRIMARY"):
                # The owner of before is told that it lost the selection, and lets go of the text.
                self._own(self._atoms[name], self._window)
                self._own(self._atoms[name], 0)

    def close(self) -> None:
        """Stop serving; what was offered is gone with it. Safe to call again."""
        if self._connection is None:
            return
        self._loop.remove_reader(self._connection.get_file_descriptor())
        self._text = None
        with contextlib.suppress(xcffib.XcffibException):
            self._connection.disconnect()
        self._connection = None

    def _own(self, selection: int, window: int) -> None:
        if self._connection is None:
            raise Gone("the display of this sandbox has ended")
        try:
            self._connection.core.SetSelectionOwner(window, selection, x.Time.CurrentTime)
            self._connection.flush()
        except xcffib.XcffibException as error:
            raise Gone("the display of this sandbox has ended") from error

    def _ask(self) -> None:
        atoms = self._atoms
        self._connection.core.ConvertSelection(
            self._window, atoms["CLIPBOARD"], atoms["UTF8_STRING"], atoms["BATON"], x.Time.CurrentTime
        )
        self._connection.flush()

    # What the X server says.

    def _pump(self) -> None:
        try:
            # A request with a reply reads events, too: whatever has come is handled before this returns.
            while self._connection is not None and (event := self._connection.poll_for_event()) is not None:
                self._on_event(event)
            if self._connection is not None:
                self._connection.flush()
        except xcffib.XcffibException:
            # An error reply names a window that closed meanwhile; the rest ends with the connection.
            if self._connection is not None and self._connection.has_error():
                self._loop.remove_reader(self._connection.get_file_descriptor())

    def _on_event(self, event: object) -> None:
        match event:
            case x.SelectionRequestEvent():
                self._serve(event)
            case x.SelectionClearEvent() if event.selection == self._atoms["CLIPBOARD"]:
                self._text = None
            case x.SelectionNotifyEvent():
                self._on_converted(event.property)
            case x.PropertyNotifyEvent() if self._parts is not None and event.atom == self._atoms["BATON"]:
                if event.state == x.Property.NewValue:
                    self._take(*self._property())
            case xcffib.xfixes.SelectionNotifyEvent():
                if event.selection == self._atoms["CLIPBOARD"] and event.owner not in {0, self._window}:
                    self._text, self._foreign = None, True
                    self._on_owner()

    def _serve(self, event: Any) -> None:
        atoms, core = self._atoms, self._connection.core
        texts = [atoms[n] for n in ("UTF8_STRING", "text/plain;charset=utf-8", "text/plain", "STRING", "TEXT")]
        where = event.property or event.target
        if self._text is None or event.selection != atoms["CLIPBOARD"]:
            where = 0
        elif event.target == atoms["TARGETS"]:
            listed = [atoms["TARGETS"], *texts]
            core.ChangeProperty(x.PropMode.Replace, event.requestor, where, atoms["ATOM"], 32, len(listed), listed)
        elif event.target in texts:
            latin = event.target == atoms["STRING"]
            data = self._text.encode("latin-1", "replace") if latin else self._text.encode()
            core.ChangeProperty(x.PropMode.Replace, event.requestor, where, event.target, 8, len(data), data)
        else:
            where = 0
        answer = _NOTIFY.pack(31, event.time, event.requestor, event.selection, event.target, where)
        core.SendEvent(False, event.requestor, x.EventMask.NoEvent, answer)

    def _on_converted(self, where: int) -> None:
        if where == 0:
            self._answer(b"")
            return
        kind, data = self._property()
        if kind == self._atoms["INCR"]:
            self._parts = []  # it comes in pieces, the next one now that this one was deleted
        else:
            self._answer(data)

    def _take(self, kind: int, data: bytes) -> None:
        if self._parts is None or kind == self._atoms["INCR"]:
            return
        if data and sum(map(len, self._parts)) <= _MOST_BYTES:
            self._parts.append(data)
        elif not data:
            self._answer(b"".join(self._parts))

    def _answer(self, data: bytes) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(data)

    def _property(self) -> tuple[int, bytes]:
        reply = self._connection.core.GetProperty(
            True, self._window, self._atoms["BATON"], x.GetPropertyType.Any, 0, _MOST_BYTES // 4
        ).reply()
        return reply.type, bytes(reply.value.buf())
