"""The masked pictures of handoffs, as files (`agent_bridge.control.ports.Images`)."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

from sandbox.words import BadRequest, HandoffId

_ID = re.compile(r"ho_[0-9a-f]{20}")
_NAMES = frozenset({"before", "after"})


class FileImages:
    """Keeps `handoffs/<id>/<name>.jpg` under the state directory, readable for its owner only."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "handoffs"

    async def save(self, handoff: HandoffId, name: str, jpeg: bytes) -> None:
        """Keep one picture, over an earlier one; whole or not at all."""
        await asyncio.to_thread(self._save, self._path(handoff, name), jpeg)

    def path(self, handoff: HandoffId, name: str) -> Path | None:
        """Return where a picture lies, or None when there is none. Raises `BadRequest` for what cannot be a name."""
        path = self._path(handoff, name)
        return path if path.is_file() else None

    async def remove(self, handoff: HandoffId) -> None:
        """Remove all pictures of a handoff."""
        await asyncio.to_thread(shutil.rmtree, self._path(handoff, "before").parent, ignore_errors=True)

    def _path(self, handoff: HandoffId, name: str) -> Path:
        if not _ID.fullmatch(handoff) or name not in _NAMES:
            raise BadRequest("pictures are called before and after, of a handoff's id")
        return self._root / handoff / f"{name}.jpg"

    @staticmethod
    def _save(path: Path, jpeg: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(jpeg)
        unfinished.replace(path)
