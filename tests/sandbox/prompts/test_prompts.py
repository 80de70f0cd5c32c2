"""What pages ask outside their pixels reaches the operator, and only the operator's answer reaches the page."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog

from sandbox.browser import Browser, launch
from sandbox.fence import Fence
from sandbox.pages import Page, Pages
from sandbox.prompts import MOST_BYTES, Prompts
from sandbox.screen import Prompt, PromptAnswer, PromptKind, Size, UploadedFile
from sandbox.words import (
    NOBODY,
    THE_AGENT,
    BadRequest,
    Epoch,
    HeldByAnother,
    Holder,
    NotFound,
    OperatorId,
    Side,
    StaleEpoch,
    TooLarge,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

type Until = Callable[..., Awaitable[None]]

ANN = OperatorId("op_ann")
SECRETS = ("hunter2-basic", "typed-into-a-prompt", "inside-the-file")
GOOD = "Basic " + base64.b64encode(b"ann:hunter2-basic").decode()
PAGE = """<!doctype html><title>Site</title><input type=file id=one><input type=file id=many multiple>
<iframe src="//localhost:{port}/inner"></iframe>
<script>window.answers = []; read = e => Promise.all([...e.files].map(async f => [f.name, await f.text()]))</script>"""


class Site(BaseHTTPRequestHandler):
    """Pages, and two areas behind a password."""

    def do_GET(self) -> None:
        """Serve a page; "/cellar/digest" is one of an area of that name, so that no two tests share a sign-in."""
        sent = self.headers.get("Authorization", "")
        realm, _, kind = self.path.partition("?")[0].strip("/").partition("/")
        body = PAGE.format(port=self.server.server_port)  # type: ignore[attr-defined]  # an HTTPServer
        good = {"basic": sent == GOOD, "digest": _digest_is_right(sent, realm)}.get(kind, True)
        self.send_response(200 if good else 401)
        if not good:
            more = ', nonce="n"' if kind == "digest" else ""
            self.send_header("WWW-Authenticate", f'{kind.title()} realm="{realm}"{more}')
        if kind:
            body = "<title>in</title>inside" if good else "<title>out</title>refused"
        if realm == "inner":
            body = "<input type=file id=inner>"
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _digest_is_right(sent: str, realm: str) -> bool:
    parts = dict(part.strip().split("=", 1) for part in sent.removeprefix("Digest ").split(",") if "=" in part)
    uri = parts.get("uri", "").strip('"')
    one, two = (hashlib.md5(text.encode()).hexdigest() for text in (f"ann:{realm}:hunter2-basic", f"GET:{uri}"))
    return parts.get("response", "").strip('"') == hashlib.md5(f"{one}:n:{two}".encode()).hexdigest()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A small server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """One headless browser for the module, that keeps sites in processes of their own."""
    started = await launch(tmp_path_factory.mktemp("prompts"), Size(320, 240), extra=["--site-per-process"])
    yield started
    await started.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pages(browser: Browser) -> Pages:
    """Its pages."""
    made = Pages(browser.connection)
    await made.start()
    return made


@dataclass
class Desk:
    """Prompts on a fresh page, and who holds it."""

    pages: Pages
    page: Page
    uploads: Path
    site: str
    fence: Fence = field(default_factory=Fence)
    done: list[tuple[PromptKind, str, bool]] = field(default_factory=list)
    told: list[tuple[Prompt, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prompts = Prompts(
            self.pages, self.fence, self.uploads, on_change=self.told.append,
            on_done=lambda *what: self.done.append(what),
        )  # fmt: skip

    def ann(self) -> Epoch:
        """Give control to Ann."""
        return self._give(Holder(Side.OPERATOR, ANN, "Ann"))

    def agent(self) -> Epoch:
        """Give control to the agent."""
        return self._give(THE_AGENT)

    def nobody(self) -> Epoch:
        """Give control to nobody."""
        return self._give(NOBODY)

    def _give(self, holder: Holder) -> Epoch:
        epoch = Epoch(self.fence.epoch + 1)
        self.fence.push(holder, epoch, 1000.0)
        return epoch

    def start(self, script: str) -> asyncio.Task[Any]:
        """Run a script as if the user had asked for it; its value comes when the page goes on."""
        return asyncio.create_task(self.js(script))

    async def js(self, script: str, session: str | None = None) -> Any:
        """Run a script and return its value."""
        params = {"expression": script, "userGesture": True, "awaitPromise": True, "returnByValue": True}
        reply = await self.pages.connection.call("Runtime.evaluate", params, session or self.page.session)
        return reply["result"].get("value")

    async def client(self) -> str:
        """Attach as the gate does for a client, in a tree of sessions of its own; returns the session on the page."""
        call = self.pages.connection.call
        root = (await call("Target.attachToBrowserTarget"))["sessionId"]
        params = {"targetId": self.page.target, "flatten": True}
        return str((await call("Target.attachToTarget", params, root))["sessionId"])

    async def goto(self, path: str) -> None:
        """Load an address of the site."""
        await self.pages.call(self.page, "Page.navigate", {"url": self.site + path})
        await self.js("document.readyState == 'complete' || new Promise(r => addEventListener('load', r))")

    async def asked(self, until: Until) -> Prompt:
        """Wait for the one prompt that is open."""
        await until(lambda: len(self.prompts.open), 1)
        assert self.told[-1] == self.prompts.open
        return self.prompts.open[0]

    async def reply(self, prompt: Prompt, accept: bool = True, **what: Any) -> None:
        """Answer as Ann, now."""
        await self.prompts.answer(PromptAnswer(prompt.id, accept, **what), ANN, self.fence.epoch)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(pages: Pages, site: str, tmp_path: Path, until: Until) -> AsyncIterator[Desk]:
    """A fresh page that Ann holds, with the site's page loaded."""
    known = {page.target for page in pages.all}
    await pages.connection.call("Target.createTarget", {"url": "about:blank"})
    await until(lambda: len(pages.all), len(known) + 1)
    page = next(page for page in pages.all if page.target not in known)
    made = Desk(pages, page, tmp_path, site)
    made.ann()
    await made.goto("/")
    yield made
    await made.prompts.close()
    if page in pages.all:
        await pages.connection.call("Target.closeTarget", {"targetId": page.target})
        await until(lambda: page in pages.all, False)


