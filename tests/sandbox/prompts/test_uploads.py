"""Uploaded files stay where they belong, whatever they are called."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sandbox.prompts.uploads import bare_name, save, unique_names
from sandbox.screen import UploadedFile
from sandbox.words import Unavailable


def test_names_are_bare_and_unique() -> None:
    """No name leaves its directory, is too long for a file system, or hides another."""
    assert [bare_name(n) for n in ("/etc/passwd", "..\\..\\a", "a/", ".", " ", "\ud800b")] == [
        "passwd", "a", "a", "file", "file", "b",
    ]  # fmt: skip
    long = bare_name("é" * 300 + ".jpeg")
    assert len(long.encode()) <= 200
    assert long.endswith("é.jpeg")
    assert unique_names(["a.txt", "A.txt", "a (1).txt"]) == ["a.txt", "A (1).txt", "a (1) (1).txt"]


def test_files_belong_to_the_sandbox(tmp_path: Path) -> None:
    """Files and their directory belong to whom the uploads directory belongs to; a planted link is not followed."""
    uploads = tmp_path / "uploads"
    uploads.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(uploads, 190_001, 190_001)
    (path,) = save(uploads, "up_1", [UploadedFile("a", b"x")])
    for each in (Path(path), Path(path).parent):
        assert each.stat().st_uid == uploads.stat().st_uid
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o640
    (uploads / "up_2").symlink_to(tmp_path)
    with pytest.raises(Unavailable, match="could not be put"):
        save(uploads, "up_2", [UploadedFile("a", b"x")])
    assert not (tmp_path / "a").exists()
