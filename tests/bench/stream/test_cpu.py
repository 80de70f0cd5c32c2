"""Whose processor time is whose."""

from __future__ import annotations

import os

import pytest

from bench.stream.cpu import Task, group, percent, shares, task, tasks

STAT = "42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 100 23 5 6 20 0 3 0 99 1 2 3"


def test_a_name_may_hold_brackets_and_blanks() -> None:
    """proc(5): everything after the last bracket counts."""
    assert task(42, STAT, b"python\0-m\0x\0") == Task(42, 7, "a (b) c", ("python", "-m", "x"), 123)


def test_the_stream_is_server_and_keeper_without_chromium_and_xvfb() -> None:
    """Other servers, and the instruments that name the directory in one long word, are not counted."""
    every = [
        Task(1, 0, "python", ("python", "-m", "web.cli", "serve", "--state-dir", "/t/s"), 10),
        Task(2, 1, "python", ("python", "-m", "web.runtime", "keeper", "/t/s/sandboxes/sb_1"), 20),
        Task(3, 2, "Xvfb", ("Xvfb", ":1"), 300),
        Task(4, 2, "chromium", ("chromium",), 4000),
        Task(5, 4, "chromium", ("chromium", "--type=renderer"), 50000),
        Task(6, 2, "pulseaudio", ("pulseaudio",), 7),
        Task(7, 2, "helper", ("helper",), 3),
        Task(8, 0, "python", ("python", "-m", "web.cli", "serve", "--state-dir", "/t/other"), 999),
        Task(9, 0, "python", ("netlab.py", "--server", "web.cli serve --state-dir /t/s"), 999),
        Task(10, 0, "python", ("python", "-m", "web.runtime", "keeper", "/t/s2/sandboxes/sb_1"), 999),
    ]

    assert shares(every, "/t/s") == {"stream": 33, "xvfb": 300, "chromium": 54000, "audio": 7}


def test_percent_is_of_one_core() -> None:
    """Ticks over time, by the kernel's own clock rate."""
    hertz = os.sysconf("SC_CLK_TCK")

    assert percent({"stream": 0}, {"stream": 4 * hertz}, 8.0) == {"stream": 50.0}


@pytest.mark.parametrize(("name", "got"), [("Xvfb", "xvfb"), ("chrome_crashpad", "chromium"), ("python3", "stream")])
def test_groups(name: str, got: str) -> None:
    """By the process's name."""
    assert group(Task(1, 0, name, (), 0)) == got


def test_this_process_is_found() -> None:
    """The real /proc is read."""
    assert os.getpid() in {one.pid for one in tasks()}
