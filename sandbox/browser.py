"""Starting Chromium with the pipe and no port."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.cdp import Connection
from sandbox.screen import Size
from sandbox.words import Unavailable

QUIET_FLAGS: tuple[str, ...] = (
    "--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--disable-breakpad", "--disable-default-apps", "--disable-extensions",
    "--disable-domain-reliability", "--password-store=basic", "--use-mock-keychain", "--disable-search-engine-choice-screen",
    "--disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication,InterestFeedContentSuggestions",
)  # fmt: skip
"""Nothing leaves the machine by itself, nothing opens by itself."""

PICTURE_FLAGS: tuple[str, ...] = ("--disable-lcd-text", "--disable-gpu", "--force-device-scale-factor=1", "--hide-crash-restore-bubble")
"""Grey text (sub-pixel colour ruins 4:2:0 video), software drawing, one pixel a pixel."""


def find_chromium() -> str:
    """Return the path of the system's Chromium. Raises `Unavailable` naming the package to install."""
    for name in (os.environ.get("BATON_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (path := shutil.which(name)):
            return path
    raise Unavailable("Chromium is not installed; on Debian: apt-get install chromium", package="chromium")


@dataclass(slots=True)
class Browser:
    """A running Chromium: its process and its pipe."""

    process: asyncio.subprocess.Process
    connection: Connection
    profile: Path
    flags: Sequence[str] = field(repr=False)

    async def close(self) -> None:
        """End it: politely for two seconds, then by SIGKILL to its process group."""
        try:
            await self.connection.call("Browser.close", timeout=2)
        except Exception:  # noqa: BLE001, S110 - it may be gone already, and is killed below whatever it said
            pass
        await self.connection.close()
        try:
            await asyncio.wait_for(self.process.wait(), 2)
        except TimeoutError:
            os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()


async def launch(
    profile: Path, size: Size, *, display: str | None = None, extra: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Browser:
    """Start Chromium on `profile`; headless where `display` is None. Raises `Unavailable` when it does not start."""
    to_child_read, to_child_write = os.pipe()
    from_child_read, from_child_write = os.pipe()
    flags = [
        find_chromium(), "--remote-debugging-pipe", f"--user-data-dir={profile}", *QUIET_FLAGS, *PICTURE_FLAGS,
        f"--window-size={size.width},{size.height}", "--window-position=0,0",
        *(["--kiosk"] if display else ["--headless"]), *(["--no-sandbox", "--test-type"] if os.geteuid() == 0 else []),
        *extra, "about:blank",
    ]  # fmt: skip

    def wire() -> None:
        # Chromium expects its pipe on exactly 3 and 4; the sources may lie on those numbers themselves.
        r, w = os.dup(to_child_read), os.dup(from_child_write)
        high_r, high_w = os.dup2(r, 103), os.dup2(w, 104)
        os.dup2(high_r, 3)
        os.dup2(high_w, 4)

    process = await asyncio.create_subprocess_exec(
        *flags, preexec_fn=wire, close_fds=False, start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        env={**(env or os.environ), **({"DISPLAY": display} if display else {})},
    )  # fmt: skip
    os.close(to_child_read)
    os.close(from_child_write)
    connection = await Connection.open(from_child_read, to_child_write)
    try:
        await connection.call("Browser.getVersion", timeout=20)
    except Exception as error:
        raise Unavailable("Chromium did not start; run `baton doctor`") from error
    return Browser(process, connection, profile, flags)
