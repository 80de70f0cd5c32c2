"""What goes to one client, in order, without ever blocking who sends it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from websockets.exceptions import ConnectionClosed

from sandbox.gate.socket import Socket

_LIMIT = 256 * 1024 * 1024


class Outbox:
    """Sends at once, or through a queue with one task that empties it, where a client does not keep up.

    One that leaves more than 256 MiB unread is let go.
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closing: tuple[int, str] | None = None
        self._task = asyncio.create_task(self._run(), name="gate-outbox")

    def put(self, message: bytes) -> None:
        """Queue a message."""
        if self._closing is not None:
            return
        if self._empty.is_set() and self._socket.send_now(message):
            return
        self._queue.append(message)
        self._bytes += len(message)
        if self._bytes > _LIMIT:
            self.close(4413, "this client reads too slowly", flush=False)
        self._empty.clear()
        self._wake.set()

    def close(self, code: int, reason: str, *, flush: bool = True) -> None:
        """End the connection, after what is queued (`flush`) or at once."""
        if not flush:
            self._queue.clear()
        self._closing = self._closing or (code, reason)
        self._wake.set()

    async def emptied(self, timeout: float) -> bool:  # noqa: ASYNC109 - a bound, not a cancellation
        """Wait until everything queued was handed over; False when `timeout` seconds were not enough."""
        try:
            await asyncio.wait_for(self._empty.wait(), timeout)
        except TimeoutError:
            return False
        return True

    async def end(self) -> None:
        """Stop; what is still queued is dropped."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    message = self._queue.popleft()
                    self._bytes -= len(message)
                    await self._socket.send(message.decode("utf-8", "replace"))
                self._empty.set()
                if self._closing is not None:
                    await self._socket.close(*self._closing)
                    return
        self._empty.set()
