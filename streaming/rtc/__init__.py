"""WebRTC between this process and a browser: datagrams over UDP, nothing else.

A `Ports` holds the UDP ports of the process, a `Peer` is one browser's channel on them, an `Edge` is one viewer's two
ways. ICE is over UDP alone; where no UDP passes, not even to a relay, the WebSocket carries everything.
"""
