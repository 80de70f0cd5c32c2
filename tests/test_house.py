"""House rules that a reviewer would otherwise have to remember."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("sandbox", "streaming", "agent_bridge", "web")


def tracked(*patterns: str) -> list[Path]:
    """Files git knows or would take, matching the patterns."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    return [ROOT / name for name in names if (ROOT / name).exists()]


SOURCES = [
    p for p in tracked("*.py") if p.relative_to(ROOT).parts[0] in {*ROOMS, "bench"} and "migrations" not in p.parts
]
"""Without migrations: they are lists of tables, and never change once released."""


@pytest.mark.parametrize("path", tracked("*.py", "*.js", "*.css"), ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_stay_small(path: Path) -> None:
    """No module is longer than 600 lines, no test module longer than 800."""
    limit = 800 if path.relative_to(ROOT).parts[0] == "tests" else 600

    assert len(path.read_text().splitlines()) <= limit


def test_functions_fit_on_a_screen() -> None:
    """No function of the four rooms is longer than 80 lines."""
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 80
    ]

    assert long == []


def test_requirements_carry_no_addresses() -> None:
    """Pinned lists name versions and hashes, never where to download them."""
    lists = [*tracked("requirements/*"), *tracked("*package-lock.json")]

    assert lists
    assert [str(p) for p in lists if re.search(r"https?://|--index-url|--find-links|\"resolved\"", p.read_text())] == []


def test_every_requirement_has_a_reason() -> None:
    """Each run-time dependency is named, with its reason, in docs/architecture.md."""
    reasons = (ROOT / "docs/architecture.md").read_text().split("## Dependencies", 1)[1]
    wanted = {line.strip() for line in (ROOT / "requirements/run.in").read_text().splitlines() if line.strip()}

    assert {name for name in wanted if name not in reasons} == set()


def test_nothing_of_this_machine_is_tracked() -> None:
    """No tracked file names the directory the project happens to lie in, or a home directory."""
    shared = {Path("/"), Path("/tmp"), Path("/var/tmp"), Path("/home"), Path("/opt"), Path("/srv")}
    places = [f"{place}/" for place in (ROOT.parent, Path.home()) if place not in shared]
    guilty = [
        str(p.relative_to(ROOT))
        for p in tracked()
        if p.suffix not in {".png", ".jpg"} and any(place in p.read_text(errors="ignore") for place in places)
    ]

    assert guilty == []


def test_tests_mirror_the_rooms() -> None:
    """Every folder of tests that bears a room's name holds only folders the room has."""
    for room in ROOMS:
        for folder in (ROOT / "tests" / room).rglob("*"):
            if folder.is_dir() and folder.name not in {"__pycache__", "node", "console", "data"}:
                assert (ROOT / folder.relative_to(ROOT / "tests")).exists(), folder


def test_the_bugs_of_others_have_tests() -> None:
    """docs/lock.md names, for each of its fifteen groups of bugs seen elsewhere, tests that are there."""
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", (ROOT / "docs/lock.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 16))
    for number, cell in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", cell)
        assert named, f"group {number} names no test"
        for path, test in named:
            assert re.search(rf"^(async )?def {test or 'test_'}", (ROOT / path).read_text(), re.MULTILINE), (path, test)
