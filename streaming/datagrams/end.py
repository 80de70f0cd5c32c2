"""The server's end of the datagram way: messages down, input up, one state for one viewer."""

from __future__ import annotations

from dataclasses import dataclass

type Message = bytes | str


@dataclass(frozen=True, slots=True)
class Up:
    """A numbered message of the browser: each number once, in order."""

    number: int
    message: Message


@dataclass(frozen=True, slots=True)
class Loose:
    """An unnumbered message (`move`, `ping`): the newest of its kind (0..7), never older than what was heard before."""

    kind: int
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest frame on the browser's canvas and how long it took to decode; stands for the `ack` message."""

    frame: int
    decode_ms: float


type Heard = Up | Loose | Shown


@dataclass(frozen=True, slots=True)
class Way:
    """What the way down can do: message bits/s it carries beside its own overhead, ms, share lost, ms of queue."""

    rate: float
    rtt: float
    loss: float
    queue: float


class ServerEnd:
    """Everything the server knows of one browser's datagram way; times are seconds of any steady clock."""

    def __init__(self, now: float, *, first_down: int = 1, first_up: int = 1, mtu: int = 1150) -> None:
        """Begin with the numbers that the first message down and the first message up on this way will have."""
        raise NotImplementedError

    def push(self, message: Message, now: float) -> int:
        """Queue a message for the browser; its number. Call `due` afterwards. Never raises, never drops."""
        raise NotImplementedError

    def hear(self, datagram: bytes, now: float) -> list[Heard]:
        """Take one datagram from the network. Nonsense is counted in `errors` and dropped; never raises."""
        raise NotImplementedError

    def due(self, now: float) -> list[bytes]:
        """The datagrams to send now, in this order (paced: the rest becomes due at `next_at`)."""
        raise NotImplementedError

    def next_at(self) -> float | None:
        """When to call `due` next; in the past: at once."""
        raise NotImplementedError

    def silent_for(self, now: float) -> float:
        """Seconds since the last valid datagram of the browser (which speaks each 500 ms at least)."""
        raise NotImplementedError

    def way(self, now: float) -> Way:
        """What the way is like."""
        raise NotImplementedError

    def undelivered(self, after: int | None = None) -> list[tuple[int, Message]]:
        """Numbers and messages not known delivered, or, when the browser says what it has had, those after it."""
        raise NotImplementedError

    @property
    def delivered(self) -> int:
        """The last message down that the browser is known to have had, with all before it."""
        raise NotImplementedError

    @property
    def received(self) -> int:
        """The last message up that `hear` returned; say it to the browser when the way changes."""
        raise NotImplementedError

    @property
    def backlog(self) -> int:
        """Bytes of messages pushed and not yet sent for the first time."""
        raise NotImplementedError

    @property
    def failed(self) -> str | None:
        """Why the way cannot go on (too much kept unacknowledged), or None."""
        raise NotImplementedError

    @property
    def errors(self) -> int:
        """Datagrams dropped because they broke the format."""
        raise NotImplementedError
