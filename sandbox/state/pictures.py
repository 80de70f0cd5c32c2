"""Screenshots as JPEG, with boxes over what is secret."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from sandbox.pages import Page, Pages
from sandbox.screen import Picture, Rect, Screen

QUALITY: Final = 70
_GREY: Final = (128, 128, 128)


type Shot = Picture | bytes
"""What was taken, as it came: pixels of the screen, or a PNG of the page."""


async def take(screen: Screen | None, pages: Pages, page: Page | None) -> Shot | None:
    """Return the picture as it is now, unmasked; from the page where there is no screen, None where there is neither.

    Raises `Gone`, `CdpError` or `TimeoutError`.
    """
    if screen is not None:
        picture: Picture = np.empty((screen.size.height, screen.size.width, 4), np.uint8)
        screen.grab(picture)
        return picture
    if page is None:
        return None
    shot = await pages.call(page, "Page.captureScreenshot", {"format": "png", "optimizeForSpeed": True}, 2.0)
    return base64.b64decode(shot["data"])


def encode(shot: Shot, covered: Sequence[Rect], widest: int) -> bytes:
    """Cover the rectangles, scale down to at most `widest` pixels, return JPEG. Slow: call it in a thread."""
    if isinstance(shot, bytes):
        image = Image.open(io.BytesIO(shot)).convert("RGB")
    else:
        image = Image.fromarray(np.ascontiguousarray(shot[:, :, 2::-1]), "RGB")
    for rect in covered:
        image.paste(_GREY, (rect.x, rect.y, rect.x + rect.width, rect.y + rect.height))
    if image.width > widest:
        image = image.resize((widest, max(1, round(image.height * widest / image.width))), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
