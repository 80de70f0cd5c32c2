"""One CDP client: its tree of CDP sessions, what it may send, what it is told.

Everything between the client's message and the pipe happens without an await: a command is stamped with the epoch
when it is received and asks the fence again in the statement before it is handed to the pipe.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from sandbox.authority import Action, Answer, Verb
from sandbox.cdp import RawReply, strip_session
from sandbox.gate.errors import MethodRefused, NoSuchSession, agent_stopped, cdp_error, outcome_unknown, thrown
from sandbox.gate.guard import guard, is_privileged, is_web_target
from sandbox.gate.node import Node, Pending, Unknown
from sandbox.gate.outbox import Outbox, Socket
from sandbox.gate.rebuild import Branch, Told, Tree, rebuild
from sandbox.gate.shared import Shared
from sandbox.gate.standing import Script, Standing
from sandbox.gate.view import WATCHED, View
from sandbox.gate.wire import encode, is_error, method_of, with_id
from sandbox.words import BadRequest, BatonError, Epoch, Gone, NotFound, TooMany

type Params = dict[str, Any]
type BatonCall = Callable[["Client", Node, int, str, Params], None]

_IN_FLIGHT: Final = 10_000
_FOLLOWED: Final = WATCHED | {"Target.attachedToTarget", "Target.detachedFromTarget"}
_SCRIPTS: Final = MappingProxyType(
    {
        "Page.addScriptToEvaluateOnNewDocument": "Page.removeScriptToEvaluateOnNewDocument",
        "Page.addScriptToEvaluateOnLoad": "Page.removeScriptToEvaluateOnLoad",
    }
)
_EVALUATIONS: Final = frozenset({"Runtime.evaluate", "Runtime.callFunctionOn"})
_PLANTS: Final = frozenset(
    {*_SCRIPTS, "Runtime.evaluate", "Runtime.callFunctionOn", "Runtime.runScript", "Runtime.compileScript",
     "Runtime.addBinding", "Debugger.evaluateOnCallFrame", "Debugger.setScriptSource", "Debugger.setVariableValue",
     "Page.setDocumentContent", "DOM.setOuterHTML", "DOM.setAttributeValue", "DOM.setAttributesAsText",
     "DOM.setNodeValue", "Fetch.fulfillRequest", "Debugger.setBreakpoint", "Debugger.setBreakpointByUrl",
     "Debugger.setBreakpointOnFunctionCall"}
)  # fmt: skip


class Client:
    """One connection to the gate. `Gate` makes it, freezes it at the close, tells it the difference at the return."""

    def __init__(self, shared: Shared, name: str, socket: Socket, root: str, baton: BatonCall) -> None:
        self.name = name
        self.outbox = Outbox(socket)
        self._shared = shared
        self._baton = baton
        self._nodes: dict[str, Node] = {}
        self._pending: dict[int, Pending] = {}
        self._seen: Tree | None = None
        self._is_playwright = False
        self._when_idle: list[Callable[[], None]] = []
        self.root = self._grow(root, None, {}, waiting=False)
        if not shared.flowing:
            self.freeze()

    def __repr__(self) -> str:
        return f"<Client {self.name} [sessions: {len(self._nodes)} | in flight: {len(self._pending)}]>"

    # --- from the client ---------------------------------------------------------------------------------------

    def receive(self, message: str | bytes) -> None:
        """Take one message: forward it, answer it, or refuse it. Never raises."""
        epoch = self._shared.fence.epoch
        client_id, node, method = None, self.root, ""
        try:
            client_id, session, method, params = _parse(message)
            node = self._node(session)
            if method.startswith("Baton."):
                self._baton(self, node, client_id, method, params)
            else:
                self._command(node, client_id, method, params, epoch)
        except BatonError as error:
            self._shared.refused += 1
            # An error on a session the client does not have is answered on that session, as Chromium does.
            session = error.fields.get("session") if isinstance(error, NoSuchSession) else None
            self.answer_error(client_id, node, error, method, session)

    def _command(self, node: Node, client_id: int, method: str, params: Params, epoch: Epoch) -> None:
        shared = self._shared
        rule = shared.methods.get(method)
        if rule is None:
            self._answer(client_id, node, error={"code": -32601, "message": f"'{method}' wasn't found"})
            return
        if rule.verb is None:
            raise MethodRefused(f"{method} is refused: {rule.why}", method=method)
        if method == "Browser.close":
            # The browser is the sandbox's; a client that closes it leaves, and finds it as it was when it is back.
            self._answer(client_id, node, result={})
            self.outbox.close(1000, "left")
            return
        if not shared.flowing:
            raise agent_stopped(shared.fence.holder, shared.fence.epoch, shared.fence.since)
        if method in _SCRIPTS.values():
            params = self._real_script(node, params)
        params = guard(method, params, shared.place(node.parent is None))
        self._check_page(node)
        self._permit(rule.verb, method, node, epoch)
        if len(self._pending) >= _IN_FLIGHT:
            raise TooMany(f"{_IN_FLIGHT} commands are in flight; wait for their answers")
        message: Params = {"id": 0, "method": method, "params": params, "sessionId": node.id}
        pending = Pending(client_id, node, method, params, shared.clock.monotonic())
        # No statement that could let go of the event loop may come between this check and the pipe.
        shared.fence.check_agent(epoch)
        pipe_id = shared.connection.forward(message, lambda raw: self._reply(pipe_id, raw))
        self._pending[pipe_id] = pending
        shared.admitted += 1
        self._note(node, method, params)

    def _permit(self, verb: Verb, method: str, node: Node, epoch: Epoch) -> None:
        verdict = self._shared.authority.permit(Action(verb, method, node.target, epoch))
        # A verdict of "wait" is a refusal too: nothing is queued here.
        if verdict.answer is not Answer.ALLOW:
            raise MethodRefused(verdict.reason or f"{method} is not permitted now", method=method)

    def _check_page(self, node: Node) -> None:
        target = self.page_of(node)
        if target is None:
            return
        try:
            page = self._shared.pages.get(target)
        except NotFound:
            return  # it closed, or Baton is just attaching to it
        if is_privileged(page.url):
            raise MethodRefused("this page belongs to the browser, not to the web; open an http(s) page")

    def _note(self, node: Node, method: str, params: Params) -> None:
        node.standing.sent(method, params)
        if method == "Runtime.runIfWaitingForDebugger":
            node.waiting = False
        elif method == "Page.waitForDebugger":
            node.waiting = True
        elif method in _SCRIPTS and str(params.get("worldName", "")).startswith("__playwright"):
            self._is_playwright = True
        elif method == "Runtime.disable":
            node.view.contexts.clear()
        elif method == "Network.disable":
            node.view.requests.clear()
        page = self.page_of(node)
        if method in _PLANTS and not params.get("throwOnSideEffect") and page:
            self._shared.planted.add(page)
        if method == "Fetch.fulfillRequest" or (method == "Page.reload" and params.get("scriptToEvaluateOnLoad")):
            # Requests paused on the browser's own CDP session may be any page's.
            self._shared.carried.update({page} if page else {each.target for each in self._shared.pages.all})

    def _real_script(self, node: Node, params: Params) -> Params:
        script = node.standing.scripts.pop(str(params.get("identifier")), None)
        return params if script is None or script.real_id is None else {"identifier": script.real_id}

    def _node(self, session: str | None) -> Node:
        if session is None:
            return self.root
        node = self._nodes.get(session)
        if node is None:
            raise NoSuchSession("Session with given id not found.", session=session)
        return node

    # --- from the browser --------------------------------------------------------------------------------------

    def _reply(self, pipe_id: int, raw: bytes) -> None:
        pending = self._pending.pop(pipe_id, None)
        if not self._pending:
            self._tell_idle()
        if pending is None:
            return
        self.deliver(pending, raw)

    def deliver(self, pending: Pending, raw: bytes) -> None:
        """Keep what a reply teaches and pass it on, if the client may still have it."""
        shared, node = self._shared, pending.node
        passed = shared.flowing or shared.draining
        if is_error(raw):
            node.standing.failed(pending.method)
        elif pending.method == "Page.getFrameTree":
            node.view.frame_tree(json.loads(raw)["result"]["frameTree"])
        elif pending.method in _SCRIPTS:
            raw = self._script_added(pending, raw, passed)
        elif pending.method in {"Target.attachToTarget", "Target.attachToBrowserTarget"}:
            session = json.loads(raw)["result"]["sessionId"]
            if session not in self._nodes:
                self.answer_error(
                    pending.client_id, node, MethodRefused("this target belongs to the browser, not to the web")
                )
                return
        if not passed:
            shared.dropped += 1
            return
        reply = with_id(raw, pending.client_id)
        self.outbox.put(strip_session(reply) if node is self.root else reply)

    def _script_added(self, pending: Pending, raw: bytes, passed: bool) -> bytes:
        standing = pending.node.standing
        remove = _SCRIPTS[pending.method]
        script = standing.new_script(pending.params, remove)
        script.real_id = json.loads(raw)["result"]["identifier"]
        if not passed:
            # It was cut off and comes back after the close: the client was told that nobody knows.
            standing.scripts.pop(script.client_id)
            self._send(pending.node, remove, {"identifier": script.real_id})
        result = {"id": 0, "result": {"identifier": script.client_id}}
        return encode(result, pending.node.id)

    def _event(self, node: Node, raw: bytes) -> None:
        method = method_of(raw)
        if method in _FOLLOWED or method in self._shared.standing.events:
            params = json.loads(raw)["params"]
            if not self._follow(node, method, params):
                return
        if not self._shared.flowing:
            self._shared.dropped += 1
            return
        self.outbox.put(strip_session(raw) if node is self.root else raw)

    def _follow(self, node: Node, method: str, params: Params) -> bool:
        """Move the tree and the view on; False where the client is not to know of it at all."""
        if method == "Target.attachedToTarget":
            return self._attached(node, params)
        if method == "Target.detachedFromTarget":
            return self._detached(params["sessionId"])
        if node.standing.event(method, params) and not self._shared.flowing:
            self.let_go(node)
        node.view.apply(method, params)
        return True

    def _attached(self, parent: Node, params: Params) -> bool:
        session, info = params["sessionId"], params["targetInfo"]
        if not is_web_target(info):
            self._send(parent, "Target.detachFromTarget", {"sessionId": session})
            return False
        child = self._grow(session, parent.id, info, waiting=True)
        armed = parent.standing.armed
        if not self._shared.flowing or not ("Target.setAutoAttach" in armed or "Target.autoAttachRelated" in armed):
            # A popup waits for this from everyone who is attached to it, even where nobody asked it to wait
            # (Chromium 156, measured): without it window.open never returns in the opener.
            self.let_run(child)
        return True

    def _detached(self, session: str) -> bool:
        known = session in self._nodes
        for node in [n for n in self._nodes.values() if self._is_under(n, session)]:
            node.unhook()
            del self._nodes[node.id]
            for pipe_id in [i for i, p in self._pending.items() if p.node is node]:
                self._lost(pipe_id)
        return known

    def _lost(self, pipe_id: int) -> None:
        pending = self._pending.pop(pipe_id)
        self._shared.connection.forget(pipe_id)
        if not self._shared.flowing:
            # The client is told that the session ended only at the return: it must not wait for this until then.
            self._answer(pending.client_id, pending.node, error={"code": -32000, "message": "Target closed"})
        if not self._pending:
            self._tell_idle()

    # --- closing and returning ---------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Its CDP sessions, parents before children."""
        return tuple(self._nodes.values())

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` once nothing is in flight (at once, where nothing is)."""
        if self._pending:
            self._when_idle.append(then)
        else:
            then()

    def freeze(self) -> None:
        """Remember what the client has been told; what happens from now on is kept for the return."""
        if self._seen is None:
            self._seen = self._tree(copy=True)

    def cut(self, client: str) -> list[Unknown]:
        """Give up on everything in flight: the client is told that the outcome is unknown, real replies are dropped."""
        fence, now = self._shared.fence, self._shared.clock.monotonic()
        pending, self._pending = self._pending, {}
        unknown = []
        for pipe_id, command in pending.items():
            self._shared.connection.replace(pipe_id, partial(self._late, command))
            error = outcome_unknown(command.method, fence.holder, fence.epoch, now - command.sent)
            self.answer_error(command.client_id, command.node, error, command.method)
            unknown.append(
                Unknown(client, command.method, self.page_of(command.node), round((now - command.sent) * 1000))
            )
        self._tell_idle()
        return unknown

    def add_again(self, node: Node, script: Script) -> asyncio.Future[None]:
        """Add a new-document script again; done when it is known under its new name, however late that is."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def added(raw: bytes) -> None:
            if not done.done():
                done.set_result(None)
            if is_error(raw):
                return
            identifier = json.loads(raw)["result"]["identifier"]
            if node.suspended or script.client_id not in node.standing.scripts:
                self._send(node, script.remove, {"identifier": identifier})
            else:
                script.real_id = identifier

        self._send(node, script.remove.replace("remove", "add"), script.params, added)
        return done

    def _late(self, pending: Pending, raw: bytes) -> None:
        self._shared.dropped += 1
        if pending.method in _SCRIPTS and not is_error(raw):
            self._script_added(pending, raw, passed=False)

    def thaw(self, infos: dict[str, Params], at: float) -> None:
        """Tell the client what changed since `freeze`; from now on everything passes."""
        if self._seen is None:
            return
        for node in self._nodes.values():
            if node.id not in self._seen:
                node.info = infos.get(str(node.target), node.info) | {"attached": True}
        for told in rebuild(self._seen, self._tree(copy=False), at):
            self.emit(told)
        for node in self._nodes.values():
            if "DOM" in node.standing.enabled and node.id in self._seen:
                # Node ids that it holds may be of documents that are gone.
                self.emit(Told(node.id, "DOM.documentUpdated", {}))
            if "Network" in node.standing.enabled:
                node.view.requests.clear()
            node.view.ended.clear()
        self._seen = None

    def new_documents(self, node: Node) -> bool:
        """Whether a document was loaded in this session that the client has not seen."""
        seen = (self._seen or {}).get(node.id)
        if seen is None:
            return False
        old = seen.view.frames
        return any(f.loader and (f.id not in old or old[f.id].loader != f.loader) for f in node.view.frames.values())

    def emit(self, told: Told) -> None:
        """Send one event of our own."""
        session = None if told.session == self.root.id else told.session
        self.outbox.put(encode({"method": told.method, "params": told.params}, session))

    def let_run(self, node: Node) -> None:
        """Let a target run that waits for this client."""
        node.waiting = False
        self._send(node, "Runtime.runIfWaitingForDebugger", {})

    def let_go(self, node: Node) -> None:
        """Answer everything in a session that waits for the agent."""
        for method, params in node.standing.let_go():
            self._send(node, method, params)
        if node.waiting:
            self.let_run(node)

    def end(self) -> None:
        """Forget everything: the client has gone."""
        for node in self._nodes.values():
            node.unhook()
        self._nodes.clear()
        for pipe_id in self._pending:
            self._shared.connection.forget(pipe_id)
        self._pending.clear()
        self._tell_idle()

    # --- answers -----------------------------------------------------------------------------------------------

    def answer(self, client_id: int, node: Node, result: Params) -> None:
        """Answer a command of the client ourselves."""
        self._answer(client_id, node, result=result)

    def answer_error(
        self, client_id: int | None, node: Node, error: BatonError, method: str = "", session: str | None = None
    ) -> None:
        """Refuse a command of the client."""
        if self._is_playwright and method in _EVALUATIONS:
            self._answer(client_id, node, result=thrown(error))
            return
        form = cdp_error(error)
        if isinstance(error, NoSuchSession):
            form["code"] = -32001  # Chromium's own code: clients know it
        self._answer(client_id, node, session=session, error=form)

    def _answer(self, client_id: int | None, node: Node, *, session: str | None = None, **body: Any) -> None:
        message = {**({} if client_id is None else {"id": client_id}), **body}
        self.outbox.put(encode(message, session or (None if node is self.root else node.id)))

    # --- helpers -----------------------------------------------------------------------------------------------

    def page_of(self, node: Node) -> str | None:
        """Return the page target a session belongs to; None for the browser and for shared workers."""
        at: Node | None = node
        while at is not None and at.parent is not None:
            if at.info.get("type") == "page":
                return at.target
            at = self._nodes.get(at.parent)
        return None

    def find(self, session: str) -> Node | None:
        """Return one of its CDP sessions."""
        return self._nodes.get(session)

    def _grow(self, session: str, parent: str | None, info: Params, *, waiting: bool) -> Node:
        node = Node(session, parent, info, View(), Standing(self._shared.standing), lambda: None, waiting)
        node.unhook = self._shared.connection.hook(session, lambda raw: self._event(node, raw))
        self._nodes[session] = node
        return node

    def _is_under(self, node: Node | None, session: str) -> bool:
        while node is not None:
            if node.id == session:
                return True
            node = self._nodes.get(node.parent or "")
        return False

    def _tree(self, *, copy: bool) -> Tree:
        return {n.id: Branch(n.id, n.parent, n.info, n.view.copy() if copy else n.view) for n in self._nodes.values()}

    def _send(self, node: Node, method: str, params: Params, on_reply: RawReply = lambda _raw: None) -> None:
        """Send a command of our own on one of the client's sessions, whoever holds control."""
        message = {"id": 0, "method": method, "params": params, "sessionId": node.id}
        try:
            self._shared.connection.forward(message, on_reply)
        except Gone:
            return

    def _tell_idle(self) -> None:
        waiting, self._when_idle = self._when_idle, []
        for then in waiting:
            then()


def _parse(message: str | bytes) -> tuple[int, str | None, str, Params]:
    try:
        data = json.loads(message)
    except (ValueError, RecursionError):
        raise BadRequest("this is not JSON") from None
    if not isinstance(data, dict):
        raise BadRequest("a CDP message is a JSON object")
    client_id, session, method, params = (
        data.get("id"),
        data.get("sessionId"),
        data.get("method"),
        data.get("params", {}),
    )
    if not isinstance(client_id, int) or isinstance(client_id, bool):
        raise BadRequest("Message must have integer 'id' property")
    if not isinstance(method, str) or not isinstance(params, dict) or not isinstance(session, str | None):
        raise BadRequest("Message must have string 'method', object 'params' and string 'sessionId'")
    return client_id, session, method, params
