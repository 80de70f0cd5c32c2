"""CAPTCHA widgets as their vendors' own packages make them, run in the page from node_modules, without a network."""

from __future__ import annotations

from collections.abc import Iterator

from bench.control.detector.kinds import Made


def widgets() -> Iterator[Made]:
    """Yield a page for each way a package puts its widget into a page."""
    yield from ()