@pytest.mark.parametrize(
    ("script", "kind", "accept", "text", "value"),
    [
        ("alert('look')", PromptKind.ALERT, True, "", None),
        ("confirm('look')", PromptKind.CONFIRM, True, "", True),
        ("confirm('look')", PromptKind.CONFIRM, False, "", False),
        ("prompt('look', 'old')", PromptKind.PROMPT, True, SECRETS[1], SECRETS[1]),
        ("prompt('look', 'old')", PromptKind.PROMPT, False, "", None),
    ],
)
async def test_a_dialog_is_answered(
    desk: Desk, until: Until, script: str, kind: PromptKind, accept: bool, text: str, value: object
) -> None:
    """A dialog becomes a prompt under its frame's origin, and its answer is what the page gets."""
    waiting = desk.start(script)
    prompt = await desk.asked(until)
    assert (prompt.kind, prompt.origin, prompt.message) == (kind, desk.site, "look")
    assert prompt.default == ("old" if kind is PromptKind.PROMPT else "")

    await desk.reply(prompt, accept, text=text)

    assert await waiting == value
    await until(lambda: desk.prompts.open, ())
    assert desk.told[-1] == ()
    assert desk.done == [(kind, desk.site, accept)]


async def test_leaving_a_page_can_be_refused_and_allowed(desk: Desk, until: Until) -> None:
    """A page that asks before it is left stays when the operator says so, and goes when they allow it."""
    await desk.js("window.onbeforeunload = e => { e.preventDefault(); return 'x' }; 0")
    await desk.pages.call(desk.page, "Input.dispatchMouseEvent", {
        "type": "mousePressed", "x": 5, "y": 200, "button": "left", "clickCount": 1,
    })  # fmt: skip
    for accept, title in ((False, "Site"), (True, "in")):
        desk.start("setTimeout(() => location.href = '/leave/basic', 0); 0")
        prompt = await desk.asked(until)
        assert prompt.kind is PromptKind.BEFOREUNLOAD
        await desk.reply(prompt, accept)
        if accept:
            auth = await desk.asked(until)
            await desk.reply(auth, username="ann", password=SECRETS[0])
        await until(lambda: next(t.title for t in desk.pages.tabs() if t.id == desk.page.target), title)


