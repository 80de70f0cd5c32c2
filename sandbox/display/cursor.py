"""The remote pointer's shape as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from sandbox.screen import Cursor

HIDDEN: Final = Cursor(b"", 0, 0)
ARROW: Final = Cursor(b"", -1, -1)
"""Stands for the platform's own arrow, before any shape is known."""


def to_cursor(pixels: Sequence[int], width: int, height: int, hot: tuple[int, int]) -> Cursor:
    """Turn X's cursor image (32-bit ARGB, colours multiplied by alpha) into a `Cursor`; invisible ones have no PNG."""
    argb = np.asarray(pixels, dtype=np.uint32).reshape(height, width)
    alpha = (argb >> 24).astype(np.uint8)
    if not alpha.any():
        return HIDDEN
    planes = [((argb >> shift) & 0xFF).astype(np.uint16) for shift in (16, 8, 0)]
    divisor = np.maximum(alpha, 1).astype(np.uint16)
    straight = [np.minimum(plane * 255 // divisor, 255).astype(np.uint8) for plane in planes]
    buffer = io.BytesIO()
    Image.fromarray(np.dstack([*straight, alpha]), "RGBA").save(buffer, "PNG", compress_level=1)
    return Cursor(buffer.getvalue(), *hot)
