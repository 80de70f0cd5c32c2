"""`request_handoff`: one function for Playwright's two APIs and for sandboxes of both clients."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, overload

from agent_bridge.client.clients import AsyncClient, Client, Sandbox, SyncSandbox
from agent_bridge.client.errors import InvalidRequest, NotASandbox
from agent_bridge.client.values import HandoffResult

if TYPE_CHECKING:
    from playwright.async_api import Page
    from playwright.sync_api import Page as SyncPage

TIMEOUT_S = 1800.0
CATCH_UP_S = 5.0

type Condition = Mapping[str, Any]


@overload
def request_handoff(
    on: SyncPage | SyncSandbox,
    kind: str,
    instructions: str = "",
    *,
    condition: Condition | None = None,
    timeout_s: float = TIMEOUT_S,
    idempotency_key: str | None = None,
    client: Client | None = None,
) -> HandoffResult: ...


@overload
def request_handoff(
    on: Page | Sandbox,
    kind: str,
    instructions: str = "",
    *,
    condition: Condition | None = None,
    timeout_s: float = TIMEOUT_S,
    idempotency_key: str | None = None,
    client: AsyncClient | None = None,
) -> Coroutine[Any, Any, HandoffResult]: ...


def request_handoff(
    on: SyncPage | SyncSandbox | Page | Sandbox,
    kind: str,
    instructions: str = "",
    *,
    condition: Condition | None = None,
    timeout_s: float = TIMEOUT_S,
    idempotency_key: str | None = None,
    client: Client | AsyncClient | None = None,
) -> HandoffResult | Coroutine[Any, Any, HandoffResult]:
    """Ask for a human, wait, and return what came of it.

    `on` is the blocked page, or the sandbox; with Playwright's asyncio API the call is awaited, with the other it
    blocks. `kind` is the blocker (captcha, credentials, one_time_code, passkey, payment, approval, dialog, upload,
    consent, blocked_page, stuck, unknown), `instructions` what the human reads. `condition` must hold when the
    operator presses Done: `{"url": glob}`, `{"selector": css, "state": "visible" | "gone"}`, `{"cookie": name}`,
    `{"text": …}`, `{"all": […]}`, `{"any": […]}`, `{"not": …}`. After `timeout_s` without a human it expires.
    A repeated call with the same `idempotency_key` waits for the same handoff. Without `client`, BATON_URL and
    BATON_TOKEN say where the server is.

    How it ends is a value (`HandoffResult.outcome`). Raises a leaf of `BatonClientError` for misuse, and
    `ServerUnreachable` when the server stays away until the deadline; then `reattach(error.handoff)` goes on.
    """
    body: dict[str, Any] = {
        "kind": str(kind), "instructions": instructions, "condition": condition, "idempotency_key": idempotency_key,
    }  # fmt: skip
    body = {key: value for key, value in body.items() if value is not None}
    if isinstance(on, SyncSandbox) or (not isinstance(on, Sandbox) and not _is_async(on)):
        if isinstance(client, AsyncClient):
            raise InvalidRequest("this page is of Playwright's blocking API; give a Client, not an AsyncClient")
        return _blocking(on, body, timeout_s, client)
    if isinstance(client, Client):
        raise InvalidRequest("this page is of Playwright's asyncio API; give an AsyncClient, not a Client")
    return _awaited(on, body, timeout_s, client)


def _is_async(page: Any) -> bool:
    method = getattr(getattr(page, "context", None), "new_cdp_session", None)
    if method is None:
        raise InvalidRequest("request_handoff takes a Playwright page or a sandbox of this client")
    return inspect.iscoroutinefunction(method)


def _blocking(on: Any, body: dict[str, Any], timeout_s: float, client: Client | None) -> HandoffResult:
    if isinstance(on, SyncSandbox):
        return (client or on.client).ask(on.id, body, timeout_s)
    place = _describe(on)
    if client is not None:
        result = client.ask(place["sandbox"], {**body, **_target(place)}, timeout_s)
    else:
        with Client() as own:
            result = own.ask(place["sandbox"], {**body, **_target(place)}, timeout_s)
    for page in _still_there(on):
        with contextlib.suppress(Exception):
            _describe(page)
    return result


async def _awaited(on: Any, body: dict[str, Any], timeout_s: float, client: AsyncClient | None) -> HandoffResult:
    if isinstance(on, Sandbox):
        return await (client or on.client).ask(on.id, body, timeout_s)
    place = await _describe_async(on)
    if client is not None:
        result = await client.ask(place["sandbox"], {**body, **_target(place)}, timeout_s)
    else:
        async with AsyncClient() as own:
            result = await own.ask(place["sandbox"], {**body, **_target(place)}, timeout_s)
    for page in _still_there(on):
        with contextlib.suppress(Exception):
            await asyncio.wait_for(_describe_async(page), CATCH_UP_S)
    return result


def _still_there(page: Any) -> list[Any]:
    """Return a page to have one round trip with, if there is one.

    The result comes on a connection of its own and may overtake what the gate says on Playwright's about the pages as
    they are now; an answer on that connection comes after all of it.
    """
    open_ones = [each for each in (page, *page.context.pages) if not each.is_closed()]
    return open_ones[:1]


def _target(place: Mapping[str, Any]) -> dict[str, Any]:
    return {"target": place["target"]} if place.get("target") else {}


def _describe(page: Any) -> Mapping[str, Any]:
    session = page.context.new_cdp_session(page)
    try:
        found: Mapping[str, Any] = session.send("Baton.describe")
    except Exception as error:
        raise _stranger(error) from error
    finally:
        session.detach()
    return found


async def _describe_async(page: Any) -> Mapping[str, Any]:
    session = await page.context.new_cdp_session(page)
    try:
        found: Mapping[str, Any] = await session.send("Baton.describe")
    except Exception as error:
        raise _stranger(error) from error
    finally:
        await session.detach()
    return found


def _stranger(error: Exception) -> Exception:
    if "wasn't found" in str(error):
        return NotASandbox("this page does not live in a sandbox of Baton's; connect_over_cdp(sandbox.cdp_url) first")
    return error


@overload
def reattach(handoff: str, client: Client) -> HandoffResult: ...


@overload
def reattach(handoff: str, client: AsyncClient) -> Coroutine[Any, Any, HandoffResult]: ...


def reattach(handoff: str, client: Client | AsyncClient) -> HandoffResult | Coroutine[Any, Any, HandoffResult]:
    """Wait for a handoff that was asked for before, by this process or an earlier one."""
    return client.reattach(handoff)