async def test_a_dialog_of_the_agents_time_is_offered_at_take_over(desk: Desk, until: Until) -> None:
    """While the agent holds control its dialog stays open unanswered and unseen; whoever takes over is offered it."""
    desk.agent()
    waiting = desk.start("confirm('agent?')")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.5)
    assert desk.prompts.open == ()

    desk.nobody()
    prompt = await desk.asked(until)
    desk.ann()
    assert repr(desk.prompts.open) == repr((prompt,))
    await desk.reply(prompt)
    assert await waiting is True


async def test_the_agents_own_answer_ends_a_dialog(desk: Desk, until: Until) -> None:
    """A dialog that the agent's client answers from its own session is not offered any more, nor reported."""
    desk.agent()
    call = desk.pages.connection.call
    session = await desk.client()
    await call("Page.enable", {}, session)
    opened = asyncio.Event()
    desk.pages.connection.listen(session, lambda method, _: opened.set() if "DialogOpening" in method else None)
    waiting = desk.start("confirm('agent?')")
    await asyncio.wait_for(opened.wait(), 5)
    await call("Page.handleJavaScriptDialog", {"accept": True}, session)
    assert await waiting is True

    desk.ann()
    assert desk.prompts.open == ()
    assert desk.done == []


async def test_only_the_holder_of_now_answers(desk: Desk, until: Until) -> None:
    """A stale epoch, another operator and an unknown prompt are refused; the dialog stays open for the right one."""
    waiting = desk.start("confirm('look')")
    prompt = await desk.asked(until)
    old = desk.fence.epoch
    new = desk.ann()
    answer = PromptAnswer(prompt.id, accept=True)
    with pytest.raises(StaleEpoch):
        await desk.prompts.answer(answer, ANN, old)
    with pytest.raises(HeldByAnother):
        await desk.prompts.answer(answer, OperatorId("op_bob"), new)
    with pytest.raises(NotFound):
        await desk.prompts.answer(PromptAnswer("ask_x", accept=True), ANN, new)
    assert desk.prompts.open == (prompt,)
    assert not waiting.done()

    await desk.reply(prompt)
    assert await waiting is True
    with pytest.raises(NotFound):
        await desk.reply(prompt)


async def test_prompts_go_with_their_page(desk: Desk, until: Until) -> None:
    """A prompt vanishes when its tab is closed, and a chooser or password question when its page is left."""
    await desk.js("one.click()")
    await desk.asked(until)
    await desk.goto("/?next")
    await until(lambda: desk.prompts.open, ())

    desk.start("fetch('/gone/basic').then(r => r.status, () => 0); 0")
    await desk.asked(until)
    await desk.goto("/?last")
    await until(lambda: desk.prompts.open, ())

    waiting = desk.start("alert('bye')")
    await desk.asked(until)
    await desk.pages.connection.call("Target.closeTarget", {"targetId": desk.page.target})
    await until(lambda: desk.prompts.open, ())
    waiting.cancel()


async def test_files_reach_the_page(desk: Desk, until: Until) -> None:
    """One file, or several where the input takes them, are read by the page under their bare names."""
    await desk.js("one.click()")
    prompt = await desk.asked(until)
    assert (prompt.kind, prompt.multiple, prompt.origin) == (PromptKind.FILE, False, desk.site)
    with pytest.raises(BadRequest):
        await desk.reply(prompt)
    with pytest.raises(BadRequest):
        await desk.reply(prompt, files=(UploadedFile("a", b""), UploadedFile("b", b"")))
    with pytest.raises(TooLarge):
        await desk.reply(prompt, files=(UploadedFile("a", bytes(MOST_BYTES + 1)),))
    assert list(desk.uploads.iterdir()) == []
    await desk.reply(prompt, files=(UploadedFile("a.txt", SECRETS[2].encode()),))
    assert await desk.js("read(one)") == [["a.txt", SECRETS[2]]]

    await desk.js("many.click()")
    prompt = await desk.asked(until)
    assert prompt.multiple
    odd = ("../../x.txt", "C:\\dir\\X.txt", "..", "ünï çödé 🎈.txt", "\x00\n")
    await desk.reply(prompt, files=tuple(UploadedFile(name, str(i).encode()) for i, name in enumerate(odd)))
    assert await desk.js("read(many)") == [
        ["x.txt", "0"], ["X (1).txt", "1"], ["file", "2"], ["ünï çödé 🎈.txt", "3"], ["file (1)", "4"],
    ]  # fmt: skip
    assert desk.done == [(PromptKind.FILE, desk.site, True)] * 2


