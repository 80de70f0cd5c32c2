"""The race of unmodified clients, at a length for every day; `make bench-control` runs it at full length."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.control.race import race

NODE = shutil.which("node") is not None and (Path(__file__).parents[3] / "node_modules").is_dir()


@pytest.mark.full
@pytest.mark.browser
@pytest.mark.timeout(180)
@pytest.mark.parametrize("client", ["playwright-python", "playwright-node", "puppeteer-node"])
async def test_no_client_acts_or_reads_while_a_human_has_control(client: str) -> None:
    """The page and a listener in Chromium's place count nothing of a client that floods the gate across transfers."""
    if client.endswith("-node") and not NODE:
        pytest.skip("Node or its packages are missing: npm ci")
    raced = await race(client, 100)

    assert (raced.acted, raced.read) == (0, 0)
    assert raced.answered > 100
    assert raced.refused > 100
    assert raced.near > 0.5
