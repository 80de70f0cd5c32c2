"""Processes are known by number and start time."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from sandbox import processes
from sandbox.processes import Process

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
PARENT = """
import subprocess, sys
print(subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL).pid, flush=True)
input()
"""


async def test_a_process_is_alive_until_it_has_ended() -> None:
    """A killed process is dead at once, even while nobody has reaped it; a recycled number is another process."""
    child = await asyncio.create_subprocess_exec(*SLEEP)
    process = Process.of(child.pid)
    assert process is not None
    assert process.alive
    assert Process.from_wire(process.to_wire()) == process
    assert not Process(child.pid, process.started + 1).alive

    Process(child.pid, process.started + 1).kill()
    assert process.alive
    process.kill()
    await child.wait()
    assert not process.alive
    assert Process.from_wire(None) is None


async def test_the_members_of_a_session_are_found() -> None:
    """Children are found by their session while its leader lives and after; a later leader of that number is not."""
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, *SLEEP[1:], start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert leader.stdout is not None
    member = Process.of(int(await leader.stdout.readline()))
    first = Process.of(leader.pid)
    assert member is not None
    assert first is not None

    assert {first, member} <= set(processes.of_session(first))
    assert processes.of_session(Process(leader.pid, first.started + 1)) == []
    leader.kill()
    await leader.wait()
    assert processes.of_session(first) == [member]
    assert await processes.kill_all(lambda: processes.of_session(first))
    assert not member.alive


async def test_processes_are_found_by_what_they_name(tmp_path: Path) -> None:
    """A process counts when its command line names something inside the directory, not a neighbour of it."""
    inside = await asyncio.create_subprocess_exec(*SLEEP, str(tmp_path / "profile"))
    beside = await asyncio.create_subprocess_exec(*SLEEP, f"{tmp_path}-other/profile")

    assert [process.pid for process in processes.mentioning(tmp_path)] == [inside.pid]
    assert inside.pid in {process.pid for process in processes.of_uid(os.geteuid())}
    for child in (inside, beside):
        child.kill()
        await child.wait()


async def test_killing_gives_up_after_its_time() -> None:
    """What never ends is reported, not waited for."""
    stubborn = Process(1, 0)
    assert not await processes.kill_all(lambda: [stubborn], within_s=0.05)
