"""One CDP client: what it may send, what it is told, what it finds when control comes back.

Everything between a command and the pipe happens without an await: it is stamped with the epoch when it is received
and asks the fence again in the statement before it is handed to the pipe. What waits in line keeps its stamp.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from sandbox.authority import Action, Answer, Verb
from sandbox.cdp import RawReply, strip_session
from sandbox.gate.answers import Answers
from sandbox.gate.errors import (
    MethodRefused,
    NoSuchSession,
    agent_stopped,
    stale_handle,
)
from sandbox.gate.flight import Flight
from sandbox.gate.guard import guard, is_privileged, is_web_target
from sandbox.gate.handles import Handle
from sandbox.gate.line import Line, Waiting, WhileHeld
from sandbox.gate.look import Look
from sandbox.gate.node import Node, Pending, Unknown
from sandbox.gate.outbox import Outbox
from sandbox.gate.planted import REMOVALS, SCRIPTS, is_worker_script, makes_document, makes_worker, plants
from sandbox.gate.shared import Shared
from sandbox.gate.socket import Socket
from sandbox.gate.standing import Script
from sandbox.gate.tree import Sessions
from sandbox.gate.turn import Turn
from sandbox.gate.view import WATCHED
from sandbox.gate.wire import Command, encode, is_error, method_of, read_command, with_id
from sandbox.words import BatonError, Epoch, Gone, NotFound, TooMany

type Params = dict[str, Any]
type BatonCall = Callable[["Client", Node, int, str, Params], None]

_IN_FLIGHT: Final = 10_000
_FOLLOWED: Final = WATCHED | {"Target.attachedToTarget", "Target.detachedFromTarget"}
_ATTACHES: Final = frozenset({"Target.attachToTarget", "Target.attachToBrowserTarget"})
_NO_NODE: Final = (b"not find node with given id", b"No node with given id found", b"No node found for given backend")


class Client:
    """One connection to the gate. `Gate` makes it, freezes it at the close, tells it the difference at the return."""

    def __init__(
        self, shared: Shared, name: str, socket: Socket, root: str, baton: BatonCall, while_held: WhileHeld
    ) -> None:
        self.name = name
        self.outbox = Outbox(socket)
        self.flight = Flight(shared.connection)
        self.sessions = Sessions(shared.connection, shared.standing, root, self._event)
        self.root = self.sessions.root
        self.told_of: set[str] = set()
        """Its CDP sessions that sent `Baton.enable`."""
        self._shared = shared
        self._baton = baton
        self._while_held = while_held
        self._line = Line()
        self.answers = Answers(self.outbox, root)
        self.turn = Turn(shared, self.sessions, self.flight, self.answers)
        if not shared.flowing:
            self.freeze()

    def __repr__(self) -> str:
        return f"<Client {self.name} [sessions: {len(self.sessions)} | in flight: {len(self.flight)}]>"

    # --- from the client ---------------------------------------------------------------------------------------

    def receive(self, message: str | bytes) -> None:
        """Take one message: forward it, answer it, let it wait, or refuse it. Never raises."""
        epoch = self._shared.fence.epoch
        try:
            command = read_command(message)
        except BatonError as error:
            self._shared.refused += 1
            self.answers.error(None, None, error)
            return
        waiting = Waiting(command, epoch)
        if command.method.startswith("Baton."):
            self._tried(waiting, self._ask_baton)
        else:
            self._tried(waiting, self._command)

    def perform(self, node: Node, client_id: int, method: str, params: Params, epoch: Epoch) -> None:
        """Take a command that was kept until it was approved, as if it were received again under that epoch."""
        command = Command(client_id, None if node is self.root else node.id, method, params, epoch, 0)
        self._tried(Waiting(command, epoch), self._command)

    def _tried(self, waiting: Waiting, step: Callable[[Waiting], None]) -> None:
        try:
            step(waiting)
        except BatonError as error:
            self._shared.refused += 1
            command = waiting.command
            # An error on a session the client does not have is answered on that session, as Chromium does.
            self.answers.error(command.id, command.session, error, command.method)
            for told in self.turn.ended.told(command.session or ""):
                self.answers.emit(told)

    def _ask_baton(self, waiting: Waiting) -> None:
        command = waiting.command
        self._baton(self, self._node(command.session), command.id, command.method, command.params)

    def _command(self, waiting: Waiting) -> None:
        shared, command, epoch = self._shared, waiting.command, waiting.epoch
        method = command.method
        if command.epoch is not None:
            shared.fence.check_epoch(command.epoch)
        rule = shared.methods.get(method)
        if rule is None:
            self.answers.unknown_method(command.id, command.session, method)
            return
        if rule.verb is None:
            raise MethodRefused(f"{method} is refused: {rule.why}", method=method)
        if method == "Browser.close":
            # The browser is the sandbox's; a client that closes it leaves, and finds it as it was when it is back.
            self.answers.result(command.id, command.session, {})
            self.outbox.close(1000, "left")
            return
        if not shared.flowing:
            if self._while_held is WhileHeld.WAIT:
                self._line.put(waiting)
                return
            raise agent_stopped(shared.fence.holder, shared.fence.epoch, shared.fence.since)
        node = self._node(command.session)
        params = command.params
        if method in REMOVALS:
            params = self._real_script(node, params)
        params = guard(method, params, shared.place(node.parent is None))
        self._check_page(node)
        if node.worker_scripts and params.get("requestId") in node.worker_scripts and makes_worker(method, params):
            raise MethodRefused("a service worker of the agent's making would outlive its control; let the site's load")
        self._permit(rule.verb, method, node, epoch)
        if self._must_wait(node, waiting):
            return
        if len(self.flight) >= _IN_FLIGHT:
            raise TooMany(f"{_IN_FLIGHT} commands are in flight; wait for their answers")
        message: Params = {"id": 0, "method": method, "params": params, "sessionId": node.id}
        pending = Pending(command.id, node, method, params, shared.clock.monotonic())
        # No statement that could let go of the event loop may come between this check and the pipe.
        shared.fence.check_agent(epoch)
        pipe_id = shared.connection.forward(message, lambda raw: self._reply(pipe_id, raw))
        self.flight.add(pipe_id, pending)
        shared.admitted += 1
        self._note(node, method, params)
        if rule.verb is Verb.ACT and shared.on_command is not None:
            shared.on_command(node.target, method, params)

    def _permit(self, verb: Verb, method: str, node: Node, epoch: Epoch) -> None:
        verdict = self._shared.authority.permit(Action(verb, method, node.target, epoch))
        # A verdict of "wait" is a refusal too: what waits here waits for control, not for a judgement.
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
        elif method in SCRIPTS and str(params.get("worldName", "")).startswith("__playwright"):
            self.answers.is_playwright = True
        elif method == "Runtime.disable":
            node.view.contexts.clear()
        elif method == "Network.disable":
            node.view.requests.clear()
        elif method == "Runtime.releaseObject":
            node.elements.released(params)
        page = self.page_of(node)
        if plants(method, params):
            if page:
                self._shared.planted.add(page)
            elif node.info.get("type") == "service_worker":
                self._shared.workers.add(str(node.target))
        if makes_document(method, params):
            # Requests paused on the browser's own CDP session may be any page's.
            self._shared.carried.update({page} if page else {each.target for each in self._shared.pages.all})

    def _real_script(self, node: Node, params: Params) -> Params:
        script = node.standing.scripts.pop(str(params.get("identifier")), None)
        return params if script is None or script.real_id is None else {"identifier": script.real_id}

    def _node(self, session: str | None) -> Node:
        if session is None:
            return self.root
        node = self.sessions.find(session)
        if node is None:
            raise self.turn.ended.error(session) or NoSuchSession("Session with given id not found.", session=session)
        return node

    # --- waiting in line -----------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Control is back: what waited for it goes on in order, reads now, everything else only if it never left."""
        for waiting in self._line.empty():
            self._tried(waiting, self._late_command)

    def _late_command(self, waiting: Waiting) -> None:
        shared, command = self._shared, waiting.command
        rule = shared.methods[command.method]
        if rule.verb is Verb.READ:
            waiting = waiting._replace(epoch=shared.fence.epoch)
        elif shared.flowing:
            # Said here so that it is said as what it is; the last step would refuse it too.
            shared.fence.check_agent(waiting.epoch)
        self._command(waiting)

    def _must_wait(self, node: Node, waiting: Waiting) -> bool:
        """Let a command wait behind others, or until what it names was looked at; False where it need not."""
        if node.line:
            node.line.put(waiting)
            return True
        handles, command = node.handles, waiting.command
        if handles is None or not (doubtful := handles.doubtful(command.method, command.params)):
            return False
        if any(isinstance(each, int) for each in doubtful) and self._is_blind(node):
            raise stale_handle(command.method)
        node.line.put(waiting)

        def looked(gone: set[Handle]) -> None:
            for handle in set(doubtful) - gone:
                handles.good(handle)
            behind = list(node.line.empty())
            if gone and behind and behind[0] is waiting:
                del behind[0]
                self._shared.refused += 1
                self.answers.error(command.id, command.session, stale_handle(command.method), command.method)
            for each in behind:
                self._tried(each, self._command)

        Look(lambda method, params, on_reply: self._send(node, method, params, on_reply), doubtful, looked).begin()
        return True

    def _is_blind(self, node: Node) -> bool:
        same = [n.handles for n in self.sessions.all if n.target == node.target and n.handles is not None]
        return all(handles.is_blind for handles in same)

    # --- from the browser --------------------------------------------------------------------------------------

    def _reply(self, pipe_id: int, raw: bytes) -> None:
        pending = self.flight.landed(pipe_id)
        if pending is not None:
            self.deliver(pending, raw)

    def deliver(self, pending: Pending, raw: bytes) -> None:
        """Keep what a reply teaches and pass it on, if the client may still have it."""
        shared, node, method = self._shared, pending.node, pending.method
        passed = shared.flowing or shared.draining
        if is_error(raw):
            node.standing.failed(method)
            if passed and node.handles is not None and any(words in raw for words in _NO_NODE):
                self.answers.error(pending.client_id, node.id, stale_handle(method), method)
                return
        elif method == "Page.getFrameTree":
            node.view.frame_tree(json.loads(raw)["result"]["frameTree"])
        elif method in SCRIPTS:
            raw = self._script_added(pending, raw, passed)
        elif method in _ATTACHES:
            session = json.loads(raw)["result"]["sessionId"]
            if self.sessions.find(session) is None:
                self.answers.error(
                    pending.client_id, node.id, MethodRefused("this target belongs to the browser, not to the web")
                )
                return
        if not passed:
            shared.dropped += 1
            return
        node.elements.given(raw)
        if node.handles is not None:
            node.handles.given(method, raw)
        reply = with_id(raw, pending.client_id)
        self.outbox.put(strip_session(reply) if node is self.root else reply)

    def _script_added(self, pending: Pending, raw: bytes, passed: bool) -> bytes:
        standing = pending.node.standing
        remove = SCRIPTS[pending.method]
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
        if node.handles is not None:
            node.handles.given(method, raw)
        self.outbox.put(strip_session(raw) if node is self.root else raw)

    def _follow(self, node: Node, method: str, params: Params) -> bool:
        """Move the tree and the view on; False where the client is not to know of it at all."""
        if method == "Target.attachedToTarget":
            return self._attached(node, params)
        if method == "Target.detachedFromTarget":
            return self._detached(params["sessionId"])
        if node.standing.event(method, params) and not self._shared.flowing:
            self.let_go(node)
        if method == "Fetch.requestPaused" and is_worker_script(params["request"]):
            node.worker_scripts.add(params["requestId"])
        node.view.apply(method, params)
        return True

    def _attached(self, parent: Node, params: Params) -> bool:
        session, info = params["sessionId"], params["targetInfo"]
        if not is_web_target(info):
            self._send(parent, "Target.detachFromTarget", {"sessionId": session})
            return False
        child = self.sessions.grow(session, parent.id, info, waiting=True)
        armed = parent.standing.armed
        if not self._shared.flowing or not ("Target.setAutoAttach" in armed or "Target.autoAttachRelated" in armed):
            # A popup waits for this from everyone who is attached to it, even where nobody asked it to wait
            # (Chromium 156, measured): without it window.open never returns in the opener.
            self.let_run(child)
        return True

    def _detached(self, session: str) -> bool:
        pruned = self.sessions.prune(session)
        for node in pruned:
            self.told_of.discard(node.id)
            if self.turn.frozen:
                self.turn.ended.elements += len(node.elements)
            lost = self.flight.lose(node)
            if not self._shared.flowing:
                # The client is told that the session ended only at the return: it must not wait for this until then.
                for pending in lost:
                    self.answers.lost(pending)
            for waiting in node.line.empty():
                self._tried(waiting, self._command)
        return bool(pruned)

    # --- closing and returning ---------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Remember what the client has been told; what happens from now on is kept for the return."""
        if not self.turn.freeze():
            return
        for node in self.sessions.all:
            for waiting in node.line.empty():
                self._tried(waiting, self._command)

    def cut(self) -> list[Unknown]:
        """Give up on everything in flight; see `Turn.cut`."""
        return self.turn.cut(self.name, self._late)

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
        if pending.method in SCRIPTS and not is_error(raw):
            self._script_added(pending, raw, passed=False)

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
        self.sessions.clear()
        self.flight.forget_all()

    # --- helpers -----------------------------------------------------------------------------------------------

    def page_of(self, node: Node) -> str | None:
        """Return the page target a session belongs to; None for the browser and for shared workers."""
        return self.sessions.page_of(node)

    def _send(self, node: Node, method: str, params: Params, on_reply: RawReply = lambda _raw: None) -> None:
        """Send a command of our own on one of the client's sessions, whoever holds control."""
        message = {"id": 0, "method": method, "params": params, "sessionId": node.id}
        try:
            self._shared.connection.forward(message, on_reply)
        except Gone:
            return
