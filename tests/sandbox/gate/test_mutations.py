"""Each check that keeps the agent out is needed: with any one of them taken out, the race tests fail."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.sandbox.gate.mutations import MUTATIONS, TESTS

ROOT = Path(__file__).parents[3]
NEEDED = ("sandbox", "streaming", "agent_bridge", "tests", "bench", "pyproject.toml")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[why for *_, why in MUTATIONS])
def test_each_check_is_where_the_list_says(mutation: tuple[str, str, str, str]) -> None:
    """The text of a check is in its module once: the list is never out of date."""
    module, text, replacement, _why = mutation
    assert (ROOT / module).read_text().count(text) == 1
    assert text != replacement


async def tested(tree: Path) -> tuple[int, str]:
    """Run the race tests in a tree; returns pytest's exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-x", "-q", "-m", "not full", "-p", "no:cacheprovider", *TESTS, cwd=tree,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the race tests need."""
    copy = tmp_path_factory.mktemp("tree")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_no_check_can_be_taken_out(tree: Path) -> None:
    """The tests pass in the copy as it is, and fail with each mutant."""
    status, said = await tested(tree)
    assert status == 0, said[-2000:]
    unnoticed = []
    for module, text, replacement, why in MUTATIONS:
        path = tree / module
        whole = path.read_text()
        path.write_text(whole.replace(text, replacement))
        status, _ = await tested(tree)
        path.write_text(whole)
        # 1: tests failed; anything else is a tree that cannot be tested.
        if status != 1:
            unnoticed.append((why, status))
    assert unnoticed == []
