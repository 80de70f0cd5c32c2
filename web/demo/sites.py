"""The demo's sites: django-simple-captcha's own test project and a fresh wagtail, as their packages ship them.

They live in an environment of their own (`.venv-demo`), so that nothing of theirs reaches Baton's. A site is made once
in its directory and then only started; the tests use the same sites.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.words import Unavailable

USER, PASSWORD = "editor", "fifteen seconds"
_NEWEST = "SELECT response FROM captcha_captchastore ORDER BY id DESC LIMIT 1"
_ROOT = Path(__file__).resolve().parents[2]


def demo_python() -> Path:
    """Return the interpreter the sites run on. Raises `Unavailable` naming the command that installs it."""
    home = Path(os.environ.get("BATON_DEMO_ENV", _ROOT / ".venv-demo"))
    python = home / "bin" / "python"
    if not python.exists() or not (home / "src" / "testproject").is_dir():
        raise Unavailable("the demo's sites are not installed; run: docker/install demo", path=str(home))
    return python


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Site:
    """One running site: its base URL (no slash at the end), its directory, its server process."""

    url: str
    directory: Path
    process: asyncio.subprocess.Process = field(repr=False)

    async def close(self) -> None:
        """Stop the server; what the site stored stays."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), 5)
            except TimeoutError:
                os.killpg(self.process.pid, signal.SIGKILL)
                await self.process.wait()

    def captcha_answer(self) -> str:
        """Read the newest CAPTCHA's answer from the site's own database: what a human sees in the picture."""
        with contextlib.closing(sqlite3.connect(self.directory / "django-simple-captcha.db")) as database:
            (answer,) = database.execute(_NEWEST).fetchone()
        return str(answer)


async def captcha_site(home: Path, port: int = 0) -> Site:
    """Start the CAPTCHA test project under `home`. Raises `Unavailable` when it does not come up."""
    python = demo_python()
    directory = home / "testproject"

    async def make(fresh: Path) -> None:
        shutil.copytree(python.parents[1] / "src" / "testproject", fresh, dirs_exist_ok=True)
        await _run(fresh, python, "manage.py", "migrate", "-v0", env={"PYTHONPATH": str(fresh.parent)})

    await _once(directory, make)
    return await _serve(directory, python, port)


async def wagtail_site(home: Path, port: int = 0) -> Site:
    """Start a fresh wagtail with the account `USER` / `PASSWORD` under `home`. Raises `Unavailable`."""
    python = demo_python()
    directory = home / "wagtail"

    async def make(fresh: Path) -> None:
        fresh.mkdir()
        await _run(fresh, python.parent / "wagtail", "start", "acme", ".")
        await _run(fresh, python, "manage.py", "migrate", "-v0")
        account = ("--noinput", "--username", USER, "--email", "editor@example.com")
        await _run(fresh, python, "manage.py", "createsuperuser", *account, env={"DJANGO_SUPERUSER_PASSWORD": PASSWORD})

    await _once(directory, make)
    return await _serve(directory, python, port)


async def _once(directory: Path, make: Callable[[Path], Awaitable[None]]) -> None:
    """Make a site beside its place and move it there, so that a half-made one is never used."""
    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        fresh = Path(scratch) / directory.name
        await make(fresh)
        fresh.rename(directory)


async def _run(directory: Path, program: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
    process = await asyncio.create_subprocess_exec(
        program, *arguments, cwd=directory, env={**os.environ, **(env or {})}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise Unavailable(f"{program.name} {arguments[0]} failed in {directory}: {output.decode()[-400:]}")


async def _serve(directory: Path, python: Path, port: int) -> Site:
    port = port or free_port()
    with (directory / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            python, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}", cwd=directory,
            env={**os.environ, "PYTHONPATH": str(directory.parent)}, stdin=asyncio.subprocess.DEVNULL,
            stdout=log, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    site = Site(f"http://127.0.0.1:{port}", directory, process)
    for _ in range(300):
        if process.returncode is not None:
            break
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return site
        await asyncio.sleep(0.1)
    await site.close()
    raise Unavailable(f"the demo site in {directory} did not start; see server.log there")
