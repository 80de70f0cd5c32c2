"""A listener on Chromium's pipe that Baton knows nothing of: it stands in Chromium's place and passes everything on.

`make_listener(directory)` writes a program to name in BATON_CHROMIUM and returns it with the file its notes go to:
one line for each message Baton wrote into the pipe, with the time it was written.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

_PROGRAM = """#!{python}
import os, subprocess, sys, threading, time
to_child, child_in = os.pipe()
child_out, from_child = os.pipe()
def wire():
    a, b = os.dup2(to_child, 103), os.dup2(from_child, 104)
    os.dup2(a, 3); os.dup2(b, 4)
process = subprocess.Popen([{chromium!r}, *sys.argv[1:]], preexec_fn=wire, close_fds=False)
os.close(to_child); os.close(from_child)
def pump(source, sink, note):
    rest = b""
    while data := os.read(source, 1 << 20):
        if note:
            *whole, rest = (rest + data).split(b"\\0")
            with open({notes!r}, "ab") as file:
                for message in whole:
                    file.write(b"%f %s\\n" % (time.time(), message))
        view = memoryview(data)
        while view:
            view = view[os.write(sink, view):]
    os.close(sink)
threading.Thread(target=pump, args=(3, child_in, True), daemon=True).start()
threading.Thread(target=pump, args=(child_out, 4, False), daemon=True).start()
sys.exit(process.wait())
"""


def make_listener(directory: Path) -> tuple[Path, Path]:
    """Return (program, notes). Both can be used by any uid."""
    program, notes = directory / "chromium-listened-to", directory / "pipe.log"
    system = Path("/usr/bin/python3")  # a pyenv under /root is out of reach for a sandbox with a uid of its own
    python = system if system.exists() else Path(sys.executable)
    program.write_text(_PROGRAM.format(python=python, chromium=shutil.which("chromium"), notes=str(notes)))
    program.chmod(0o755)
    notes.touch()
    notes.chmod(0o666)
    return program, notes


def written(notes: Path) -> list[tuple[float, str]]:
    """Read the notes: (seconds since 1970, message) in the order they went into the pipe."""
    lines = [line.split(" ", 1) for line in notes.read_text(errors="replace").splitlines() if " " in line]
    return [(float(at), message) for at, message in lines]
