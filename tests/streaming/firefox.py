"""A real Firefox for tests, driven by WebDriver BiDi (W3C): Playwright only drives a build of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

type Preferences = Mapping[str, bool | int | str]

START_S = 30.0
QUIET: Preferences = {
    "app.normandy.enabled": False, "app.update.enabled": False, "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False, "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False, "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0, "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processPrelaunch.enabled": False, "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}  # fmt: skip
"""What keeps a fresh profile from calling home."""
NO_H264: Preferences = {"media.ffmpeg.enabled": False, "media.gmp-gmpopenh264.enabled": False}
"""A Firefox without a decoder of the system's and without the plug-in."""


class BidiError(Exception):
    """Firefox refused a command, or a script threw."""


class Bidi:
    """One BiDi session: commands, their answers, and the log entries in between."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self.errors: list[str] = []
        """What pages logged as errors, exceptions that nobody caught among them."""

    async def run(self) -> None:
        """Read until the socket closes."""
        with suppress(ConnectionClosed):
            async for text in self._socket:
                message = json.loads(text)
                if message["type"] == "event":
                    if message["method"] == "log.entryAdded" and message["params"]["level"] == "error":
                        self.errors.append(message["params"]["text"])
                elif (answer := self._answers.pop(message["id"], None)) and not answer.done():
                    answer.set_result(message)
        for answer in self._answers.values():
            answer.cancel()

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._count += 1
        answer = self._answers[self._count] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        async with asyncio.timeout(20):
            message = await answer
        if message["type"] == "error":
            raise BidiError(f"{method}: {message['message']}")
        result: dict[str, Any] = message["result"]
        return result


class Tab:
    """One tab. Points are CSS pixels of its viewport."""

    def __init__(self, bidi: Bidi, context: str) -> None:
        self._bidi = bidi
        self._context = context

    async def go(self, url: str) -> None:
        """Load a page, and wait for its modules."""
        await self._bidi.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def call(self, function: str, *args: Any) -> Any:
        """Call a JavaScript function, await what it returns; both directions are JSON."""
        result = await self._bidi.command(
            "script.callFunction",
            functionDeclaration=f"async text => JSON.stringify(await ({function})(...JSON.parse(text)) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(args)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        if result["type"] == "exception":
            raise BidiError(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])

    async def until(self, condition: str, *args: Any, seconds: float = 8.0) -> None:
        """Poll a JavaScript function until what it returns is true."""
        end = asyncio.get_running_loop().time() + seconds
        while not await self.call(condition, *args):
            if asyncio.get_running_loop().time() >= end:
                raise TimeoutError(f"it never became true: {condition}")
            await asyncio.sleep(0.02)

    async def screenshot(self, x: int, y: int, width: int, height: int) -> bytes:
        """Return a part of what is to be seen, as PNG in base64."""
        clip = {"type": "box", "x": x, "y": y, "width": width, "height": height}
        result = await self._bidi.command("browsingContext.captureScreenshot", context=self._context, clip=clip)
        return str(result["data"]).encode()

    async def click(self, x: int, y: int, button: int = 0) -> None:
        """Move there, press and release."""
        down = {"type": "pointerDown", "button": button}
        await self._act("pointer", {"type": "pointerMove", "x": x, "y": y}, down, {**down, "type": "pointerUp"})

    async def wheel(self, x: int, y: int, dx: int, dy: int) -> None:
        """Turn the wheel at a point."""
        await self._act("wheel", {"type": "scroll", "x": x, "y": y, "deltaX": dx, "deltaY": dy})

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, then release them in turn; names as WebDriver has them (17.4.2)."""
        await self._act("key", *({"type": kind, "value": key} for kind in ("keyDown", "keyUp") for key in keys))

    async def _act(self, kind: str, *actions: Mapping[str, Any]) -> None:
        source = {"type": kind, "id": kind, "actions": list(actions)}
        await self._bidi.command("input.performActions", context=self._context, actions=[source])

    async def close(self) -> None:
        """Close it."""
        await self._bidi.command("browsingContext.close", context=self._context)


class Firefox:
    """One running Firefox."""

    def __init__(self, bidi: Bidi, version: str) -> None:
        self._bidi = bidi
        self.version = version

    @asynccontextmanager
    async def tab(self, url: str, width: int = 900, height: int = 700) -> AsyncIterator[Tab]:
        """Open a tab on a page; at the end no page may have logged an error."""
        context = (await self._bidi.command("browsingContext.create", type="tab"))["context"]
        await self._bidi.command(
            "browsingContext.setViewport", context=context, viewport={"width": width, "height": height}
        )
        tab = Tab(self._bidi, context)
        self._bidi.errors.clear()
        try:
            await tab.go(url)
            yield tab
        finally:
            await tab.close()
        assert self._bidi.errors == []


def program() -> str | None:
    """Where Firefox is, if it is installed."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


@asynccontextmanager
async def firefox(preferences: Preferences | None = None) -> AsyncIterator[Firefox]:
    """Run Firefox without a window, with a profile of its own."""
    path = program()
    assert path is not None
    # Firefox is still writing to its profile while it is ended
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as home:
        chosen = {**QUIET, **(preferences or {})}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in chosen.items()]
        Path(home, "user.js").write_text("".join(lines))
        process = await asyncio.create_subprocess_exec(
            path, "--headless", "--no-remote", "--profile", home, "--remote-debugging-port", "0", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True,
            # as root it refuses a home of somebody else
            env={**os.environ, "HOME": home, "MOZ_CRASHREPORTER_DISABLE": "1"},
        )  # fmt: skip
        try:
            async with _session(process) as running:
                yield running
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


@asynccontextmanager
async def _session(process: asyncio.subprocess.Process) -> AsyncIterator[Firefox]:
    assert process.stderr is not None
    async with asyncio.timeout(START_S):
        address = await _address(process.stderr)
    # its chatter would fill the pipe
    draining = asyncio.create_task(process.stderr.read())
    async with connect(f"{address}/session", compression=None, max_size=None) as socket:
        bidi = Bidi(socket)
        reading = asyncio.create_task(bidi.run())
        try:
            session = await bidi.command("session.new", capabilities={})
            await bidi.command("session.subscribe", events=["log.entryAdded"])
            yield Firefox(bidi, session["capabilities"]["browserVersion"])
        finally:
            for task in (reading, draining):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _address(stderr: asyncio.StreamReader) -> str:
    said: Sequence[str] = []
    while line := (await stderr.readline()).decode():
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
        said = [*said, line]
    raise BidiError(f"Firefox ended: {''.join(said)}")
