"""Connections of agents that the server hands to the keeper, socket and all (unix(7), SCM_RIGHTS).

The server has judged who calls and has answered the handshake; from then on client and keeper speak without it. A line
stays between server and keeper for each: it ends when the client has gone, and with the server the client is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import structlog
from websockets.asyncio.server import Server, ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from sandbox.gate import CdpConnection

_log = structlog.get_logger("keeper")

_LONGEST: Final = 16 * 1024
_GOING_AWAY: Final = 1001


class HandedConnection(CdpConnection):
    """A WebSocket whose handshake somebody else has done, on this path."""

    def __init__(self, path: str) -> None:
        protocol = ServerProtocol(state=State.OPEN, max_size=None)
        # There is no server of `websockets` behind it: nobody accepted it here, and nobody ends it but its handler.
        super().__init__(protocol, cast("Server", None), ping_interval=None, close_timeout=1)
        self.request = Request(path, Headers())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio; starts no handler, as an accepted one would."""
        super(ServerConnection, self).connection_made(transport)


class Handed:
    """Listens on a socket of the keeper's directory for connections that are handed over. `close` ends it."""

    def __init__(self, plug: socket.socket, route: Callable[[ServerConnection], Awaitable[None]]) -> None:
        self._plug, self._route = plug, route
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(plug, self._accept)

    def close(self) -> None:
        """Listen no more, and let everybody go."""
        self._loop.remove_reader(self._plug)
        self._plug.close()
        for task in list(self._tasks):
            task.cancel()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            line, _ = self._plug.accept()
            line.setblocking(False)
            self._loop.add_reader(line, self._given, line)

    def _given(self, line: socket.socket) -> None:
        try:
            said, descriptors, _flags, _address = socket.recv_fds(line, _LONGEST, 1)
        except BlockingIOError:
            return
        except OSError:
            said, descriptors = b"", []
        self._loop.remove_reader(line)
        if not descriptors:
            line.close()
            return
        task = asyncio.create_task(self._serve(line, said, socket.socket(fileno=descriptors[0])))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, line: socket.socket, said: bytes, plug: socket.socket) -> None:
        plug.setblocking(False)
        try:
            path = str(json.loads(said)["path"])
            _, connection = await self._loop.connect_accepted_socket(lambda: HandedConnection(path), plug)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("a connection could not be taken over", error=type(error).__name__)
            plug.close()
            line.close()
            return
        ending = asyncio.create_task(self._until_told(line, connection))
        try:
            await self._route(connection)
        finally:
            ending.cancel()
            connection.transport.close()
            line.close()

    async def _until_told(self, line: socket.socket, connection: HandedConnection) -> None:
        """Close the connection as the server says, or because the server is gone."""
        code, reason = _GOING_AWAY, ""
        with contextlib.suppress(OSError, ValueError, TypeError):
            said: Any = await self._loop.sock_recv(line, _LONGEST)
            if said:
                code, reason = json.loads(said)
        await connection.close(code, reason)