async def test_a_chooser_can_be_cancelled(desk: Desk, until: Until) -> None:
    """After a cancelled chooser nothing is set and the next click asks again."""
    for _ in range(2):
        await desk.js("one.click()")
        await desk.reply(await desk.asked(until), False)
        assert await desk.js("one.files.length") == 0
    assert desk.done == [(PromptKind.FILE, desk.site, False)] * 2


async def test_a_frame_of_another_site_asks_in_its_own_name(desk: Desk, until: Until) -> None:
    """A chooser in an out-of-process frame names that frame's origin, and gets its file there."""
    await until(lambda: len(desk.page.frames), 1)
    (session,) = desk.page.frames
    assert await desk.js("document.readyState == 'complete' || new Promise(r => onload = r)", session) is not None
    await desk.js("inner.click()", session)
    prompt = await desk.asked(until)
    assert prompt.origin == desk.site.replace("127.0.0.1", "localhost")
    await desk.reply(prompt, files=(UploadedFile("a.txt", b"frame"),))
    assert await desk.js("inner.files[0].text()", session) == "frame"


async def test_a_chooser_of_the_agents_time_is_offered_while_it_is_empty(desk: Desk, until: Until) -> None:
    """A chooser that the agent opened and did not fill is offered at take-over; one it filled is not."""
    desk.agent()
    await desk.js("one.click()")
    await until(lambda: "held: 1" in repr(desk.prompts))
    assert desk.prompts.open == ()
    desk.ann()
    await desk.reply(await desk.asked(until), files=(UploadedFile("a.txt", b"human"),))
    assert await desk.js("read(one)") == [["a.txt", "human"]]

    desk.agent()
    await desk.js("one.click()")
    await until(lambda: "held: 1" in repr(desk.prompts))
    desk.ann()
    await until(lambda: "held: 0" in repr(desk.prompts))
    assert desk.prompts.open == ()


@pytest.mark.parametrize(("path", "realm"), [("/attic/basic", "attic"), ("/cellar/digest", "cellar")])
async def test_a_password_opens_the_area(desk: Desk, until: Until, path: str, realm: str) -> None:
    """A wrong password is asked for again, the right one shows the page, and the origin and realm are named."""
    loading = asyncio.create_task(desk.pages.call(desk.page, "Page.navigate", {"url": desk.site + path}))
    first = await desk.asked(until)
    assert (first.kind, first.realm) == (PromptKind.BASIC_AUTH, realm)
    assert first.origin == desk.site
    await desk.reply(first, username="ann", password="wrong")
    second = await desk.asked(until)
    assert second.id != first.id
    await desk.reply(second, username="ann", password=SECRETS[0])
    await loading
    await until(lambda: next(t.title for t in desk.pages.tabs() if t.id == desk.page.target), "in")
    assert desk.done == [(PromptKind.BASIC_AUTH, first.origin, True)] * 2


async def test_a_cancelled_password_shows_the_refusal(desk: Desk, until: Until) -> None:
    """Cancelling answers every request that waits for the same password, and each gets its 401."""
    waiting = desk.start("Promise.all([1, 2, 3].map(i => fetch('/no/digest?' + i).then(r => r.status)))")
    prompt = await desk.asked(until)
    await asyncio.sleep(0.3)  # the other requests are on their way; nothing tells when they have been asked too
    assert desk.prompts.open == (prompt,)
    await desk.reply(prompt, False)
    assert await waiting == [401, 401, 401]
    assert desk.done == [(PromptKind.BASIC_AUTH, desk.site, False)]


