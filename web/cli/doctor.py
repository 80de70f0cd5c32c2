"""What `baton doctor` looks at: each check says what was found and, where something is missing, how to get it."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Health(StrEnum):
    """How a check turned out: `limited` works with a stated limit, `missing` does not work."""

    FINE = "fine"
    LIMITED = "limited"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked thing, what was found, and what to do about it (empty when fine)."""

    name: str
    health: Health
    found: str
    remedy: str = ""


def _program(name: str, package: str, why: str, *, version: bool = True) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, Health.MISSING, f"not found ({why})", f"apt-get install {package}")
    if not version:
        return Finding(name, Health.FINE, path)
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    return Finding(name, Health.FINE, said.splitlines()[0] if said else path)


def chromium() -> Finding:
    """Chromium itself."""
    name = os.environ.get("BATON_CHROMIUM") or next(
        (n for n in ("chromium", "chromium-browser", "google-chrome") if shutil.which(n)), "chromium"
    )
    return _program(name, "chromium", "the sandboxes' browser")


def xvfb() -> Finding:
    """The display; without it the picture comes from DevTools screencast."""
    finding = _program("Xvfb", "xvfb", "the sandboxes' display", version=False)
    if finding.health is Health.MISSING:
        return Finding(
            "Xvfb", Health.LIMITED, "not found: headless sandboxes, pictures by screencast, slower", finding.remedy
        )
    return finding


def pulseaudio() -> Finding:
    """The sound server each sandbox gets one of; without it operators cannot hear pages."""
    for name in ("pulseaudio", "parec"):
        finding = _program(name, "pulseaudio", "the pages' sound", version=False)
        if finding.health is Health.MISSING:
            return Finding("PulseAudio", Health.LIMITED, "not found: pages cannot be heard", finding.remedy)
    return Finding("PulseAudio", Health.FINE, str(shutil.which("pulseaudio")))


def python() -> Finding:
    """The interpreter."""
    return Finding("Python", Health.FINE, f"{sys.version.split()[0]} at {sys.executable}")


def libxcb() -> Finding:
    """The library the display is read with."""
    found = ctypes.util.find_library("xcb")
    if found:
        return Finding("libxcb", Health.FINE, found)
    return Finding("libxcb", Health.LIMITED, "not found: no X display", "apt-get install libxcb1")


def fonts() -> Finding:
    """Fonts for the pages."""
    if any(Path(d).is_dir() and any(Path(d).rglob("*.ttf")) for d in ("/usr/share/fonts", "/usr/local/share/fonts")):
        return Finding("fonts", Health.FINE, "found")
    return Finding(
        "fonts", Health.LIMITED, "none: pages show boxes", "apt-get install fonts-dejavu-core fonts-liberation"
    )


def isolation() -> Finding:
    """Whether each sandbox can have a uid of its own."""
    if os.geteuid() == 0:
        return Finding("isolation", Health.FINE, "each sandbox runs under a throw-away uid, Chromium's own sandbox on")
    return Finding(
        "isolation", Health.LIMITED, "advisory: sandboxes share your uid, because Baton does not run as root",
        "run as root (or in the container) where sandboxes must be walled off from each other",
    )  # fmt: skip


def demo() -> Finding:
    """The demo's sites."""
    from web.demo.sites import demo_python

    try:
        return Finding("demo sites", Health.FINE, str(demo_python()))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the demo, the doctor reports it
        return Finding("demo sites", Health.LIMITED, str(error), "docker/install demo")


def state_dir(path: Path) -> Finding:
    """Where everything is stored."""
    home = path if path.exists() else path.parent
    if not os.access(home, os.W_OK):
        return Finding(
            "state directory",
            Health.MISSING,
            f"{path} cannot be written",
            "set BATON_STATE_DIR to a directory of yours",
        )
    free = shutil.disk_usage(home).free / 1e9
    if free < 1:
        return Finding("state directory", Health.LIMITED, f"{path}: {free:.1f} GB free", "free some space")
    return Finding("state directory", Health.FINE, f"{path}: {free:.0f} GB free")


CHECKS: tuple[Callable[[], Finding], ...] = (python, chromium, xvfb, pulseaudio, libxcb, fonts, isolation, demo)


def examine(state: Path) -> list[Finding]:
    """Run every check."""
    return [*(check() for check in CHECKS), state_dir(state)]
