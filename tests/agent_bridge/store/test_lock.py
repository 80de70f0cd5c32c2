"""One server per state directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_bridge.store.lock import StateInUse, StateLock

HOLD = (
    "import sys, time; from pathlib import Path; from agent_bridge.store.lock import StateLock;"
    "StateLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
)


def test_a_second_server_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    """The error names the process that has the lock; when that dies by SIGKILL the lock is free."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StateInUse, match=f"process {process.pid}"):
            StateLock(tmp_path).acquire()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    lock = StateLock(tmp_path)
    lock.acquire()
    lock.acquire()
    lock.release()
