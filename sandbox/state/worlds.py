"""Looking into pages through an isolated world of Baton's own, in every frame, whichever process it lives in.

Page scripts cannot see this world, and nothing they redefine is seen from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from sandbox.cdp import CdpError
from sandbox.pages import Page, Pages, bare_url
from sandbox.state.roles import LOOKING, TEXT_INPUTS
from sandbox.state.secrecy import TELLING_AUTOCOMPLETE, TELLING_NAME
from sandbox.words import BatonError, Gone

BINDING: Final = "batonState"
ACTED: Final = "acted "
"""What the page script tells, followed by the time in milliseconds since 1970, when somebody acts in the page."""
MAX_FRAMES: Final = 50
UNANSWERED: Final = (BatonError, TimeoutError)
"""What a frame that is gone, hanging or not ready yet answers with."""


def _source(name: str) -> str:
    return resources.files("sandbox.state").joinpath(name).read_text(encoding="utf-8").rstrip().rstrip(";")


_SCRIPT: Final = _source("page.js")
_CONFIG = json.dumps(
    {
        "name": TELLING_NAME,
        "autocomplete": TELLING_AUTOCOMPLETE,
        "textInputs": sorted(TEXT_INPUTS - {""}),
        "binding": BINDING,
        "acted": ACTED,
        "actedMs": 100,
    }
)
SOURCE: Final = f"{_SCRIPT}({_CONFIG})"
"""Evaluates to the page script's operations; safe to evaluate any number of times."""
LOOK: Final = f"{_source('look.js')}({json.dumps(LOOKING)}, {SOURCE})"
"""Evaluates to the operations of a snapshot, as `SOURCE` does."""

TEST_MS: Final = 250
"""How long somebody else's expression may keep a page busy."""
_TEST: Final = "((value) => (typeof value?.then === 'function' ? 'later' : !!value))((\nEXPRESSION\n))"
_THROWN: Final = MappingProxyType(
    {
        "SyntaxError": "the test cannot be read: it must be one JavaScript expression",
        "EvalError": "the test would have changed something, or uses what might",
    }
)


@dataclass(frozen=True, slots=True)
class Tested:
    """What an expression came to; `met` is None where it came to nothing, `why` quotes nothing of the page."""

    met: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a page: the CDP session of its process, its id, and where it hangs."""

    session: str
    id: str
    parent: str | None
    url: str
    name: str
    local_root: bool
    document: str
    """The loader's id: another one means that the document was replaced."""

    @property
    def label(self) -> str:
        """What a diff calls it: "" for the page itself."""
        return bare_url(self.url) if self.parent else ""


