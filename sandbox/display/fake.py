"""Sending input events to the X server (XTEST)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

import xcffib
import xcffib.xproto
import xcffib.xtest

from sandbox.display.keyboard import PREPARED_FIRST, Keyboard, prepared
from sandbox.display.xvfb import Xvfb
from sandbox.words import Gone

_KEY_PRESS: Final = 2
_KEY_RELEASE: Final = 3
_BUTTON_PRESS: Final = 4
_BUTTON_RELEASE: Final = 5
_MOTION: Final = 6
_PER_KEYCODE: Final = 2
# XClientMessageEvent with five 32-bit words.
_MESSAGE: Final = struct.Struct("=BBxxII5I")
_CLIENT_MESSAGE: Final = 33
_NO_WINDOW: Final = 1


class FakeInput:
    """A connection of its own that presses keys and moves the pointer. Every call is written to the server at once."""

    def __init__(self, xvfb: Xvfb) -> None:
        self._connection, self._plug = xvfb.connect()
        self._plug.close()
        self._test = self._connection(xcffib.xtest.key)
        self._test.GetVersion(2, 2).reply()
        self._root = self._connection.setup.roots[0].root
        self._buttons: set[int] = set()
        names = ("WM_PROTOCOLS", "_NET_WM_PING")
        atoms = [self._connection.core.InternAtom(False, len(name), name) for name in names]
        self._protocols, self._ping = (cookie.reply().atom for cookie in atoms)

    def __repr__(self) -> str:
        return f"<FakeInput buttons={sorted(self._buttons)}>"

    def read_keyboard(self) -> Keyboard:
        """Lay the prepared characters on the keyboard and return its map."""
        setup = self._connection.setup
        extra = prepared()
        flat = [symbol for pair in extra for symbol in pair]
        self._connection.core.ChangeKeyboardMapping(len(extra), PREPARED_FIRST, _PER_KEYCODE, flat)
        count = setup.max_keycode - setup.min_keycode + 1
        reply = self._connection.core.GetKeyboardMapping(setup.min_keycode, count).reply()
        width, symbols = reply.keysyms_per_keycode, list(reply.keysyms)
        rows = [symbols[i * width : (i + 1) * width] for i in range(count)]
        return Keyboard(setup.min_keycode, rows)

    def move(self, x: int, y: int) -> None:
        """Move the pointer."""
        self._send(_MOTION, 0, x, y)
        self._flush()

    def button(self, x: int, y: int, number: int, down: bool) -> None:
        """Press or let go of a button at a place; letting go of one that is up does nothing."""
        self._send(_MOTION, 0, x, y)
        if down or number in self._buttons:
            self._send(_BUTTON_PRESS if down else _BUTTON_RELEASE, number)
        (self._buttons.add if down else self._buttons.discard)(number)
        self._flush()

    def click(self, x: int, y: int, numbers: Iterable[int]) -> None:
        """Click buttons (the wheel's) one after the other."""
        self._send(_MOTION, 0, x, y)
        for number in numbers:
            self._send(_BUTTON_PRESS, number)
            self._send(_BUTTON_RELEASE, number)
        self._flush()

    def keys(self, strokes: Iterable[tuple[int, bool]]) -> None:
        """Press and let go of keys, in order."""
        for keycode, down in strokes:
            self._send(_KEY_PRESS if down else _KEY_RELEASE, keycode)
        self._flush()

    def ping(self, count: int) -> bool:
        """Ask the window that has the keyboard to answer to the root window (EWMH); whether there is one."""
        try:
            window = self._connection.core.GetInputFocus().reply().focus
            if window in {0, _NO_WINDOW, self._root}:
                return False
            data = _MESSAGE.pack(_CLIENT_MESSAGE, 32, window, self._protocols, self._ping, count, window, 0, 0)
            self._connection.core.SendEvent(False, window, xcffib.xproto.EventMask.NoEvent, data)
        except xcffib.ConnectionException as error:
            raise Gone("the display of this sandbox has ended") from error
        self._flush()
        return True

    def release_buttons(self) -> None:
        """Let go of every button that is down."""
        for number in sorted(self._buttons):
            self._send(_BUTTON_RELEASE, number)
        self._buttons.clear()
        self._flush()

    def close(self) -> None:
        """End the connection; the server lets go of nothing by itself, so `release_all` comes first."""
        self._connection.disconnect()

    def _send(self, kind: int, detail: int, x: int = 0, y: int = 0) -> None:
        try:
            self._test.FakeInput(kind, detail, 0, self._root, x, y, 0)
        except xcffib.ConnectionException as error:
            raise Gone("the display of this sandbox has ended") from error

    def _flush(self) -> None:
        try:
            self._connection.flush()
        except xcffib.ConnectionException as error:
            raise Gone("the display of this sandbox has ended") from error
