"""Keepers are started, adopted, closed and cleaned up after; nothing of a sandbox is ever left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import processes
from sandbox.host import KeeperLink, Keepers, SandboxSpec
from sandbox.keeper.files import KeeperRecord
from sandbox.words import NOBODY, THE_AGENT, Conflict, Epoch, Gone, NotFound, SandboxId, Unavailable, new_id

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

type Until = Callable[..., Awaitable[None]]
type Read = Callable[[Path], Any]

AS_ROOT = os.geteuid() == 0

SERVER = """
import asyncio, sys
from pathlib import Path
from sandbox.host import KeeperLink
from sandbox.words import Epoch

async def main():
    link = await KeeperLink.open("sb_held", Path(sys.argv[1]), "doomed")
    if sys.argv[2:]:
        await link.open_gate(Epoch(int(sys.argv[2])), 0.0)
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def spec(url: str | None = None) -> SandboxSpec:
    """A small sandbox with a new id."""
    return SandboxSpec(SandboxId(new_id("sb")), 640, 480, url)


async def doomed_server(directory: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Start another process that holds the control link of `directory`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(directory), *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    return process


async def round_of(keepers: Keepers, read: Read) -> list[str]:
    """Open and close one sandbox; returns what is left of it."""
    link = await keepers.open(spec())
    traces = read(link.directory)
    assert traces.listening() == []
    await keepers.close(link.sandbox)
    left: list[str] = traces.left()
    return left


async def test_rounds_leave_nothing(keepers: Keepers, traces: Read) -> None:
    """After three rounds of opening and closing no process, display, directory, socket, port or memory is left."""
    assert [await round_of(keepers, traces) for _ in range(3)] == [[], [], []]


@pytest.mark.full
@pytest.mark.timeout(600)
async def test_fifty_rounds_leave_nothing(keepers: Keepers, traces: Read) -> None:
    """After fifty rounds, two at a time, nothing is left."""
    for _ in range(25):
        left = await asyncio.gather(round_of(keepers, traces), round_of(keepers, traces))
        assert [*left[0], *left[1]] == []


async def test_hello_describes_the_sandbox(keepers: Keepers) -> None:
    """An opened sandbox says who and where it is; nobody holds control of it yet."""
    link = await keepers.open(spec())
    hello = link.hello
    assert hello is not None

    assert (hello.sandbox, hello.width, hello.height) == (link.sandbox, 640, 480)
    assert (hello.holder, hello.epoch) == (NOBODY, 0)
    assert hello.browser.startswith("Chrome/")
    assert [tab["url"] for tab in hello.tabs] == ["about:blank"]
    assert KeeperRecord.read(link.directory).keeper.pid == hello.pid  # type: ignore[union-attr]
    assert keepers.link(link.sandbox) is link
    await keepers.close(link.sandbox)
    with pytest.raises(NotFound):
        keepers.link(link.sandbox)


@pytest.mark.skipif(not AS_ROOT, reason="only root can give a sandbox a uid of its own")
async def test_as_root_each_sandbox_is_a_user_of_its_own(keepers: Keepers) -> None:
    """Browser and display run as a throw-away uid, Chromium's own sandbox is on, and no secret is in their sight."""
    os.environ["BATON_PLANTED"] = "planted-secret"
    try:
        one, two = await asyncio.gather(keepers.open(spec()), keepers.open(spec()))
    finally:
        del os.environ["BATON_PLANTED"]
    record, other = KeeperRecord.read(one.directory), KeeperRecord.read(two.directory)
    assert record is not None
    assert other is not None
    assert one.hello is not None

    assert one.hello.isolation == {"level": "uid", "reasons": []}
    assert record.uid is not None
    assert record.uid != other.uid
    running = processes.of_uid(record.uid)
    assert {record.xvfb, record.chromium} <= set(running)
    for process in running:
        environment = (processes.PROC / str(process.pid) / "environ").read_bytes()
        assert b"planted-secret" not in environment
    renderers = [p for p in running if b"--type=renderer" in (processes.PROC / str(p.pid) / "cmdline").read_bytes()]
    ours = Path("/proc/self/ns/user").readlink()
    assert renderers
    for renderer in renderers:
        folder = processes.PROC / str(renderer.pid)
        assert "Seccomp:\t2" in (folder / "status").read_text()
        assert (folder / "ns" / "user").readlink() != ours
    assert record.room is not None
    assert (record.room / "profile").stat().st_mode & 0o777 == 0o700
    assert (one.directory / "keeper.sock").stat().st_mode & 0o777 == 0o600
    await asyncio.gather(keepers.close(one.sandbox), keepers.close(two.sandbox))


async def test_an_unreachable_directory_gets_a_room_elsewhere(
    tmp_path: Path, keeper_command: tuple[str, ...], traces: Read
) -> None:
    """Where the state directory is closed to others, or its path too long for a socket, a sandbox works as well."""
    deep = tmp_path / ("d" * 60)
    deep.mkdir(mode=0o700)
    keepers = Keepers(deep, keeper_command)
    link = await keepers.open(spec())
    found = traces(link.directory)

    assert found.record.room != link.directory
    assert (await link.mark("before"))["url"] == "about:blank"
    await keepers.close(link.sandbox)
    assert found.left() == []


async def test_a_killed_keeper_is_cleaned_up_after(keepers: Keepers, traces: Read, until: Until) -> None:
    """After SIGKILL of the keeper its link closes and nothing of the sandbox is left."""
    link = await keepers.open(spec())
    found = traces(link.directory)

    found.record.keeper.kill()

    await asyncio.wait_for(link.closed.wait(), 5)
    await until(found.left, [])
    with pytest.raises(Gone):
        await keepers.adopt(link.sandbox)


async def test_without_users_of_their_own_nothing_is_left_either(
    keepers: Keepers, traces: Read, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where isolation is advisory it says why, and closing as well as SIGKILL of the keeper leave nothing."""
    monkeypatch.setenv("COMPOSER_ADVISORY", "1")
    one, two = await asyncio.gather(keepers.open(spec()), keepers.open(spec()))
    closed, killed = traces(one.directory), traces(two.directory)
    assert one.hello is not None
    assert one.hello.isolation["level"] == "advisory"
    assert one.hello.isolation["reasons"][0] == "the test says so"

    await keepers.close(one.sandbox)
    assert closed.left() == []
    assert two.alive
    killed.record.keeper.kill()
    await until(killed.left, [])


async def test_a_starting_server_removes_what_dead_keepers_left(
    keepers: Keepers, state_dir: Path, keeper_command: tuple[str, ...], traces: Read, until: Until
) -> None:
    """A keeper that died while there was no server is cleaned up by the next one's sweep."""
    link = await keepers.open(spec())
    found = traces(link.directory)
    await keepers.detach()
    found.record.keeper.kill()
    await until(lambda: not found.record.keeper.alive)
    assert link.directory.exists()

    assert await Keepers(state_dir, keeper_command).sweep() == []
    assert found.left() == []


async def test_a_keeper_that_nobody_adopts_removes_itself(
    state_dir: Path, keeper_command: tuple[str, ...], traces: Read, until: Until
) -> None:
    """After SIGKILL of the server the keeper waits its adoption time, then nothing of it is left."""
    keepers = Keepers(state_dir, keeper_command, adoption_s=1)
    link = await keepers.open(spec())
    found = traces(link.directory)
    await keepers.detach()
    server = await doomed_server(link.directory)

    server.kill()
    await server.wait()

    await until(found.left, [])


async def test_adoption_finds_the_same_page(keepers: Keepers, state_dir: Path, keeper_command: tuple[str, ...]) -> None:
    """A server that adopts a sandbox finds the same tabs with the same content, and the agent's control again."""
    link = await keepers.open(spec())
    first = await link.mark("a")
    tabs = link.hello and link.hello.tabs
    await keepers.detach()
    server = await doomed_server(link.directory, "4")
    server.kill()
    await server.wait()

    successor = Keepers(state_dir, keeper_command)
    assert link.sandbox in await successor.sweep()
    adopted = await successor.adopt(link.sandbox)

    assert adopted.hello is not None
    assert (adopted.hello.tabs, adopted.hello.holder, adopted.hello.epoch) == (tabs, NOBODY, 4)
    assert await adopted.mark("b") == first
    await adopted.open_gate(Epoch(4), 0.0)
    await successor.detach()
    again = await keepers.adopt(link.sandbox)
    assert again.hello is not None
    assert again.hello.holder == NOBODY
    await again.open_gate(Epoch(4), 0.0)
    await keepers.close(link.sandbox)


async def test_a_second_server_is_refused_while_the_first_lives(keepers: Keepers) -> None:
    """A live server's sandbox cannot be taken; the refusal names the process that holds it."""
    link = await keepers.open(spec())

    with pytest.raises(Conflict, match=f"process {os.getpid()}"):
        await KeeperLink.open(link.sandbox, link.directory, "second")

    assert link.alive
    await link.mark("still works")
    await keepers.close(link.sandbox)


async def test_a_dead_browser_is_told_of_until_heard(keepers: Keepers, until: Until, traces: Read) -> None:
    """After SIGKILL of Chromium every server hears why, calls raise Gone, and closing still leaves nothing."""
    link = await keepers.open(spec())
    found = traces(link.directory)
    heard: list[tuple[str, dict[str, Any]]] = []
    link.on_event(lambda event, params: heard.append((event, params)))

    found.record.chromium.kill()

    died = ("browser.died", {"reason": "Chromium was ended by SIGKILL"})
    await until(lambda: died in heard)
    with pytest.raises(Gone, match="SIGKILL"):
        await link.mark("too late")
    await keepers.detach()
    adopted = await keepers.adopt(link.sandbox)
    adopted.on_event(lambda event, params: heard.append((event, params)))
    await until(lambda: heard.count(died) == 2)
    await keepers.close(link.sandbox)
    assert found.left() == []


async def test_sigterm_ends_a_keeper_cleanly(keepers: Keepers, traces: Read, until: Until) -> None:
    """SIGTERM makes a keeper end its sandbox and remove everything itself."""
    link = await keepers.open(spec())
    found = traces(link.directory)
    await keepers.detach()

    os.kill(found.record.keeper.pid, signal.SIGTERM)

    await until(found.left, [])


async def test_a_keeper_that_cannot_start_says_why(state_dir: Path) -> None:
    """A command that ends at once, or never answers, is an error with its last words, and leaves no directory."""
    before = set((state_dir / "sandboxes").iterdir())
    words = (sys.executable, "-c", "raise SystemExit('no such thing here')")
    with pytest.raises(Unavailable, match="no such thing here"):
        await Keepers(state_dir, words).open(spec())
    silent = (sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(Unavailable, match="not up within"):
        await Keepers(state_dir, silent, launch_s=0.5).open(spec())

    assert set((state_dir / "sandboxes").iterdir()) == before


async def test_a_missing_browser_is_named(
    keepers: Keepers, state_dir: Path, keeper_command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Chromium opening fails with the package to install, and leaves nothing."""
    before = set((state_dir / "sandboxes").iterdir())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="apt-get install"):
        await Keepers(state_dir, keeper_command).open(spec())

    assert set((state_dir / "sandboxes").iterdir()) == before


async def test_an_id_is_used_once(keepers: Keepers) -> None:
    """Opening the same id twice is a conflict and leaves the first alone."""
    once = spec()
    link = await keepers.open(once)
    with pytest.raises(Conflict):
        await keepers.open(once)

    await link.open_gate(Epoch(1), 0.0)
    assert THE_AGENT.side == "agent"
    await keepers.close(link.sandbox)
