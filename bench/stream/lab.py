"""Starting subjects and instruments between two hosts of netlab.py's, and ending all of it again."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.stream.plan import LEAD, Link, Run
from bench.stream.values import Outcome, parse

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
SERVER: Final = "10.99.0.1"
PORT: Final = 8700
PEER_PORT: Final = 8000
NEEDED: Final = ("ruler.py", "netlab.py", "scenes.html")
_LEAVE_S: Final = 20.0
_LOOK_AGAIN_S: Final = 0.1


class BenchError(Exception):
    """The benchmark cannot run here; the message says what to do."""


def rulers() -> Path:
    """Return the directory of the independent instruments (`RULERS`). Raises `BenchError` when they are not there."""
    directory = Path(os.environ.get("RULERS") or ROOT.parent / "shared" / "rulers").resolve()
    missing = [name for name in NEEDED if not (directory / name).is_file()]
    if missing:
        raise BenchError(
            f"the instruments are not in {directory}: {', '.join(missing)} missing; they are not part of this project "
            "on purpose, name their directory with RULERS=..."
        )
    return directory


def check_machine() -> None:
    """Raise `BenchError` where netlab.py cannot make its two hosts."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists() or shutil.which("ip") is None:
        raise BenchError("netlab.py needs root, /dev/net/tun and iproute2 to make two hosts and a bad network")


@dataclass(frozen=True, slots=True)
class Subject:
    """One way to hand a browser over: how its server starts, and what the ruler is told.

    `server` starts a peer, Baton has none; `missing` says why it is not there; `way` is one of Baton's, empty for its
    own choice.
    """

    name: str
    server: Sequence[str] = ()
    url: str = ""
    selector: str = "[data-screen]"
    missing: str = ""
    way: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


def peers(directory: Path) -> list[Subject]:
    """Return every known peer; what is not installed says so in `missing`."""
    selkies = Path(os.environ.get("SELKIES") or ROOT / ".venv-peers" / "bin" / "selkies")
    tools = [name for name in ("Xvnc", "websockify") if shutil.which(name) is None]
    no_vnc = f"not installed: {', '.join(tools)}" if tools else ""
    if not Path("/usr/share/novnc/vnc_lite.html").exists():
        no_vnc = no_vnc or "not installed: novnc"
    no_selkies = "" if selkies.exists() else "neither in .venv-peers nor named by SELKIES"
    at = f"http://{SERVER}:{PEER_PORT}/"

    def peer(name: str, starter: str, url: str, selector: str, missing: str, **env: str) -> Subject:
        path = directory / "peers" / starter
        command = [sys.executable if path.suffix == ".py" else "bash", str(path)]
        missing = missing and f"{missing}; make bench-peers"
        return Subject(name, command, url, selector, missing or ("" if path.is_file() else f"no {path}"), env=env)

    return [
        peer("novnc", "novnc.sh", f"{at}vnc_lite.html?scale=false", "canvas", no_vnc),
        peer("selkies-ws", "selkies.sh", at, "#videoStream", no_selkies, MODE="websockets", SELKIES=str(selkies)),
        peer("selkies-rtc", "selkies.sh", at, "video", no_selkies, MODE="webrtc", SELKIES=str(selkies)),
        peer("screencast", "screencast.py", at, "canvas", ""),
    ]


BATON: Final = (
    Subject(LEAD),
    Subject("baton-socket", way="socket"),
    Subject("baton-datagrams", way="datagrams"),
)


