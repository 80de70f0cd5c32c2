"""A site whose login does what real ones do: a popup of another origin that closes itself, then redirects.

The site answers on 127.0.0.1, its identity provider on localhost, on one port: two origins, two Chromium processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from web.demo.sites import free_port

_STYLE = (
    "<style>body{font:16px sans-serif;margin:40px}"
    "input,button{font:inherit;position:absolute;left:40px;height:40px;width:320px;box-sizing:border-box}"
    "button{top:300px}[name=user]{top:140px}[name=password]{top:220px}</style>"
)
BUTTON, USER, PASSWORD = (200, 320), (200, 160), (200, 240)
"""Where these lie on every page that has them."""


class LoginSite:
    """The running pair; `hits` counts what reached `/hit` with the time it came."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.site = f"http://127.0.0.1:{port}"
        self.provider = f"http://localhost:{port}"
        self.hits: list[float] = []
        self.passwords: list[str] = []
        self.tried = 0

    def app(self) -> Starlette:
        """All routes of both origins."""
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/account", self.account),
                Route("/login", self.login, methods=["GET", "POST"]),
                Route("/hop", self.hop),
                Route("/hit", self.hit),
                Route("/pad", self.pad),
                Route("/asks", self.asks),
                Route("/form", self.form, methods=["GET", "POST"]),
                Route("/welcome", self.welcome),
            ]
        )

    async def home(self, request: Request) -> Response:
        """Signed out: a button that opens the provider's popup. Signed in: on to the account by way of the provider."""
        script = f"""<script>
          const provider = '{self.provider}';
          addEventListener('message', e => {{ if (e.origin === provider) location = provider + '/hop?to=/account' }});
          document.querySelector('button').onclick = () => open(provider + '/login', 'login', 'width=500,height=500');
        </script>"""
        return HTMLResponse(f"<!doctype html><title>Shop</title>{_STYLE}<h1>Shop</h1><button>Sign in</button>{script}")

    async def form(self, request: Request) -> Response:
        """A login on a page of its own: a wrong password leads to a new page with the form again."""
        wrong = ""
        if request.method == "POST":
            if str((await request.form())["password"]) == "right":
                return RedirectResponse("/welcome", 303)
            self.tried += 1
            wrong = "<p role=alert>Wrong password</p>"
        return HTMLResponse(
            f"<!doctype html><title>Log in</title>{_STYLE}{wrong}<form method=post action='/form?tried'>"
            "<input name=user><input name=password type=password autofocus><button>Log in</button></form>",
            401 if wrong else 200,
        )

    async def welcome(self, request: Request) -> Response:
        """Where the right password leads."""
        return HTMLResponse("<!doctype html><title>Welcome</title><h1 id=welcome>Welcome</h1>")

    async def login(self, request: Request) -> Response:
        """The provider's form; right answers tell the opener and close the window."""
        if request.method == "POST":
            form = await request.form()
            self.passwords.append(str(form["password"]))
            return HTMLResponse("<script>opener.postMessage('in', '*'); window.close()</script>")
        return HTMLResponse(
            f"<!doctype html><title>Provider</title>{_STYLE}<form method=post><label>Name<input name=user></label>"
            "<label>Password<input name=password type=password></label><button>Continue</button></form>"
        )

    async def hop(self, request: Request) -> Response:
        """A redirect through the other origin, as single sign-on does."""
        response = RedirectResponse(f"{self.site}{request.query_params['to']}", 302)
        response.set_cookie("hop", "1")
        return response

    async def account(self, request: Request) -> Response:
        """What only somebody signed in sees."""
        response = HTMLResponse(
            f"<!doctype html><title>Account</title>{_STYLE}<h1>Welcome back</h1><button>Orders</button>"
            "<script>document.querySelector('button').onclick = () => {"
            " fetch('/hit'); document.querySelector('h1').textContent = 'No orders yet' }</script>"
        )
        response.set_cookie("session", "signed-in")
        return response

    async def pad(self, request: Request) -> Response:
        """A page that reports every press of a button or key."""
        return HTMLResponse(
            f"<!doctype html><title>Pad</title>{_STYLE}<h1>Pad</h1><button>Press</button>"
            "<script>for (const kind of ['mousedown', 'keydown']) addEventListener(kind, () => fetch('/hit'))</script>"
        )

    async def asks(self, request: Request) -> Response:
        """A page that asks outside its own pixels: a question and a file, one below the other."""
        return HTMLResponse(
            f"<!doctype html><title>Asks</title>{_STYLE}<p id=said></p>"
            "<style>button, input { position: fixed; left: 40px; margin: 0 }</style>"
            "<button style='top: 40px' onclick=\"said.textContent = 'they said ' + prompt('Who are you?', 'nobody')\">"
            "Ask</button><input type=file style='top: 140px' onchange=\"files[0].text().then(t => said.textContent = "
            "'read ' + files[0].name + ' ' + t)\">"
        )

    async def hit(self, request: Request) -> Response:
        """Count a visit."""
        self.hits.append(time.time())
        return PlainTextResponse("ok", headers={"Access-Control-Allow-Origin": "*"})


@contextlib.contextmanager
def running_login_site() -> Iterator[LoginSite]:
    """Serve the pair from a thread until the block ends."""
    site = LoginSite(free_port())
    server = uvicorn.Server(uvicorn.Config(site.app(), host="127.0.0.1", port=site.port, log_level="warning"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield site
    server.should_exit = True
    thread.join(10)
