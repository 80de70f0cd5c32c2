"""Dialogs, file choosers and authentication of pages, offered to who holds control and answered under the fence.

What Chromium 156 does (measured):

- Every CDP session on a page hears of a JavaScript dialog, with Page enabled or not, and any of them may answer it.
  It outlives the client that left or never answered: with Page enabled on Baton's own session nothing answers by
  itself. So while the agent holds control its dialogs are left to it; what is open when control leaves it is offered.
- Interception of file choosers is by session, and every session that has it on hears of each chooser. Baton's are
  always on, so that no GTK dialog ever opens; an agent that asks for it too gets the event as well. CDP can set files
  but not cancel: when the operator cancels nothing is set and the page hears no `cancel` event. A page that calls
  `showOpenFilePicker` has no input element to set: it gets an AbortError at once and nothing is offered.
- `Fetch.enable` asks for authentication only for requests it pauses, so all are paused and let go on at once, by one
  message each. Of two sessions with Fetch the later one alone is asked, so Baton's is off while the agent holds
  control. A page that needs a password in that time, and whose agent has none, fails to load (the error is
  ERR_INVALID_AUTH_CREDENTIALS; no box opens): reload it after taking over, to be asked here. What still waits for
  a password at the return gets its 401.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from sandbox.cdp import CdpError
from sandbox.fence import Fence
from sandbox.pages import Page, Pages
from sandbox.prompts import uploads as files
from sandbox.prompts.asks import DIALOGS, Ask, challenge, chooser, dialog, frame_origin
from sandbox.screen import Prompt, PromptAnswer, PromptKind, Tab
from sandbox.words import BadRequest, Epoch, Gone, Holder, NotFound, OperatorId, Side, new_id

_ANSWER_S: Final = 10.0
_MOST_ASKS: Final = 32
_ALL: Final = {"handleAuthRequests": True, "patterns": [{"urlPattern": "*"}]}
_CANCEL: Final = {"response": "CancelAuth"}


class Prompts:
    """What the pages of one sandbox ask. Create it on the keeper's running loop, after `pages.start`.

    `on_change` hears the open prompts whenever they change; while the agent holds control there are none.
    `on_done` hears (kind, origin, accepted) of what an operator answered, in the console or in the picture.
    Texts, names, passwords and files are handed on to the page and kept nowhere else.
    """

    def __init__(
        self,
        pages: Pages,
        fence: Fence,
        uploads: Path,
        *,
        on_change: Callable[[tuple[Prompt, ...]], None],
        on_done: Callable[[PromptKind, str, bool], None] | None = None,
    ) -> None:
        self._pages, self._fence, self._uploads = pages, fence, uploads
        self._on_change, self._on_done = on_change, on_done
        self._asks: dict[str, Ask] = {}
        self._told: tuple[Prompt, ...] = ()
        self._agent = fence.holder.side is Side.AGENT
        self._sessions: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._look()
        self._ends = [
            pages.on_change(self._look), pages.on_event(self._on_event), pages.on_crash(self._on_crash),
            fence.listen(self._on_control),
        ]  # fmt: skip

    def __repr__(self) -> str:
        return f"<Prompts [open: {len(self.open)} | held: {len(self._asks)}]>"

    @property
    def open(self) -> tuple[Prompt, ...]:
        """What a human may answer now, oldest first."""
        return () if self._agent else tuple(ask.prompt for ask in self._asks.values() if ask.offered)

    async def answer(self, answer: PromptAnswer, operator: OperatorId, epoch: Epoch) -> None:
        """Answer an open prompt. A refused answer leaves it open.

        Raises `StaleEpoch` and `HeldByAnother` (see `Screen.inject`), `NotFound` when it is no longer open,
        `TooLarge` and `BadRequest` for files that cannot be taken.
        """
        self._fence.check_operator(operator, epoch)
        ask = self._find(answer.id)
        if ask.prompt.kind is PromptKind.FILE:
            await self._choose(ask, answer, operator, epoch)
        elif ask.prompt.kind is PromptKind.BASIC_AUTH:
            await self._authenticate(ask, answer)
        else:
            params = {"accept": answer.accept, "promptText": answer.text if answer.accept else ""}
            if not await self._start(ask.session, "Page.handleJavaScriptDialog", params):
                self._drop(ask)
                raise _gone(answer.id)

    async def close(self) -> None:
        """Stop watching; what waits for authentication is refused it."""
        for end in self._ends:
            end()
        self._let_go()
        self._asks.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Answers. Between each check of the fence and the write after it nothing is awaited.

    async def _choose(self, ask: Ask, answer: PromptAnswer, operator: OperatorId, epoch: Epoch) -> None:
        if answer.accept:
            if not answer.files:
                raise BadRequest("no file came with the answer; choose one, or cancel")
            if len(answer.files) > 1 and not ask.prompt.multiple:
                raise BadRequest("this page takes one file")
            files.check_size(answer.files)
            # Not the prompt's own id: an answer that was refused on its way may be given again.
            paths = await asyncio.to_thread(files.save, self._uploads, new_id("up"), answer.files)
            self._fence.check_operator(operator, epoch)
            self._find(answer.id)
            done = self._start(ask.session, "DOM.setFileInputFiles", {"files": paths, "backendNodeId": ask.node})
            if not await done:
                self._drop(ask)
                raise _gone(answer.id)
        self._drop(ask)
        self._done(ask, answer.accept)

    async def _authenticate(self, ask: Ask, answer: PromptAnswer) -> None:
        response = dict(_CANCEL)
        if answer.accept:
            response = {"response": "ProvideCredentials", "username": answer.username, "password": answer.password}
        sent = [
            self._start(session, "Fetch.continueWithAuth", {"requestId": request, "authChallengeResponse": response})
            for session, request in ask.requests
        ]
        # Before the replies: a wrong password is asked for again, and that is a new prompt.
        self._drop(ask)
        if not any(await asyncio.gather(*sent)):
            raise _gone(answer.id)
        self._done(ask, answer.accept)

    def _find(self, prompt: str) -> Ask:
        ask = self._asks.get(prompt)
        if ask is None or not ask.offered:
            raise _gone(prompt)
        return ask

    def _done(self, ask: Ask, accepted: bool) -> None:
        if self._on_done is not None:
            self._on_done(ask.prompt.kind, ask.prompt.origin, accepted)

    # What the pages say.

    def _on_event(self, page: Page, session: str, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Fetch.requestPaused":
                self._send(session, "Fetch.continueRequest", {"requestId": params["requestId"]})
            case "Fetch.authRequired":
                self._challenged(page, session, params)
            case "Page.javascriptDialogOpening":
                self._drop_all(lambda ask: ask.page == page.target and ask.prompt.kind in DIALOGS)
                self._add(dialog(page.target, session, params))
            case "Page.javascriptDialogClosed":
                self._closed(page, bool(params["result"]))
            case "Page.fileChooserOpened" if "backendNodeId" in params:
                self._spawn(self._opened(page, session, params))
            case "Page.frameNavigated":
                frame = params["frame"]["id"]
                # The main frame of a page has the id of its target.
                self._drop_all(lambda ask: ask.page == page.target and frame in {ask.frame, page.target})
            case "Page.frameDetached" if params.get("reason") != "swap":
                self._drop_all(lambda ask: ask.page == page.target and ask.frame == params["frameId"])

    def _closed(self, page: Page, accepted: bool) -> None:
        for ask in [a for a in self._asks.values() if a.page == page.target and a.prompt.kind in DIALOGS]:
            self._drop(ask)
            if self._fence.holder.side is Side.OPERATOR:
                self._done(ask, accepted)

    async def _opened(self, page: Page, session: str, params: dict[str, Any]) -> None:
        origin = ""
        with contextlib.suppress(CdpError, Gone, TimeoutError):
            reply = await self._pages.connection.call("Page.getFrameTree", {}, session)
            origin = frame_origin(reply["frameTree"], params["frameId"])
        if session not in self._sessions:
            return
        ask = chooser(page.target, session, params, origin)
        ask.offered = not self._agent
        self._drop_all(lambda other: other.page == page.target and other.prompt.kind is PromptKind.FILE)
        self._add(ask)

    def _challenged(self, page: Page, session: str, params: dict[str, Any]) -> None:
        refused = {"requestId": params["requestId"], "authChallengeResponse": _CANCEL}
        if self._agent or params["authChallenge"].get("source") == "Proxy" or len(self._asks) >= _MOST_ASKS:
            # A proxy's password is no operator's business, and after the return nobody is asked.
            self._send(session, "Fetch.continueWithAuth", refused)
            return
        new = challenge(page.target, session, params)
        for ask in self._asks.values():
            same = (ask.page, ask.prompt.kind, ask.prompt.origin, ask.prompt.realm)
            if same == (new.page, new.prompt.kind, new.prompt.origin, new.prompt.realm):
                ask.requests += new.requests
                return
        self._add(new)

    def _on_crash(self, tab: Tab) -> None:
        self._drop_all(lambda ask: ask.page == tab.id)

    def _look(self) -> None:
        """Arm new sessions, in the same turn as they are known: a popup makes no request before that."""
        sessions = {session for page in self._pages.all for session in page.sessions}
        new, self._sessions = sessions - self._sessions, sessions
        for session in new:
            self._send(session, "Page.setInterceptFileChooserDialog", {"enabled": True})
            if not self._agent:
                self._send(session, "Fetch.enable", _ALL)
        self._drop_all(lambda ask: ask.session not in sessions)

    # Control.

    def _on_control(self, holder: Holder, _epoch: Epoch) -> None:
        agent = holder.side is Side.AGENT
        if agent != self._agent:
            self._agent = agent
            if agent:
                self._let_go()
            else:
                self._take_over()
        self._tell()

    def _take_over(self) -> None:
        for session in self._sessions:
            self._send(session, "Fetch.enable", _ALL)
        for ask in list(self._asks.values()):
            if not ask.offered:
                self._spawn(self._offer_if_empty(ask))

    async def _offer_if_empty(self, ask: Ask) -> None:
        """Offer a chooser of the agent's time, unless the agent has set files in it."""
        call = self._pages.connection.call
        try:
            node = await call("DOM.resolveNode", {"backendNodeId": ask.node}, ask.session)
            params = {
                "objectId": node["object"]["objectId"], "returnByValue": True,
                "functionDeclaration": "function () { return this.isConnected && this.files.length === 0 }",
            }  # fmt: skip
            empty = (await call("Runtime.callFunctionOn", params, ask.session))["result"].get("value") is True
        except (CdpError, Gone, TimeoutError):
            empty = False
        if self._agent:
            return
        ask.offered = empty
        if empty:
            self._tell()
        else:
            self._drop(ask)

    def _let_go(self) -> None:
        """Give back to the agent: it is asked for nothing that a human was asked for, but for dialogs."""
        for ask in [a for a in self._asks.values() if a.prompt.kind not in DIALOGS]:
            for session, request in ask.requests:
                refused = {"requestId": request, "authChallengeResponse": _CANCEL}
                self._send(session, "Fetch.continueWithAuth", refused)
            del self._asks[ask.prompt.id]
        for session in self._sessions:
            self._send(session, "Fetch.disable", {})

    # Small things.

    def _add(self, ask: Ask) -> None:
        self._asks[ask.prompt.id] = ask
        self._tell()

    def _drop(self, ask: Ask) -> None:
        if self._asks.pop(ask.prompt.id, None) is not None:
            self._tell()

    def _drop_all(self, which: Callable[[Ask], bool]) -> None:
        for ask in [ask for ask in self._asks.values() if which(ask)]:
            self._drop(ask)

    def _tell(self) -> None:
        now = self.open
        if now != self._told:
            self._told = now
            self._on_change(now)

    def _send(self, session: str, method: str, params: dict[str, Any]) -> None:
        with contextlib.suppress(Gone):
            self._pages.connection.forward(
                {"id": 0, "method": method, "params": params, "sessionId": session}, lambda _raw: None
            )

    def _start(self, session: str, method: str, params: dict[str, Any]) -> asyncio.Future[bool]:
        """Write a command now; the future says whether Chromium did it. Raises `Gone`."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def replied(raw: bytes) -> None:
            if not future.done():
                future.set_result("error" not in json.loads(raw))

        message = {"id": 0, "method": method, "params": params, "sessionId": session}
        self._pages.connection.forward(message, replied)
        timer = asyncio.get_running_loop().call_later(_ANSWER_S, replied, b'{"error":"no answer"}')
        future.add_done_callback(lambda _done: timer.cancel())
        return future

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _gone(prompt: str) -> NotFound:
    return NotFound("this prompt is no longer open; look at the page again", prompt=prompt)
