"""Putting one sandbox together, and taking it apart again so that nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from sandbox.audio import PageSound
from sandbox.authority import Authority
from sandbox.browser import Browser, launch
from sandbox.display.x11 import X11Screen
from sandbox.display.xvfb import Xvfb, start_xvfb
from sandbox.downloads import Download, Downloads
from sandbox.fence import Fence
from sandbox.gate import Gate
from sandbox.isolation import Isolation, Room, UidLock, claim_uid, make_room, wipe_uid
from sandbox.keeper.files import KeeperConfig, KeeperRecord
from sandbox.keeper.log import where
from sandbox.keeper.parts import KeptScreen
from sandbox.keeper.windows import FullScreen, WindowManager
from sandbox.pages import Pages
from sandbox.processes import Process
from sandbox.state import StateRoom
from sandbox.words import Clock, Unavailable

_log = structlog.get_logger("keeper")


@dataclass(slots=True)
class Assembly:
    """One sandbox's parts. `open` makes it whole; `close` leaves nothing, whatever state it is in."""

    isolation: Isolation
    room: Room
    browser: Browser
    pages: Pages
    screen: KeptScreen
    sound: PageSound
    state: StateRoom
    gate: Gate
    product: str
    _undo: list[tuple[str, Callable[[], Awaitable[None] | None]]]

    @classmethod
    async def open(
        cls,
        config: KeeperConfig,
        fence: Fence,
        authority: Authority,
        clock: Clock,
        on_download: Callable[[Download], None],
    ) -> Assembly:
        """Start display and browser. Raises `Unavailable` naming what is missing; then nothing is left."""
        undo: list[tuple[str, Callable[[], Awaitable[None] | None]]] = []
        try:
            return await _open(config, fence, authority, clock, on_download, undo)
        except BaseException:
            await _take_apart(undo)
            raise

    async def close(self) -> None:
        """End everything and remove the room. Safe to call again."""
        await _take_apart(self._undo)

    async def ended(self) -> str:
        """Return, once the browser has ended, why."""
        process = self.browser.process
        pipe, exit_ = asyncio.create_task(self.browser.connection.ended.wait()), asyncio.create_task(process.wait())
        try:
            await asyncio.wait({pipe, exit_}, return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(exit_), 1)
        finally:
            pipe.cancel()
            exit_.cancel()
        return _reason(process.returncode)


def _reason(status: int | None) -> str:
    if status is None:
        return "Chromium closed its pipe"
    if status < 0:
        return f"Chromium was ended by {signal.Signals(-status).name}"
    return f"Chromium exited with status {status}"


async def _open(
    config: KeeperConfig,
    fence: Fence,
    authority: Authority,
    clock: Clock,
    on_download: Callable[[Download], None],
    undo: list[tuple[str, Callable[[], Awaitable[None] | None]]],
) -> Assembly:
    lock, isolation = _isolate()
    if lock is not None:
        undo.append(("uid", lock.release))
    room = make_room(config.directory, config.sandbox, isolation.uid)
    undo.append(("room", room.remove))
    if lock is not None:
        undo.append(("processes", lambda: _wipe(lock)))
    record = KeeperRecord(config.sandbox, _me(), isolation.uid, room.path)
    record.write(config.directory)

    sound = PageSound(room, isolation.uid)
    undo.append(("sound", sound.close))
    # It comes up while the display does.
    await sound.start()
    xvfb = await _display(config, isolation, room)
    if xvfb is not None:
        undo.append(("xvfb", xvfb.close))
        manager = WindowManager.open(xvfb)
        undo.append(("windows", manager.close))
        record = replace(record, display=xvfb.display, xvfb=Process.of(xvfb.pid))
        record.write(config.directory)

    await sound.ready()
    env = {**room.env(), **sound.env, **(xvfb.env if xvfb else {})}
    display = xvfb.display if xvfb else None
    browser = await launch(room.profile, config.size, display=display, env=env, uid=isolation.uid)
    undo.append(("browser", browser.close))
    replace(record, chromium=Process.of(browser.process.pid)).write(config.directory)
    if not browser.sandboxed:
        isolation = replace(isolation, reasons=(*isolation.reasons, "Chromium's own sandbox is off"))

    pages = Pages(browser.connection)
    version, _ = await asyncio.gather(browser.connection.call("Browser.getVersion"), pages.start())
    await Downloads.open(browser.connection, room.downloads, on_download, clock)
    screen: KeptScreen
    if xvfb is not None:
        undo.append(("full screen", FullScreen(pages).close))
        screen = await X11Screen.open(xvfb, pages, fence, room.uploads)
    else:
        # Only machines without an X server need it.
        from sandbox.display.screencast import ScreencastScreen

        screen = await ScreencastScreen.open(pages, fence, config.size, room.uploads)
    undo.append(("screen", screen.close))
    state = StateRoom(pages, screen, secrets.token_bytes(32), clock, set_masks=screen.set_masks)
    undo.append(("state", state.close))
    screen.on_secret_entry = state.secret_entry
    screen.on_prompt_done = lambda kind, origin, accepted: state.note_dialog(kind.value, origin, accepted)
    gate = Gate(
        browser.connection, pages, fence, authority,
        sandbox=config.sandbox, downloads=room.downloads, uploads=room.uploads, clock=clock,
    )  # fmt: skip
    await gate.start()
    return Assembly(isolation, room, browser, pages, screen, sound, state, gate, version["product"], undo)


def _isolate() -> tuple[UidLock | None, Isolation]:
    if os.geteuid() != 0:
        return None, Isolation(None, ("Baton does not run as root, so all sandboxes share its user",))
    lock = claim_uid()
    return lock, Isolation(lock.uid)


async def _display(config: KeeperConfig, isolation: Isolation, room: Room) -> Xvfb | None:
    if shutil.which("Xvfb") is None:
        _log.warning("no Xvfb: the picture comes from DevTools")
        return None
    return await start_xvfb(room.display, config.size, isolation.uid)


async def _wipe(lock: UidLock) -> None:
    if not await wipe_uid(lock.uid):
        raise Unavailable(f"processes of uid {lock.uid} outlived their sandbox")


def _me() -> Process:
    return Process.of(os.getpid()) or Process(os.getpid(), 0)


async def _take_apart(undo: list[tuple[str, Callable[[], Awaitable[None] | None]]]) -> None:
    while undo:
        name, step = undo.pop()
        try:
            waiting = step()
            if waiting is not None:
                await waiting
        except Exception as error:  # noqa: BLE001 - the other parts must end all the same
            _log.error("could not end", part=name, error=type(error).__name__, where=where(error))