@dataclass(slots=True)
class Lab:
    """The place where runs happen. `log` gets what servers and instruments said on their standard error."""

    rulers: Path
    log: Path

    def measure(self, run: Run, link: Link, subject: Subject) -> Outcome:
        """Run the ruler once before one subject. Never raises for what a subject did wrong: `error` says it."""
        began = time.monotonic()
        ruler = [sys.executable, str(self.rulers / "ruler.py")]
        told = ["-n", str(run.n), "--scenes", ",".join(run.scenes), "--label", subject.name]
        limit = 90 + sum(run.n * 3 if scene in {"flip", "page", "type", "sharp"} else 30 for scene in run.scenes)
        if subject.server:
            printed, error = self.between(
                link, subject.server, [*ruler, subject.url, subject.selector, *told],
                port=PEER_PORT, env=subject.env, limit_s=limit,
            )  # fmt: skip
        else:
            if subject.way:
                told += ["--prepare", str(HERE / "way.py")]
            printed, error = self.before_baton(
                link, self.rulers / "scenes.html", lambda url: [*ruler, url, subject.selector, *told], limit_s=limit,
                env={"BENCH_WAY": subject.way},
            )  # fmt: skip
        scenes = parse(printed)
        missing = [scene for scene in run.scenes if scene not in scenes]
        error = error if missing else ""
        return Outcome(run.link, run.subject, scenes, error, subject.way, round(time.monotonic() - began, 1))

    def before_baton(
        self, link: Link, page: Path, client: Callable[[str], Sequence[str]], *, limit_s: float,
        env: Mapping[str, str] | None = None,
    ) -> tuple[str, str]:  # fmt: skip
        """Start a Baton of its own on `page` and run `client(its one-use link)`. Returns (printed, error).

        The client's environment names the server's state directory (`BENCH_STATE`).
        """
        state = Path(tempfile.mkdtemp(prefix="baton-bench-"))
        state.chmod(0o711)  # a sandbox's throw-away uid passes through
        try:
            server = [
                sys.executable, "-m", "web.cli", "serve", "--host", SERVER, "--port", str(PORT),
                "--state-dir", str(state / "s"), "--open", str(page), "--link-file", str(state / "link"),
            ]  # fmt: skip
            told = client("LINK")
            quoted = " ".join(shlex.quote(word) if word != "LINK" else f'"$(cat {state / "link"})"' for word in told)
            return self.between(
                link, server, ["bash", "-c", quoted], port=PORT, limit_s=limit_s,
                env={**(env or {}), "BENCH_STATE": str(state / "s"), "BATON_ADOPTION_S": "1"},
            )  # fmt: skip
        finally:
            await_end(str(state))
            shutil.rmtree(state, ignore_errors=True)

    def between(
        self, link: Link, server: Sequence[str], client: Sequence[str], *, port: int, limit_s: float,
        env: Mapping[str, str] | None = None,
    ) -> tuple[str, str]:  # fmt: skip
        """Run `server` and `client` on netlab.py's two hosts. Returns what the client printed, and what went wrong."""
        command = [
            sys.executable, str(self.rulers / "netlab.py"), *link.netlab, "--server", shlex.join(server),
            "--client", shlex.join(client), "--ready-port", str(port),
        ]  # fmt: skip
        # the peers' starters say python3 and mean one that has Playwright
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with self.log.open("ab") as log:
            at = log.tell()
            lab = subprocess.Popen(  # in a session of its own: only a SIGINT of ours ends it, so that it cleans up
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={**os.environ, "PATH": path, **(env or {})},
            )  # fmt: skip
            try:
                printed = lab.communicate(timeout=limit_s)[0].decode(errors="replace")
                error = "" if lab.returncode == 0 else f"exit status {lab.returncode}: {_tail(self.log, at)}"
            except subprocess.TimeoutExpired:
                lab.send_signal(signal.SIGINT)  # as Ctrl-C: netlab then ends what it started
                printed = lab.communicate()[0].decode(errors="replace")
                error = f"not done after {limit_s:.0f} s"
            except BaseException:
                lab.send_signal(signal.SIGINT)
                lab.wait()
                raise
        return printed, error


def _tail(log: Path, at: int) -> str:
    with log.open("rb") as file:
        file.seek(at)
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing was said"


def await_end(mark: str) -> None:
    """Wait until no process has `mark` in its command line: a keeper ends itself a moment after its server.

    What is still there after twenty seconds is killed, so that it does not disturb the next run.
    """
    end = time.monotonic() + _LEAVE_S
    while left := processes(mark):
        if time.monotonic() > end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        time.sleep(_LOOK_AGAIN_S)


def processes(mark: str) -> list[int]:
    """Return the processes with `mark` in their command line, without this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
