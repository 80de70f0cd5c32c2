"""The thread that reads X events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import xcffib

from sandbox.display.xvfb import Xvfb


class EventReader:
    """One connection and the thread that blocks on its events. `handle` is called on that thread."""

    def __init__(self, xvfb: Xvfb, name: str) -> None:
        self.connection, self._plug = xvfb.connect()
        self._name = name
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<EventReader {self._name} {'running' if self._thread and self._thread.is_alive() else 'idle'}>"

    def start(self, handle: Callable[[Any], None], ended: Callable[[], None]) -> None:
        """Begin reading; `ended` is called on the thread when the connection is over."""
        self._thread = threading.Thread(target=self._read, args=(handle, ended), name=self._name, daemon=True)
        self._thread.start()

    def _read(self, handle: Callable[[Any], None], ended: Callable[[], None]) -> None:
        try:
            while True:
                try:
                    event = self.connection.wait_for_event()
                    if event is not None:
                        handle(event)
                except (xcffib.XcffibException, IndexError):
                    # A request without reply failed: the window it named went while the request was on its way.
                    # Or it is an event of an extension unknown here.
                    if self.connection.has_error():
                        return
        finally:
            ended()

    def close(self) -> None:
        """End connection and thread."""
        try:
            self._plug.shutdown(2)
        except OSError:
            pass  # the server has closed its end already
        finally:
            self._plug.close()
        if self._thread is not None:
            self._thread.join(2)
        self.connection.disconnect()
