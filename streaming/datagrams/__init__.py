"""Reliable, ordered messages over datagrams that get lost, without I/O and without a clock of its own.

The server holds a `ServerEnd`, the browser a `BrowserEnd` (`web/static/stream/datagrams.js`). Whoever owns the UDP
channel does three things, with `now` in seconds from any steady clock:

    end.push(message, now)                  a message for the browser
    heard = end.hear(datagram, now)         a datagram came; what it says, in order
    for datagram in end.due(now): send it   after each of the two above, and at `end.next_at()`

A datagram is at most `mtu` bytes (1150 unless told). Losing, doubling, delaying and reordering datagrams is fine.
Both ends number messages from 1 in each direction over the life of the viewer; a way that begins later begins at
the next number. When the way fails (`end.failed`) or is silent (`end.silent_for(now)`), what `end.undelivered(after)`
lists goes over the socket, where `after` is what the other side says it has had.
"""

from streaming.datagrams.end import Heard, ServerEnd, Shown
from streaming.datagrams.sender import Message, Way
from streaming.datagrams.upward import Loose, Up

__all__ = ["Heard", "Loose", "Message", "ServerEnd", "Shown", "Up", "Way"]
