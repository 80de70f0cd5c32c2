"""The sites of the sessions: one of our own on two host names, and the real ones of the demo."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PAGES = Path(__file__).parent / "pages"
SIGNED_IN = "sid=1; Path=/; HttpOnly"


class _Handler(BaseHTTPRequestHandler):
    """`/name` is pages/name.html. The rest is said here, once."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/report.csv":
            self._answer(b"a,b\n1,2\n", "text/csv", {"Content-Disposition": "attachment; filename=report.csv"})
        elif path == "/sso":
            # Another origin signs in and sends back, as an identity provider does.
            host = "localhost" if self.headers["Host"].startswith("127.") else "127.0.0.1"
            self._go(f"http://{host}:{self.server.server_port}/sso-back")  # type: ignore[attr-defined]
        elif path == "/sso-back":
            self._go("/account", {"Set-Cookie": "idp=1; Path=/"})
        elif path == "/sign-out":
            self._go("/login", {"Set-Cookie": "sid=; Path=/; Max-Age=0"})
        else:
            self._page(path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = urlsplit(self.path).path
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if path == "/login":
            if form.get("password", "").startswith("shut"):
                self._page("/login-wrong")
            else:
                self._go("/account", {"Set-Cookie": SIGNED_IN})
        elif path == "/captcha":
            self._go("/welcome", {"Set-Cookie": "human=1; Path=/"}) if form.get("answer") == "W68HP" else self._page(
                "/captcha-wrong"
            )
        else:
            self._go("/thanks")

    def _page(self, path: str) -> None:
        file = PAGES / f"{path.strip('/')}.html"
        if path == "/noise.js":
            self._answer((PAGES / "noise.js").read_bytes(), "text/javascript")
        elif file.is_file():
            host = "localhost" if self.headers["Host"].startswith("127.") else "127.0.0.1"
            other = f"http://{host}:{self.server.server_port}"  # type: ignore[attr-defined]
            self._answer(file.read_text().replace("OTHER", other).encode(), "text/html; charset=utf-8")
        else:
            self.send_error(404)

    def _go(self, where: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(303)
        for name, value in {"Location": where, "Content-Length": "0", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        sent = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store", **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextmanager
def own_site() -> Iterator[str]:
    """Serve our own pages; yields the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
