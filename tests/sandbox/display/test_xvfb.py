"""An X server comes, is private, and goes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xcffib.xproto as x

from sandbox.display.events import EventReader
from sandbox.display.frame_buffer import FrameBuffer
from sandbox.display.xvfb import SOCKETS, Xvfb, lock_of, start_xvfb
from sandbox.screen import Picture, Size
from sandbox.words import Gone

SIZE = Size(320, 240)


def paint(xvfb: Xvfb, seed: int) -> Picture:
    """Draw rectangles of random colours on the root, and return what the server itself says is there then."""
    connection: Any
    connection, spare = xvfb.connect()
    spare.close()
    core, root = connection.core, connection.setup.roots[0].root
    random = np.random.default_rng(seed)
    for _ in range(20):
        context = connection.generate_id()
        core.CreateGC(context, root, x.GC.Foreground, [int(random.integers(1 << 24))])
        left, top = (int(each) for each in random.integers(0, 200, 2))
        core.PolyFillRectangle(root, context, 1, [x.RECTANGLE.synthetic(left, top, 90, 70)])
    reply = core.GetImage(x.ImageFormat.ZPixmap, root, 0, 0, SIZE.width, SIZE.height, 0xFFFFFFFF).reply()
    connection.disconnect()
    return np.frombuffer(bytes(reply.data.buf()), np.uint8).reshape(SIZE.height, SIZE.width, 4)


async def test_a_display_leaves_nothing(tmp_path: Path) -> None:
    """After `close` process, socket, lock and frame buffer are gone, and it may be closed again."""
    xvfb = await start_xvfb(tmp_path / "display", SIZE, None)
    pid, socket, lock = xvfb.pid, SOCKETS / f"X{xvfb.display[1:]}", lock_of(xvfb.display)
    assert socket.exists()
    assert int(lock.read_text()) == pid
    assert xvfb.frame_buffer.exists()
    await xvfb.close()
    await xvfb.close()
    assert not any(path.exists() for path in (socket, lock, xvfb.frame_buffer))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Gone):
        xvfb.connect()


async def test_a_display_is_private(tmp_path: Path) -> None:
    """There is no abstract socket, no TCP port, and no entry without the cookie."""
    xvfb = await start_xvfb(tmp_path / "display", SIZE, None)
    try:
        names = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()]
        assert f"@/tmp/.X11-unix/X{xvfb.display[1:]}" not in names
        assert (tmp_path / "display").stat().st_mode & 0o077 == 0
        assert repr(xvfb.cookie) not in repr(xvfb)
        stranger = Xvfb(xvfb.display, xvfb.auth_file, xvfb.frame_buffer, xvfb.process, SIZE, b"0" * 32)
        with pytest.raises(Gone):
            stranger.connect()
    finally:
        await xvfb.close()


async def test_the_frame_buffer_is_what_the_server_shows(tmp_path: Path) -> None:
    """A copy equals the server's own picture, but for the last column and row, which repeat their neighbours."""
    xvfb = await start_xvfb(tmp_path / "display", SIZE, None)
    try:
        frame = FrameBuffer(xvfb.frame_buffer, SIZE)
        out = np.empty((SIZE.height, SIZE.width, 4), np.uint8)
        for seed in range(5):
            wanted = paint(xvfb, seed)
            frame.copy(out)
            assert np.array_equal(out[:-1, :-1, :3], wanted[:-1, :-1, :3])
            assert np.array_equal(out[:, -1], out[:, -2])
            assert np.array_equal(out[-1], out[-2])
    finally:
        await xvfb.close()


async def test_the_event_thread_ends_with_the_display(tmp_path: Path) -> None:
    """When the server dies the thread that reads its events says so and ends."""
    xvfb = await start_xvfb(tmp_path / "display", SIZE, None)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def say() -> None:
        loop.call_soon_threadsafe(ended.set)

    reader = EventReader(xvfb, "test-events")
    reader.start(lambda _event: None, say)
    await xvfb.close()
    await asyncio.wait_for(ended.wait(), 5)
    reader.close()
