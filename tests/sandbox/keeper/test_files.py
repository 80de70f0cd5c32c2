"""What lies in a sandbox's directory is read back as it was written."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sandbox.keeper.files import SOCKET, KeeperConfig, KeeperRecord, read_json, socket_address, write_json
from sandbox.processes import Process
from sandbox.screen import Size
from sandbox.words import NotFound, SandboxId


def test_the_order_survives(tmp_path: Path) -> None:
    """A keeper reads what its server wrote; an empty directory is no sandbox."""
    config = KeeperConfig(SandboxId("sb_1"), tmp_path, Size(640, 480), "https://example.org/", 5.0)
    with pytest.raises(NotFound, match="holds no sandbox"):
        KeeperConfig.read(tmp_path)

    config.write()
    assert KeeperConfig.read(tmp_path) == config


def test_the_record_survives(tmp_path: Path) -> None:
    """A janitor reads what the keeper wrote, from its first words to its last; only the owner can."""
    early = KeeperRecord(SandboxId("sb_1"), Process(10, 11))
    late = KeeperRecord(
        SandboxId("sb_1"), Process(10, 11), 190_005, tmp_path / "room", ":7", Process(12, 13), Process(14, 15)
    )
    assert KeeperRecord.read(tmp_path) is None
    for record in (early, late):
        record.write(tmp_path)
        assert KeeperRecord.read(tmp_path) == record

    assert [path.name for path in tmp_path.iterdir()] == ["keeper.json"]
    assert (tmp_path / "keeper.json").stat().st_mode & 0o777 == 0o600


def test_what_is_no_object_is_nothing(tmp_path: Path) -> None:
    """A torn or foreign file reads as none."""
    path = tmp_path / "x.json"
    for text in ("", "[1]", '{"a"'):
        path.write_text(text)
        assert read_json(path) is None
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}


def test_a_long_path_still_has_a_socket(tmp_path: Path) -> None:
    """A directory deeper than a socket address is long can be bound and connected in."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with socket_address(deep) as address:
            assert len(os.fsencode(address)) < 108
            server.bind(address)
        server.listen()
        with socket_address(deep) as address:
            client.connect(address)
    assert (deep / SOCKET).exists()
