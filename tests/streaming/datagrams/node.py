"""The browser's real end, in Node, with the face of the Python reference."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streaming.datagrams import Message

HERE = Path(__file__).parent
SCRIPT = HERE.parents[2] / "web/static/stream/datagrams.js"


def _read(messages: list[Any]) -> list[tuple[int, Message]]:
    return [(number, data if isinstance(data, str) else bytes.fromhex(data["hex"])) for number, data in messages]


class NodeEnd:
    """Talks to datagrams.js through a pipe, one line a call."""

    def __init__(self, **options: int) -> None:
        command = ["node", str(HERE / "browser_end.mjs"), str(SCRIPT), json.dumps(options)]
        self._node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._node.stdin
        self._node.stdin.close()
        self._node.wait(10)
        assert self._node.stdout
        self._node.stdout.close()

    def ask(self, name: str, now: float, *rest: Any) -> Any:
        """Call it."""
        assert self._node.stdin
        assert self._node.stdout
        self._node.stdin.write(json.dumps([name, now, *rest]) + "\n")
        self._node.stdin.flush()
        result, upcoming = json.loads(self._node.stdout.readline())
        self._next = upcoming if upcoming is not None else float("inf")
        return result

    def hear(self, datagram: bytes, now: float) -> list[tuple[int, Message]]:
        """Take a datagram."""
        return _read(self.ask("hear", now, datagram.hex()))

    def advance(self, number: int) -> list[tuple[int, Message]]:
        """Messages up to a number came by the other way."""
        return _read(self.ask("advance", 0.0, number))

    def due(self, now: float) -> list[bytes]:
        """The datagrams to send now."""
        return [bytes.fromhex(datagram) for datagram in self.ask("due", now)]

    def next_at(self) -> float:
        """When to call `due` next."""
        return self._next

    def send(self, message: Message, now: float) -> int:
        """Queue a numbered message."""
        number = self.ask("send", now, message if isinstance(message, str) else {"hex": message.hex()})
        assert isinstance(number, int)
        return number

    def loose(self, kind: int, text: str, now: float) -> None:
        """Send the newest of its kind."""
        self.ask("loose", now, kind, text)

    def shown(self, frame: int, decode_ms: float, now: float) -> None:
        """A frame is on the canvas."""
        self.ask("shown", now, frame, decode_ms)

    def undelivered(self, after: int = 0) -> list[tuple[int, Message]]:
        """What the server is not known to have taken."""
        return _read(self.ask("undelivered", 0.0, after))
