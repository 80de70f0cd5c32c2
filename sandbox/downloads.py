"""What pages give: every download goes into the sandbox's own directory, and is told of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from sandbox.cdp import Connection
from sandbox.words import Clock

_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Download:
    """One download: the name the page gave it (bare), Chromium's word for its state, and the bytes so far."""

    name: str
    state: str
    size: int


class Downloads:
    """Sends all downloads of a browser into one directory, from `open` until the browser's end."""

    def __init__(self, tell: Callable[[Download], None], clock: Clock) -> None:
        self._tell = tell
        self._clock = clock
        self._running: dict[str, Download] = {}
        self._told: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Downloads {len(self._running)} running>"

    @classmethod
    async def open(
        cls, connection: Connection, directory: Path, tell: Callable[[Download], None], clock: Clock
    ) -> Downloads:
        """Send the downloads to `directory`; `tell` hears each change of state, and its bytes once a second."""
        downloads = cls(tell, clock)
        connection.listen(None, downloads._on_event)
        params = {"behavior": "allow", "downloadPath": str(directory), "eventsEnabled": True}
        await connection.call("Browser.setDownloadBehavior", params)
        return downloads

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Browser.downloadWillBegin":
            download = Download(PurePath(params["suggestedFilename"]).name, "inProgress", 0)
        elif method == "Browser.downloadProgress" and (known := self._running.get(params["guid"])):
            download = Download(known.name, params["state"], int(params["receivedBytes"]))
        else:
            return
        guid, now = params["guid"], self._clock.monotonic()
        if download.state != "inProgress":
            self._running.pop(guid, None)
            self._told.pop(guid, None)
        else:
            self._running[guid] = download
            if now - self._told.get(guid, -_EVERY_S) < _EVERY_S:
                return
            self._told[guid] = now
        self._tell(download)
