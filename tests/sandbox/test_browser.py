"""Chromium starts on the pipe with a clean environment, and ends with whoever started it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sandbox import browser, processes
from sandbox.screen import Size
from sandbox.words import Gone, Unavailable

pytestmark = pytest.mark.browser

type Until = Callable[..., Awaitable[None]]

PARENT = """
import asyncio, sys
from pathlib import Path
from sandbox.browser import launch
from sandbox.screen import Size

async def main():
    await launch(Path(sys.argv[1]), Size(320, 240))
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_it_ends_and_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser has no debugging port and knows no secret of ours; closed, nothing of it runs and calls raise Gone."""
    monkeypatch.setenv("BATON_PLANTED", "planted-secret")
    started = await browser.launch(tmp_path / "profile", Size(320, 240), env={"EXTRA": "1"})
    environment = (processes.PROC / str(started.process.pid) / "environ").read_bytes()
    assert b"planted-secret" not in environment
    assert b"EXTRA=1" in environment
    assert not any("remote-debugging-port" in flag for flag in started.flags)
    assert (await started.connection.call("Browser.getVersion"))["product"].startswith("Chrome/")

    await started.close()
    await started.close()
    assert started.connection.ended.is_set()
    with pytest.raises(Gone):
        await started.connection.call("Browser.getVersion")
    assert processes.mentioning(tmp_path) == []


async def test_it_dies_with_its_parent(tmp_path: Path, until: Until, keeper_command: tuple[str, ...]) -> None:
    """After SIGKILL of the process that started it, no browser is left."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path / "profile"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"up\n"
    assert processes.mentioning(tmp_path)

    parent.kill()
    await parent.wait()
    await until(lambda: processes.mentioning(tmp_path), [])


async def test_what_is_no_browser_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing Chromium is named with its package; one that ends at its start with its status."""
    monkeypatch.setenv("BATON_CHROMIUM", "/bin/false")
    with pytest.raises(Unavailable, match="status 1"):
        await browser.launch(tmp_path, Size(320, 240))
    monkeypatch.delenv("BATON_CHROMIUM")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="apt-get install chromium"):
        browser.find_chromium()