async def test_ordinary_requests_pass(desk: Desk) -> None:
    """Nothing ordinary waits: many requests pass at once, whoever holds control and while it changes hands."""
    script = "Promise.all([...Array(40).keys()].map(i => fetch('/?n=' + Math.random()).then(r => r.ok)))"
    for give in (desk.ann, desk.nobody, desk.agent, desk.ann):
        loading = desk.start(script)
        give()
        assert await asyncio.wait_for(loading, 5) == [True] * 40


async def test_the_return_leaves_no_request_waiting(desk: Desk, until: Until) -> None:
    """A password question still open at the return is refused, so that the agent's page goes on."""
    waiting = desk.start("fetch('/return/digest').then(r => r.status)")
    await desk.asked(until)
    desk.agent()
    assert desk.told[-1] == ()
    assert await asyncio.wait_for(waiting, 5) == 401


async def test_the_agents_own_password_works_after_the_return(desk: Desk) -> None:
    """What an agent's client armed before the return answers for it, as if Baton had never asked for passwords."""
    call = desk.pages.connection.call
    session = await desk.client()

    def on_event(method: str, params: dict[str, Any]) -> None:
        credentials = {"response": "ProvideCredentials", "username": "ann", "password": SECRETS[0]}
        command = {"Fetch.requestPaused": "Fetch.continueRequest", "Fetch.authRequired": "Fetch.continueWithAuth"}
        more = {"authChallengeResponse": credentials} if method == "Fetch.authRequired" else {}
        message = {"id": 0, "method": command[method], "params": {"requestId": params["requestId"]} | more}
        desk.pages.connection.forward(message | {"sessionId": session}, lambda _raw: None)

    desk.pages.connection.listen(session, lambda m, p: on_event(m, p) if m.startswith("Fetch.") else None)
    await call("Fetch.enable", {"handleAuthRequests": True, "patterns": [{"urlPattern": "*"}]}, session)
    desk.agent()
    status = 0
    async with asyncio.timeout(10):
        while status != 200:  # a renderer hears a little later whom its requests are put to
            status = await desk.js("fetch('/agents/digest').then(r => r.status)")
    assert desk.prompts.open == ()


async def test_an_agents_page_asks_again_when_it_is_reloaded(desk: Desk, until: Until) -> None:
    """A page that needed a password in the agent's time did not load; reloaded at take-over it asks the operator."""
    desk.agent()
    reply = await desk.pages.call(desk.page, "Page.navigate", {"url": f"{desk.site}/late/basic"})
    assert reply["errorText"] == "net::ERR_INVALID_AUTH_CREDENTIALS"
    desk.ann()
    await asyncio.sleep(0.5)  # Fetch takes a moment to be on, and nothing tells when
    reloading = asyncio.create_task(desk.pages.call(desk.page, "Page.reload"))
    await desk.reply(await desk.asked(until), username="ann", password=SECRETS[0])
    await reloading
    await until(lambda: next(t.title for t in desk.pages.tabs() if t.id == desk.page.target), "in")


async def test_nothing_typed_is_logged(desk: Desk, until: Until, caplog: pytest.LogCaptureFixture) -> None:
    """Texts, passwords and file contents are in no log and no repr."""
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as captured:
        waiting = desk.start("prompt('look')")
        answer = PromptAnswer((await desk.asked(until)).id, accept=True, text=SECRETS[1])
        await desk.prompts.answer(answer, ANN, desk.fence.epoch)
        await waiting
        await desk.js("one.click()")
        files = (UploadedFile("a.txt", SECRETS[2].encode()),)
        await desk.reply(await desk.asked(until), files=files)
        waiting = desk.start("fetch('/log/digest').then(r => r.status)")
        await desk.reply(await desk.asked(until), username="ann", password=SECRETS[0])
        await waiting
    said = f"{captured} {caplog.text} {desk.prompts!r} {desk.told} {desk.done} {answer!r} {files!r}"
    assert not [secret for secret in SECRETS if secret in said]
