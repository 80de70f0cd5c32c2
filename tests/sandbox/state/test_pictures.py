"""Masked JPEGs."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
from PIL import Image

from sandbox.pages import Pages
from sandbox.screen import Picture, Rect, Screen, Size
from sandbox.state import pictures


class BlueScreen:
    """A screen that shows one colour."""

    size = Size(1600, 900)

    def grab(self, out: Picture) -> None:
        """BGRX: blue first."""
        out[:] = (200, 0, 0, 0)


async def test_a_screen_is_grabbed_covered_and_scaled_down() -> None:
    """Colours in their order, a grey box where it belongs, the width bounded."""
    shot = await pictures.take(cast("Screen", BlueScreen()), cast("Pages", None), None)
    assert shot is not None
    jpeg = pictures.encode(shot, [Rect(800, 450, 100, 100), Rect(1590, 890, 500, 500)], 1280)
    shown = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert shown.shape == (720, 1280, 3)
    assert abs(shown[100, 100].astype(int) - (0, 0, 200)).max() < 12
    assert abs(shown[400, 680].astype(int) - 128).max() < 12


async def test_without_screen_and_page_there_is_no_picture() -> None:
    """Nothing is made up."""
    assert await pictures.take(None, cast("Pages", None), None) is None
