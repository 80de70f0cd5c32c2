"""The screen as its owner sees it: what the keeper does with it beyond `sandbox.screen.Screen`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sandbox.screen import Rect, Screen


class KeptScreen(Screen, Protocol):
    """A screen the keeper owns, whatever draws it."""

    def release_all(self) -> None:
        """Let go of every key, button and finger, at once."""
        ...

    def set_masks(self, masks: Sequence[Rect]) -> None:
        """Say what everybody but the holder must not see."""
        ...

    async def close(self) -> None:
        """Let go of the display."""
        ...
