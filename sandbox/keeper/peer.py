"""JSON both ways over one WebSocket: what `/control` speaks, at the server's end and at the keeper's.

`{"id", "method", "params"}` asks and is answered by `{"id", "result"}` or `{"id", "error"}`; `{"event", "params"}`
only tells. Parameters are never logged: they may hold what an operator typed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from sandbox.keeper.log import where
from sandbox.words import BadRequest, BatonError, Unavailable, error_from_wire

type RequestHandler = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
type EventHandler = Callable[[str, dict[str, Any]], None]

_ANSWER_S: Final = 30.0
_log = structlog.get_logger(__name__)


class Peer:
    """One end of a control link. `run` it until the other end has gone; `closed` is set then."""

    def __init__(self, socket: Connection, on_request: RequestHandler, on_event: EventHandler) -> None:
        self.closed = asyncio.Event()
        self._socket = socket
        self._on_request = on_request
        self._on_event = on_event
        self._next_id = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        state = "closed" if self.closed.is_set() else "open"
        return f"<Peer {state} [asked: {len(self._waiting)} | answering: {len(self._tasks)}]>"

    async def request(self, method: str, params: dict[str, Any], timeout: float = _ANSWER_S) -> dict[str, Any]:  # noqa: ASYNC109 - a bound is part of asking
        """Ask the other end. Raises what it answered, or `Unavailable` when it is gone or silent for `timeout`."""
        if self.closed.is_set():
            raise Unavailable(f"{method}: the other end of the control link is gone")
        self._next_id += 1
        number = self._next_id
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "method": method, "params": params})
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError as error:
            raise Unavailable(f"{method} was not answered within {timeout:g} s", method=method) from error
        finally:
            self._waiting.pop(number, None)

    def emit(self, event: str, params: dict[str, Any]) -> None:
        """Tell the other end, if it is still there."""
        if not self.closed.is_set():
            self._send({"event": event, "params": params})

    async def flush(self) -> None:
        """Return once everything told and answered so far has been handed to the socket."""
        await self._outgoing.join()

    async def run(self) -> None:
        """Read and write until either end closes; every request still waiting raises `Unavailable`."""
        writer = asyncio.create_task(self._write())
        try:
            async for raw in self._socket:
                self._on_message(json.loads(raw))
        except (ConnectionClosed, ValueError, KeyError, TypeError):
            pass  # an end is an end, and what cannot be read is not from a peer of ours
        finally:
            self.closed.set()
            writer.cancel()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(writer, *self._tasks, return_exceptions=True)
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Unavailable("the other end of the control link is gone"))

    def _send(self, message: dict[str, Any]) -> None:
        self._outgoing.put_nowait(json.dumps(message, separators=(",", ":")))

    async def _write(self) -> None:
        while True:
            message = await self._outgoing.get()
            try:
                await self._socket.send(message)
            except ConnectionClosed:
                return
            finally:
                self._outgoing.task_done()

    def _on_message(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._on_event(message["event"], message.get("params", {}))
        elif "method" in message:
            # Each request runs in a task of its own; they begin in the order they came.
            task = asyncio.create_task(self._answer(message["id"], message["method"], message.get("params", {})))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            future = self._waiting.get(message["id"])
            if future is None or future.done():
                return
            if "error" in message:
                future.set_exception(error_from_wire(message["error"]))
            else:
                future.set_result(message.get("result") or {})

    async def _answer(self, number: int, method: str, params: dict[str, Any]) -> None:
        try:
            reply: dict[str, Any] = {"id": number, "result": await self._on_request(method, params)}
        except BatonError as error:
            reply = {"id": number, "error": error.to_wire()}
        except TimeoutError:
            reply = {"id": number, "error": Unavailable("the browser did not answer in time", method=method).to_wire()}
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("bad parameters", method=method, error=type(error).__name__)
            reply = {"id": number, "error": BadRequest(f"{method} has parameters that cannot be read").to_wire()}
        except Exception as error:  # noqa: BLE001 - whatever it was, whoever asked gets an answer
            _log.error("failed", method=method, error=type(error).__name__, where=where(error))
            reply = {"id": number, "error": BatonError(f"{method} failed: {type(error).__name__}").to_wire()}
        self._send(reply)
