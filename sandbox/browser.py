"""Starting Chromium with the pipe and no port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sandbox import processes
from sandbox.cdp import CdpError, Connection
from sandbox.isolation import becoming, clean_env, shared_memory_flags
from sandbox.screen import Size
from sandbox.words import BatonError, Gone, Unavailable

QUIET_FLAGS: tuple[str, ...] = (
    "--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--disable-breakpad", "--disable-default-apps", "--disable-extensions",
    "--disable-domain-reliability", "--password-store=basic", "--use-mock-keychain",
    "--disable-search-engine-choice-screen",
    "--disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication,InterestFeedContentSuggestions",
)  # fmt: skip
"""Nothing leaves the machine by itself, nothing opens by itself."""

PICTURE_FLAGS: tuple[str, ...] = (
    "--disable-lcd-text",
    "--disable-gpu",
    "--force-device-scale-factor=1",
    "--hide-crash-restore-bubble",
)
"""Grey text (sub-pixel colour ruins 4:2:0 video), software drawing, one pixel a pixel."""

INPUT_FLAGS: tuple[str, ...] = ("--allow-pre-commit-input",)
"""Chromium silently drops presses and keys until a new document has painted; an operator's are kept."""


PREFERENCES: Final = {
    "autofill": {"profile_enabled": False, "credit_card_enabled": False},
    "credentials_enable_service": False,
}
"""Chromium keeps nothing of what is typed into forms, or the next operator would be offered it."""

_START_S: Final = 20.0


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
    sandboxed: bool = True
    """Whether Chromium's own sandbox is on."""

    async def close(self) -> None:
        """End it: politely for two seconds, then by SIGKILL to everything it started. Safe to call again."""
        # Whatever it says, or if it is gone already: it is killed below.
        with contextlib.suppress(BatonError, TimeoutError):
            await self.connection.call("Browser.close", timeout=2)
        await self.connection.close()
        try:
            await asyncio.wait_for(self.process.wait(), 2)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        # The crash handlers have left the group and stay for two seconds more.
        await processes.kill_all(lambda: processes.mentioning(self.profile))


async def launch(
    profile: Path,
    size: Size,
    *,
    display: str | None = None,
    extra: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Browser:
    """Start Chromium on `profile`, as user `uid` where given; headless where `display` is None.

    `env` is added to a clean environment: nothing of ours but path, language and time zone. Chromium's own sandbox
    is on, unless we stay root, or it cannot be had here: then `Browser.sandboxed` is False.
    It dies with this process. Raises `Unavailable` when it does not start.
    """
    program = find_chromium()
    _prefer(profile, uid)
    environment = {**clean_env(profile), **(env or {}), **({"DISPLAY": display} if display else {})}
    common = [
        program, "--remote-debugging-pipe", f"--user-data-dir={profile}", *QUIET_FLAGS, *PICTURE_FLAGS, *INPUT_FLAGS,
        f"--window-size={size.width},{size.height}", "--window-position=0,0", *shared_memory_flags(),
        f"--crash-dumps-dir={profile / 'Crashes'}", *(["--kiosk"] if display else ["--headless"]), *extra,
    ]  # fmt: skip
    if os.geteuid() != 0 or uid is not None:
        try:
            return await _start([*common, "about:blank"], profile, environment, uid)
        except Gone:
            pass  # user namespaces are forbidden here, as in many containers; the caller is told by `sandboxed`
    try:
        browser = await _start([*common, "--no-sandbox", "--test-type", "about:blank"], profile, environment, uid)
    except Gone as error:
        raise Unavailable(f"{error.message}; run `baton doctor`") from error
    browser.sandboxed = False
    return browser


def _prefer(profile: Path, uid: int | None) -> None:
    file = profile / "Default" / "Preferences"
    if file.exists():
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(json.dumps(PREFERENCES))
    if uid is not None:
        for path in (file.parent, file):
            os.chown(path, uid, uid)


async def _start(flags: Sequence[str], profile: Path, env: Mapping[str, str], uid: int | None) -> Browser:
    """Start one process and wait for its first word. Raises `Gone` when it ends instead, `Unavailable` when silent."""
    to_child_read, to_child_write = os.pipe()
    from_child_read, from_child_write = os.pipe()
    become = becoming(uid, os.getpid())

    def prepare() -> None:
        # Chromium expects its pipe on exactly 3 and 4; the sources may lie on those numbers themselves.
        high_read = os.dup2(to_child_read, 103, inheritable=False)
        high_write = os.dup2(from_child_write, 104, inheritable=False)
        os.dup2(high_read, 3)
        os.dup2(high_write, 4)
        become()

    process = await asyncio.create_subprocess_exec(
        *flags, preexec_fn=prepare, close_fds=False, start_new_session=True, cwd="/", env=dict(env),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_child_read)
    os.close(from_child_write)
    connection = await Connection.open(from_child_read, to_child_write)
    browser = Browser(process, connection, profile, flags)
    try:
        await connection.call("Browser.getVersion", timeout=_START_S)
    except Gone:
        await browser.close()
        raise Gone(f"Chromium ended at its start with status {process.returncode}") from None
    except (TimeoutError, CdpError) as error:
        await browser.close()
        raise Unavailable("Chromium did not start; run `baton doctor`") from error
    return browser