class Worlds:
    """Evaluates the page script's operations in the frames of a browser's pages.

    A client that listens learns the world's name while it has control, and could plant code there; so the name is
    random, and `renew` takes another one when control is taken away.
    """

    def __init__(self, pages: Pages) -> None:
        self._connection = pages.connection
        self._world = _new_name()
        self._scripts: dict[str, str] = {}

    def renew(self) -> None:
        """Use a world that nobody has been in; the page script forgets everything. `watch` every session again."""
        self._world = _new_name()

    async def frames(self, page: Page, timeout: float) -> tuple[list[Frame], int]:  # noqa: ASYNC109 - handed on
        """Return the frames of a page, parents first, and how many were left out. Raises as `Connection.call` does."""
        sessions = page.sessions  # they come and go while we wait
        trees = await asyncio.gather(
            *(self._connection.call("Page.getFrameTree", {}, session, timeout) for session in sessions),
            return_exceptions=True,
        )
        if isinstance(trees[0], BaseException):
            raise trees[0]
        found: list[Frame] = []
        for session, tree in zip(sessions, trees, strict=True):
            if isinstance(tree, BaseException):
                continue
            stack = [(tree["frameTree"], True)]
            while stack:
                branch, root = stack.pop()
                data = branch["frame"]
                url = data["url"] + data.get("urlFragment", "")
                found.append(
                    Frame(session, data["id"], data.get("parentId"), url, data.get("name", ""), root, data["loaderId"])
                )
                stack.extend((child, False) for child in reversed(branch.get("childFrames", [])))
        return found[:MAX_FRAMES], max(0, len(found) - MAX_FRAMES)

    async def context(self, frame: Frame, timeout: float) -> int:  # noqa: ASYNC109 - handed on
        """Return the execution context of Baton's world in a frame; the same one as long as the document lives."""
        params = {"frameId": frame.id, "worldName": self._world}
        made = await self._connection.call("Page.createIsolatedWorld", params, frame.session, timeout)
        context: int = made["executionContextId"]
        return context

    async def run(self, frame: Frame, operation: str, *arguments: Any, timeout: float) -> Any:  # noqa: ASYNC109 - handed on
        """Call one operation of the page script in a frame.

        Raises as `Connection.call` does; `CdpError` also when the operation throws.
        """
        async with asyncio.timeout(timeout):
            context = await self.context(frame, timeout)
            result = await self._evaluate(frame.session, context, operation, arguments, by_value=True)
        return result.get("value")

    async def test(self, frame: Frame, expression: str, timeout: float) -> Tested:  # noqa: ASYNC109 - handed on
        """Say whether an expression of somebody else's is truthy in a frame.

        It runs in a world of its own, which knows nothing of ours, and throws where it would change anything
        (`Runtime.evaluate`, throwOnSideEffect). Raises as `Connection.call` does; `TimeoutError` also when it was ended
        after `TEST_MS`.
        """
        async with asyncio.timeout(timeout):
            params = {"frameId": frame.id, "worldName": f"{self._world}-test"}
            made = await self._connection.call("Page.createIsolatedWorld", params, frame.session, timeout)
            asked = {
                "expression": _TEST.replace("EXPRESSION", expression), "contextId": made["executionContextId"],
                "silent": True, "throwOnSideEffect": True, "timeout": TEST_MS, "returnByValue": True,
            }  # fmt: skip
            try:
                answer = await self._connection.call("Runtime.evaluate", asked, frame.session, timeout)
            except CdpError as error:
                if "terminated" in error.message:
                    raise TimeoutError from error
                raise
        thrown = answer.get("exceptionDetails")
        if thrown is not None:
            # What was thrown may quote the page; only these sorts are told apart.
            return Tested(None, _THROWN.get(thrown.get("exception", {}).get("className", ""), "the test threw"))
        value = answer["result"].get("value")
        if not isinstance(value, bool):
            return Tested(None, "the test gave a promise; it must say true or false at once")
        return Tested(value, "the test is true" if value else "the test is not true")

    async def look(self, frame: Frame, options: Mapping[str, Any], timeout: float) -> dict[str, Any]:  # noqa: ASYNC109 - handed on
        """Return what a frame shows (see `look.js`). Raises as `run` does."""
        async with asyncio.timeout(timeout):
            context = await self.context(frame, timeout)
            result = await self._evaluate(frame.session, context, "look", (options,), by_value=True, source=LOOK)
        answer: dict[str, Any] = json.loads(result["value"])
        return answer

    async def rest(self, frame: Frame, timeout: float) -> None:  # noqa: ASYNC109 - handed on
        """Note no longer what moves in a frame, until it is looked at with `begin` again."""
        async with asyncio.timeout(timeout):
            context = await self.context(frame, timeout)
            await self._evaluate(frame.session, context, "rest", (), by_value=True, source=LOOK)

    async def hidden_roots(self, frame: Frame, most: int, timeout: float) -> list[int]:  # noqa: ASYNC109 - handed on
        """Return the backend node ids of closed shadow roots that the last look came upon.

        At most `most` elements are asked, each once.
        """
        async with asyncio.timeout(timeout):
            described = await self._described(frame, "takeHosts", (most,), LOOK)
        roots = [root for node in described for root in node.get("shadowRoots", [])]
        return [root["backendNodeId"] for root in roots if root.get("shadowRootType") == "closed"]

    async def fresh_secrets(self, frame: Frame, timeout: float) -> list[int]:  # noqa: ASYNC109 - handed on
        """Return the backend node ids of the fields that became secret since this was last asked."""
        async with asyncio.timeout(timeout):
            return [node["backendNodeId"] for node in await self._described(frame, "takeFresh", (), SOURCE)]

    async def hand_over(self, frame: Frame, backend_node: int, words: str, timeout: float) -> None:  # noqa: ASYNC109 - handed on
        """Call one of the page script's operations with a node: `words` as in "addRoot(this)"."""
        call = self._connection.call
        async with asyncio.timeout(timeout):
            context = await self.context(frame, timeout)
            wanted = {"backendNodeId": backend_node, "executionContextId": context}
            found = await call("DOM.resolveNode", wanted, frame.session)
            params = {
                "functionDeclaration": f"function () {{ {SOURCE}.{words}; }}",
                "objectId": found["object"]["objectId"],
            }
            await call("Runtime.callFunctionOn", params, frame.session)

    async def _described(
        self, frame: Frame, operation: str, arguments: Sequence[Any], source: str
    ) -> list[dict[str, Any]]:
        call = self._connection.call
        context = await self.context(frame, 10)
        listed = await self._evaluate(frame.session, context, operation, arguments, by_value=False, source=source)
        params = {"objectId": listed["objectId"], "ownProperties": True}
        held = (await call("Runtime.getProperties", params, frame.session))["result"]
        objects = [each["value"]["objectId"] for each in held if each["name"].isdigit()]
        described = await asyncio.gather(
            *(call("DOM.describeNode", {"objectId": each}, frame.session) for each in objects)
        )
        return [each["node"] for each in described]

    async def watch(self, session: str) -> None:
        """Have the page script run in every document of a session from its start, and report what is typed."""
        old = self._scripts.pop(session, None)
        params = {"source": SOURCE, "worldName": self._world, "runImmediately": True}
        with contextlib.suppress(*UNANSWERED):
            added = await self._connection.call("Page.addScriptToEvaluateOnNewDocument", params, session)
            self._scripts[session] = added["identifier"]
            if old is not None:
                params = {"identifier": old}
                await self._connection.call("Page.removeScriptToEvaluateOnNewDocument", params, session)
        await self.hear(session)

    def forget(self, session: str) -> None:
        """A session has ended."""
        self._scripts.pop(session, None)

    async def hear(self, session: str) -> None:
        """Let the page script reach us from the documents that are there now; to be repeated when there are new ones.

        Only `Runtime.enable` would extend a binding to new documents, and pages can tell that it is on.
        """
        params = {"name": BINDING, "executionContextName": self._world}
        with contextlib.suppress(*UNANSWERED):
            await self._connection.call("Runtime.addBinding", params, session)

    async def _evaluate(
        self,
        session: str,
        context: int,
        operation: str,
        arguments: Sequence[Any],
        *,
        by_value: bool,
        source: str = SOURCE,
    ) -> dict[str, Any]:
        given = ", ".join(json.dumps(argument) for argument in arguments)
        params = {
            "expression": f"{source}.{operation}({given})",
            "contextId": context,
            "returnByValue": by_value,
            "silent": True,
        }
        answer = await self._connection.call("Runtime.evaluate", params, session)
        if "exceptionDetails" in answer:
            # What was thrown may quote the page; only the operation is named.
            raise CdpError(f"the page script's {operation} failed")
        result: dict[str, Any] = answer["result"]
        return result


def _new_name() -> str:
    return f"w{secrets.token_hex(8)}"


async def settled(work: Sequence[Awaitable[Any]]) -> list[Any]:
    """Await all of `work` at once; None for what did not answer. Anything else that is raised is a bug and passes."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, (*UNANSWERED, Gone)):
            raise result
    return [None if isinstance(result, BaseException) else result for result in results]
