"""Each sandbox has a user, directories and an environment of its own."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from sandbox import isolation, processes
from sandbox.isolation import UIDS, Isolation, Room, becoming, claim_uid, clean_env, lock_path, make_room, try_lock
from sandbox.words import SandboxId

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

SANDBOX = SandboxId("sb_test")


def test_isolation_says_what_is_missing() -> None:
    """A uid alone is level `uid`; without one, or with a reason, isolation is advisory."""
    assert Isolation(190_001).to_wire() == {"level": "uid", "reasons": []}
    assert Isolation(None, ("not root",)).to_wire() == {"level": "advisory", "reasons": ["not root"]}
    assert Isolation(190_001, ("no sandbox",)).level == "advisory"


@needs_root
def test_a_uid_is_given_out_once() -> None:
    """Two claims get two uids of the range; a released one can be had again and leaves no file."""
    one, two = claim_uid(), claim_uid()
    assert one.uid != two.uid
    assert {one.uid, two.uid} <= set(UIDS)
    assert try_lock(one.uid) is None

    one.release()
    two.release()
    assert not lock_path(one.uid).exists()
    again = try_lock(one.uid)
    assert again is not None
    again.release()


@needs_root
async def test_a_uid_with_live_processes_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A uid that something still runs under is passed over; wiping it ends what runs and removes its files."""
    lock = claim_uid()
    child = await asyncio.create_subprocess_exec("sleep", "60", preexec_fn=becoming(lock.uid, os.getpid()))
    shared = isolation.SHARED_MEMORY / f"baton-test-{lock.uid}"
    shared.write_bytes(b"x")
    os.chown(shared, lock.uid, lock.uid)
    lock.release()
    monkeypatch.setattr(isolation, "UIDS", range(lock.uid, lock.uid + 2))
    monkeypatch.setattr("random.randrange", lambda _n: 0)

    other = claim_uid()
    assert other.uid == lock.uid + 1
    other.release()
    assert await isolation.wipe_uid(lock.uid)
    await child.wait()
    assert not shared.exists()
    assert processes.of_uid(lock.uid) == []


async def test_only_throw_away_users_are_wiped() -> None:
    """A uid outside the range is left alone, whatever a record says."""
    child = await asyncio.create_subprocess_exec("sleep", "60")
    assert await isolation.wipe_uid(os.geteuid())

    assert child.returncode is None
    child.kill()
    await child.wait()


def test_the_environment_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Path and language are kept; tokens, settings and proxies are not; every directory lies in the room."""
    monkeypatch.setenv("BATON_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy")
    monkeypatch.setenv("LANG", "C.UTF-8")

    env = Room(tmp_path).env()
    assert "secret" not in str(env)
    assert env["LANG"] == "C.UTF-8"
    assert env["HOME"] == str(tmp_path / "home")
    assert clean_env(tmp_path)["HOME"] == str(tmp_path)


def test_a_room_is_private(tmp_path: Path) -> None:
    """The room's directories can be entered by their owner only, and go away with it."""
    room = make_room(tmp_path / "sandbox", SANDBOX, None)
    try:
        for path in (room.profile, room.downloads, room.uploads, room.home, room.temp):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
    finally:
        room.remove()
    assert not room.path.exists()


@needs_root
def test_a_room_that_its_user_cannot_reach_is_made_elsewhere(tmp_path: Path) -> None:
    """Behind a closed directory the room is made in the temporary directory, owned by its user."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    room = make_room(closed / "sandbox", SANDBOX, UIDS.start)
    try:
        assert closed not in room.path.parents
        assert room.profile.stat().st_uid == UIDS.start
    finally:
        room.remove()


def test_small_shared_memory_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no /dev/shm Chromium is told to do without."""
    monkeypatch.setattr(isolation, "SHARED_MEMORY", tmp_path / "none")
    assert isolation.shared_memory_flags() == ("--disable-dev-shm-usage",)
