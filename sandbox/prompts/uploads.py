"""Putting files an operator gives where the sandbox's browser, and nothing else of the sandbox's choosing, reads them.

The directory belongs to the sandbox's own user, who may be hostile: every step goes through descriptors, so that no
link planted there is followed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from sandbox.screen import UploadedFile
from sandbox.words import TooLarge, Unavailable

MOST_BYTES: Final = 32 * 1024 * 1024
"""All files of one answer together."""

_LONGEST_NAME: Final = 200
_LONGEST_SUFFIX: Final = 20


def bare_name(name: str) -> str:
    """Return `name` without directories (of any system), control characters and what no file may be called."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(c for c in last if c.isprintable()).encode(errors="ignore").decode().strip()
    if plain in {"", ".", ".."}:
        return "file"
    path = PurePosixPath(plain)
    suffix = path.suffix if len(path.suffix.encode()) <= _LONGEST_SUFFIX else ""
    stem = plain[: len(plain) - len(suffix)]
    kept = stem.encode()[: _LONGEST_NAME - len(suffix.encode())].decode(errors="ignore")
    return f"{kept}{suffix}"


def unique_names(names: Sequence[str]) -> list[str]:
    """Return bare names in the same order, no two alike whatever the case of their letters."""
    taken: set[str] = set()
    unique = []
    for name in map(bare_name, names):
        path, count, candidate = PurePosixPath(name), 1, name
        while candidate.casefold() in taken:
            candidate, count = f"{path.stem} ({count}){path.suffix}", count + 1
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique


def check_size(files: Sequence[UploadedFile]) -> None:
    """Raise `TooLarge` where the files are more than one answer may carry."""
    if sum(len(file.data) for file in files) > MOST_BYTES:
        raise TooLarge(f"the files are larger than {MOST_BYTES // 2**20} MB together; choose fewer", limit=MOST_BYTES)


def save(uploads: Path, folder: str, files: Sequence[UploadedFile]) -> list[str]:
    """Write `files` into a new directory `folder` of `uploads`, owned as `uploads` is; returns their paths.

    Blocks on the disk. Raises `Unavailable` when they cannot be written.
    """
    try:
        return _save(uploads, folder, files)
    except OSError as error:
        raise Unavailable(f"the files could not be put into the sandbox: {os.strerror(error.errno or 0)}") from None


def _save(uploads: Path, folder: str, files: Sequence[UploadedFile]) -> list[str]:
    names = unique_names([file.name for file in files])
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    outer = os.open(uploads, flags)
    try:
        owner = os.fstat(outer)
        os.mkdir(folder, 0o700, dir_fd=outer)
        inner = os.open(folder, flags, dir_fd=outer)
        try:
            for name, file in zip(names, files, strict=True):
                _write(inner, name, file.data, owner)
            _give(inner, owner)
        finally:
            os.close(inner)
    finally:
        os.close(outer)
    return [str(uploads / folder / name) for name in names]


def _write(directory: int, name: str, data: bytes, owner: os.stat_result) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o640, dir_fd=directory), "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o640)
        _give(file.fileno(), owner)


def _give(descriptor: int, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
