"""Handing a client's connection to a keeper, socket and all (unix(7), SCM_RIGHTS): the server's end of the line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket


class Line:
    """Stands for one connection that a keeper serves. `ended` returns when the client, or the keeper, has gone."""

    def __init__(self, plug: socket.socket, path: str) -> None:
        self._plug, self._path = plug, path

    def give(self, descriptor: int) -> None:
        """Hand the connection over: an open WebSocket, from which nobody reads any more but the keeper.

        Raises `OSError` where the keeper has just gone.
        """
        socket.send_fds(self._plug, [json.dumps({"path": self._path}).encode()], [descriptor])

    def close(self, code: int, reason: str) -> None:
        """Have the keeper close it (RFC 6455, 7.4)."""
        with contextlib.suppress(OSError):
            self._plug.send(json.dumps([code, reason]).encode())

    async def ended(self) -> None:
        """Return when the keeper serves it no more."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_recv(self._plug, 1)

    def end(self) -> None:
        """Let go; the keeper closes the client's connection, if it is still there."""
        self._plug.close()
