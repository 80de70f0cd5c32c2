"""A keeper without a browser, as a process of its own: real sockets, real fence, no pixels.

`/cdp` and `/stream` give back what they get; a text `close 4411` makes them close with that code. `python
fake_keeper.py DIRECTORY`; SIGUSR1 makes its browser die.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, unix_serve

from sandbox.fence import Fence
from sandbox.keeper.files import SOCKET, KeeperConfig, KeeperRecord
from sandbox.keeper.peer import Peer
from sandbox.processes import Process
from sandbox.words import THE_AGENT, Epoch, Holder


class FakeKeeper:
    """Answers `/control` as a keeper does, and remembers nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = KeeperConfig.read(directory)
        self.fence = Fence()
        self.peer: Peer | None = None
        self.ending = asyncio.Event()
        self.met = True

    async def serve(self) -> None:
        """Run until closed."""
        me = Process.of(os.getpid())
        assert me is not None
        KeeperRecord(self.config.sandbox, me).write(self.directory)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ending.set)
        loop.add_signal_handler(signal.SIGUSR1, self._die)
        # A bare name is short enough, however long the directory's path is.
        os.chdir(self.directory)
        async with unix_serve(self._route, SOCKET, compression=None, max_size=None, ping_interval=None):
            await self.ending.wait()

    def _die(self) -> None:
        if self.peer is not None:
            self.peer.emit("browser.died", {"reason": "the test killed it"})

    async def _route(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        path = socket.request.path
        if path.startswith("/control"):
            self.peer = Peer(socket, self._answer, lambda _event, _params: None)
            await self.peer.run()
            return
        await socket.send(f"hello {path}")
        async for message in socket:
            if isinstance(message, str) and message.startswith("close "):
                await socket.close(int(message.split()[1]), "as you said")
            elif isinstance(message, str) and message.startswith("ask "):
                assert self.peer is not None
                answer = await self.peer.request(
                    "handoff.ask", {"client": "c", "target": "t", "params": {"kind": "captcha"}}
                )
                await socket.send(answer["id"])
            else:
                await socket.send(message)

    async def _answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "hello":
                return {
                    "sandbox": self.config.sandbox, "pid": os.getpid(), "width": self.config.size.width,
                    "height": self.config.size.height, "holder": self.fence.holder.to_wire(),
                    "epoch": self.fence.epoch, "browser": "Fake/1", "isolation": {"level": "advisory", "reasons": []},
                    "tabs": [], "notes": [],
                }  # fmt: skip
            case "gate.close" | "control.push":
                self.fence.push(Holder.from_wire(params["holder"]), Epoch(params["epoch"]), params["since"])
                return {"unknown": [], "agent_code": []}
            case "gate.open":
                self.fence.push(THE_AGENT, Epoch(params["epoch"]), params["since"])
                return {"notes": []}
            case "state.mark":
                return {"url": "https://site.example/form?secret=1#x", "title": "Form"}
            case "state.diff":
                jpeg = base64.b64encode(b"\xff\xd8fake").decode()
                return {"diff": {"navigations": []}, "text": "nothing", "images": {"before": jpeg, "after": jpeg}}
            case "state.check":
                met = "met" in str(params["condition"])
                return {"met": met, "parts": [{"condition": params["condition"], "met": met, "why": "fake"}]}
            case "approval.ask":
                assert self.peer is not None
                said = {"url": "https://site.example/pay", "title": "Pay", "page_state": "as it was", **params}
                said["epoch"], said["timeout_s"] = self.fence.epoch, said.pop("timeoutS", None)
                return await self.peer.request("approval.ask", said)
            case "blockers.get":
                return {"policies": dict(self.config.blockers), "pages": []}
            case "thumbnail":
                return {"jpeg": base64.b64encode(b"\xff\xd8small").decode()}
            case "close":
                asyncio.get_running_loop().call_later(0.02, self.ending.set)
        return {}


if __name__ == "__main__":
    asyncio.run(FakeKeeper(Path(sys.argv[1])).serve())
