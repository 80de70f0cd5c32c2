"""Everything an agent can leave armed is suspended while a human drives, and armed again at the return."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import websockets

from sandbox.gate.standing import standing_table
from tests.sandbox.gate.rig import PAGES, Raw, Refused, Site, until

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

type Command = tuple[str, dict[str, Any]]


@dataclass
class World:
    """What a scenario may look at."""

    rig: Rig
    raw: Raw
    site: Site
    session: str
    notes: dict[str, Any] = field(default_factory=dict)

    async def js(self, expression: str) -> Any:
        """Evaluate with Baton's eyes; None where the page does not answer in time."""
        try:
            return await asyncio.wait_for(self.rig.js(expression), 1.0)
        except TimeoutError:
            return None

    async def click(self) -> bool:
        """Click the button as an operator does; whether the page noticed."""
        before = await self.js("acts")
        box = await self.js("(r => [r.x + 5, r.y + 5])(document.querySelector('button').getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            params = {"type": kind, "x": box[0], "y": box[1], "button": "left", "clickCount": 1}
            await self.rig.pages.call(self.rig.page(), "Input.dispatchMouseEvent", params)
        await asyncio.sleep(0.05)
        return bool(await self.js("acts") == before + 1)

    async def ticks(self) -> bool:
        """Whether the page's timers run."""
        before = await self.js("ticks")
        await asyncio.sleep(0.3)
        return bool(await self.js("ticks") != before)

    async def fetches(self) -> bool:
        """Whether the page gets an answer from its site."""
        expression = (
            "Promise.race([fetch('/data?' + Math.random()).then(r => r.text().then(() => 1), () => 0), "
            "new Promise(r => setTimeout(r, 500, 0))])"
        )
        return bool(await self.js(expression))

    def sent(self, method: str, params: dict[str, Any]) -> bool:
        """Whether the gate sent this on the client's session since the last turn."""
        for line in b"".join(self.rig.written).split(b"\0"):
            message = json.loads(line or b"{}")
            if message.get("method") == method and message.get("sessionId") == self.session:
                sent = message["params"]
                if all(sent.get(k) == v for k, v in params.items()):
                    return True
        return False


type Check = Callable[[World], Awaitable[bool]]


@dataclass(frozen=True)
class Scenario:
    """One entry of the table: how it is armed, what must hold for the human, what must hold again for the agent."""

    entry: str
    arm: tuple[Command, ...]
    human: Check
    again: Check

    def __str__(self) -> str:
        return self.entry

    @property
    def by_pipe(self) -> bool:
        """Whether it is judged only by what was sent, not by what a page does."""
        return all(c is always or c.__qualname__.startswith("sends.") for c in (self.human, self.again))


def sends(method: str, **params: Any) -> Check:
    """The gate sent this command."""

    async def check(world: World) -> bool:
        return world.sent(method, params)

    return check


def no(check: Check) -> Check:
    """The opposite."""

    async def negated(world: World) -> bool:
        return not await check(world)

    return negated


def both(first: Check, second: Check) -> Check:
    """One and the other."""

    async def check(world: World) -> bool:
        return await first(world) and await second(world)

    return check


async def always(_world: World) -> bool:
    """Nothing to see."""
    return True


def says(expression: str, value: Any = True) -> Check:
    """The page says so to Baton."""

    async def check(world: World) -> bool:
        return bool(await world.js(expression) == value)

    return check


def replayed(method: str, **params: Any) -> Scenario:
    """What Network.disable would wipe is sent again at the return."""
    return Scenario(method, (("Network.enable", {}), (method, params)), always, sends(method, **params))


def switched(method: str, on: dict[str, Any], off: dict[str, Any]) -> Scenario:
    """What cannot be seen from a page: the switch is turned, and turned back."""
    return Scenario(method, ((method, on),), sends(method, **off), sends(method, **on))


async def buffers_dropped(world: World) -> bool:
    """A body the human's page loaded cannot be had afterwards; what is loaded then can."""
    page = world.rig.page()
    await world.rig.pages.call(page, "Network.enable")
    heard: list[str] = []
    end = world.rig.pages.on_event(
        lambda _p, _s, m, params: heard.append(params["requestId"]) if m == "Network.loadingFinished" else None
    )
    await world.fetches()
    await until(lambda: heard)
    end()
    world.notes["request"] = heard[0]
    return True


async def buffer_gone(world: World) -> bool:
    """See `buffers_dropped`."""
    await world.rig.pages.call(world.rig.page(), "Network.disable")
    try:
        await world.raw.call("Network.getResponseBody", {"requestId": world.notes["request"]}, world.session)
    except Refused:
        pass
    else:
        return False
    before = len(world.raw.named("Network.requestWillBeSent", world.session))
    await world.fetches()
    return len(world.raw.named("Network.requestWillBeSent", world.session)) > before


async def pauses(world: World) -> bool:
    """A `debugger` statement stops the page, and the agent is told."""
    before = len(world.raw.named("Debugger.paused"))
    await world.js("void setTimeout(() => { debugger })")
    await asyncio.sleep(0.15)
    if len(world.raw.named("Debugger.paused")) > before:
        await world.raw.call("Debugger.resume", {}, world.session)
        return True
    return False


async def requests_stop(world: World) -> bool:
    """A request waits for the agent, who is told."""
    before = len(world.raw.named("Fetch.requestPaused"))
    await world.js("void fetch('/data')")
    await asyncio.sleep(0.15)
    paused = world.raw.named("Fetch.requestPaused")[before:]
    for request in paused:
        await world.raw.call("Fetch.continueRequest", {"requestId": request["requestId"]}, world.session)
    return bool(paused)


async def scripts_run_after_load(world: World) -> bool:
    """The site's own scripts run in a new document."""
    await world.rig.goto(world.site.here + "/two")
    return bool(await world.js("typeof acts") == "number")


async def header_sent(world: World) -> bool:
    """The site sees the agent's header."""
    await world.fetches()
    return "agent" in world.site.headers[-1].get("X-Who", "")


async def screencast_goes_on(world: World) -> bool:
    """Frames come again."""
    before = len(world.raw.named("Page.screencastFrame"))
    await world.js("document.body.style.background = '#' + (acts + 3) + '00'")
    await asyncio.sleep(0.4)
    return len(world.raw.named("Page.screencastFrame")) > before


ANIMATES = (
    "Promise.race([document.body.animate({opacity: [0, 1]}, 50).finished.then(() => true), "
    "new Promise(r => setTimeout(r, 400, false))])"
)
COOKIE = "(document.cookie = 'seen=1', document.cookie.includes('seen'))"
OFFLINE = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


SCENARIOS = [
    Scenario("Network.enable", (("Network.enable", {}),), buffers_dropped, buffer_gone),
    Scenario(
        "Network.setExtraHTTPHeaders",
        (("Network.enable", {}), ("Network.setExtraHTTPHeaders", {"headers": {"X-Who": "agent"}})),
        always,
        header_sent,
    ),
    replayed("Network.setCacheDisabled", cacheDisabled=True),
    replayed("Network.setBypassServiceWorker", bypass=True),
    replayed("Network.setCookieControls", enableThirdPartyCookieRestriction=True),
    replayed("Network.setAttachDebugStack", enabled=True),
    replayed("Network.setUserAgentOverride", userAgent="An agent"),
    replayed("Network.enableReportingApi", enable=True),
    replayed("Network.configureDurableMessages", maxTotalBufferSize=1000),
    Scenario(
        "Network.emulateNetworkConditions",
        (("Network.enable", {}), ("Network.emulateNetworkConditions", OFFLINE)),
        World.fetches,
        no(World.fetches),
    ),
    Scenario(
        "Network.emulateNetworkConditionsByRule",
        (
            ("Network.enable", {}),
            (
                "Network.emulateNetworkConditionsByRule",
                {
                    "offline": True,
                    "matchedNetworkConditions": [
                        {"urlPattern": "", "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
                    ],
                },
            ),
        ),
        World.fetches,
        no(World.fetches),
    ),
    Scenario(
        "Network.overrideNetworkState",
        (("Network.enable", {}), ("Network.overrideNetworkState", OFFLINE)),
        says("navigator.onLine"),
        says("navigator.onLine", False),
    ),
    Scenario(
        "Network.setBlockedURLs",
        (("Network.enable", {}), ("Network.setBlockedURLs", {"urls": ["*"]})),
        World.fetches,
        no(World.fetches),
    ),
    Scenario("Fetch.enable", (("Fetch.enable", {}),), both(World.fetches, sends("Fetch.disable")), requests_stop),
    Scenario("Debugger.enable", (("Debugger.enable", {}),), sends("Debugger.setSkipAllPauses", skip=True), pauses),
    Scenario(
        "Debugger.setSkipAllPauses",
        (("Debugger.enable", {}), ("Debugger.setSkipAllPauses", {"skip": True})),
        always,
        no(pauses),
    ),
    Scenario(
        "Debugger.setBreakpointsActive",
        (("Debugger.enable", {}), ("Debugger.setBreakpointsActive", {"active": False})),
        always,
        no(pauses),
    ),
    Scenario(
        "Input.setIgnoreInputEvents", (("Input.setIgnoreInputEvents", {"ignore": True}),), World.click, no(World.click)
    ),
    switched("Input.setInterceptDrags", {"enabled": True}, {"enabled": False}),
    Scenario(
        "Emulation.setVirtualTimePolicy",
        (("Emulation.setVirtualTimePolicy", {"policy": "pause"}),),
        World.ticks,
        no(World.ticks),
    ),
    Scenario(
        "Emulation.setScriptExecutionDisabled",
        (("Emulation.setScriptExecutionDisabled", {"value": True}),),
        scripts_run_after_load,
        no(scripts_run_after_load),
    ),
    switched("Emulation.setEmitTouchEventsForMouse", {"enabled": True}, {"enabled": False}),
    switched("Emulation.setCPUThrottlingRate", {"rate": 3}, {"rate": 1}),
    Scenario(
        "Emulation.setDocumentCookieDisabled",
        (("Emulation.setDocumentCookieDisabled", {"disabled": True}),),
        says(COOKIE),
        says(COOKIE, False),
    ),
    switched("Emulation.setDisabledImageTypes", {"imageTypes": ["webp"]}, {"imageTypes": []}),
    Scenario(
        "Animation.setPlaybackRate",
        (("Animation.enable", {}), ("Animation.setPlaybackRate", {"playbackRate": 0})),
        says(ANIMATES),
        says(ANIMATES, False),
    ),
    switched("Page.setWebLifecycleState", {"state": "frozen"}, {"state": "active"}),
    switched("Page.setInterceptFileChooserDialog", {"enabled": True}, {"enabled": False}),
    switched("Page.setSPCTransactionMode", {"mode": "autoAccept"}, {"mode": "none"}),
    switched("Page.setRPHRegistrationMode", {"mode": "autoAccept"}, {"mode": "none"}),
    switched("Browser.setDownloadBehavior", {"behavior": "deny"}, {"behavior": "allow"}),
    switched("Page.setDownloadBehavior", {"behavior": "deny"}, {"behavior": "allow"}),
    Scenario(
        "Page.startScreencast",
        (("Page.enable", {}), ("Page.startScreencast", {"format": "jpeg", "maxFramesInFlight": 1})),
        sends("Page.stopScreencast"),
        screencast_goes_on,
    ),
    Scenario(
        "Security.setOverrideCertificateErrors",
        (("Security.enable", {}), ("Security.setOverrideCertificateErrors", {"override": True})),
        sends("Security.setOverrideCertificateErrors", override=False),
        sends("Security.setOverrideCertificateErrors", override=True),
    ),
    Scenario("FedCm.enable", (("FedCm.enable", {}),), sends("FedCm.disable"), sends("FedCm.enable")),
    Scenario(
        "DeviceAccess.enable",
        (("DeviceAccess.enable", {}),),
        sends("DeviceAccess.disable"),
        sends("DeviceAccess.enable"),
    ),
    Scenario(
        "Overlay.enable",
        (("DOM.enable", {}), ("Overlay.enable", {})),
        sends("Overlay.disable"),
        sends("Overlay.enable"),
    ),
    Scenario(
        "Overlay.setInspectMode",
        (
            ("DOM.enable", {}),
            ("Overlay.enable", {}),
            ("Overlay.setInspectMode", {"mode": "searchForNode", "highlightConfig": {}}),
        ),
        World.click,
        sends("Overlay.setInspectMode", mode="searchForNode"),
    ),
    Scenario(
        "Target.setAutoAttach",
        (("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}),),
        sends("Target.setAutoAttach", waitForDebuggerOnStart=False),
        sends("Target.setAutoAttach", waitForDebuggerOnStart=True),
    ),
]


async def turn(scenario: Scenario, rig: Rig, raw: Raw, site: Site) -> tuple[bool, bool]:
    """Arm it, let a human look, give control back, look again."""
    session = await raw.page(rig.page().target)
    world = World(rig, raw, site, session)
    for method, params in scenario.arm:
        await raw.call(method, params, session)
    rig.written.clear()
    await rig.shut()
    human = await scenario.human(world)
    rig.written.clear()
    await rig.open()
    return human, await scenario.again(world)


async def test_conditions_of_breakpoints_do_not_run_meanwhile(rig: Rig, raw: Raw, site: Site) -> None:
    """A breakpoint's condition is the agent's code: it runs neither in the human's page nor in one loaded then."""
    session = await raw.page(rig.page().target)
    await raw.call("Debugger.enable", {}, session)
    before, _, _ = PAGES["/"].partition("setInterval")
    place = {"lineNumber": before.count("\n"), "columnNumber": len(before.rpartition("\n")[2])}
    params = {"urlRegex": ".*", **place, "condition": "(window.overheard = 1, false)"}
    await raw.call("Debugger.setBreakpointByUrl", params, session)
    await rig.goto(site.here + "/")
    assert await rig.js("window.overheard") == 1
    assert rig.gate.agent_code_present(rig.page().target)
    await rig.shut()
    await rig.goto(site.here + "/two")
    assert await rig.js("typeof overheard") == "undefined"
    assert not rig.gate.agent_code_present(rig.page().target)
    await rig.open()
    await rig.goto(site.here + "/")
    assert await rig.js("window.overheard") == 1


async def test_bodies_kept_outside_the_page_are_dropped(rig: Rig, raw: Raw) -> None:
    """Durable messages keep no body of what the human's pages load, however they were asked for."""
    limits = {"maxTotalBufferSize": 1_000_000, "maxResourceBufferSize": 1_000_000}
    session = await raw.page(rig.page().target)
    await raw.call("Network.enable", {"enableDurableMessages": True, **limits}, session)
    await raw.call("Network.configureDurableMessages", limits, session)
    world = World(rig, raw, Site("", ""), session)
    await rig.shut()
    assert await buffers_dropped(world)
    await rig.open()
    with pytest.raises(Refused):
        await raw.call("Network.getResponseBody", {"requestId": world.notes["request"]}, session)
    await rig.pages.call(rig.page(), "Network.disable")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
async def test_suspended_and_restored(rig: Rig, raw: Raw, site: Site, scenario: Scenario) -> None:
    """What the agent armed does not touch the human, and is armed again at the return."""
    assert await turn(scenario, rig, raw, site) == (True, True)


def needed() -> list[Any]:
    """Every scenario; those that only look at the pipe in the full suite."""
    return [pytest.param(s, id=s.entry, marks=[pytest.mark.full] if s.by_pipe else []) for s in SCENARIOS]


@pytest.mark.parametrize("scenario", needed())
async def test_each_entry_is_needed(rig: Rig, raw: Raw, site: Site, scenario: Scenario) -> None:
    """Without its entry in the table the test above fails."""
    await raw.close()
    rig.gate._shared.standing = standing_table().without(scenario.entry)
    fresh = Raw(await websockets.connect(rig.url))
    try:
        assert await turn(scenario, rig, fresh, site) != (True, True)
    finally:
        await fresh.close()


async def test_every_entry_has_a_scenario() -> None:
    """Nobody adds an entry without showing what it is for."""
    assert {s.entry for s in SCENARIOS} | {"Target.autoAttachRelated"} == set(standing_table().records)


async def test_scripts_and_bindings(rig: Rig, raw: Raw, site: Site) -> None:
    """New-document scripts and bindings are away while a human drives; the client's own names for them stay good."""
    session = await raw.page(rig.page().target)
    for method in ("Page.enable", "Runtime.enable"):
        await raw.call(method, {}, session)
    source = {"source": "window.planted = (window.planted || 0) + 1"}
    first = (await raw.call("Page.addScriptToEvaluateOnNewDocument", source, session))["identifier"]
    second = (await raw.call("Page.addScriptToEvaluateOnNewDocument", {"source": "window.other = 1"}, session))[
        "identifier"
    ]
    await raw.call("Runtime.addBinding", {"name": "tell"}, session)
    await rig.shut()
    await rig.goto(site.here + "/two")
    assert await rig.js("typeof planted + typeof other") == "undefinedundefined"
    await rig.js("window.tell && tell('secret')")
    assert await rig.open() == ("init scripts did not run in documents loaded meanwhile; reload where they are needed",)

    await rig.goto(site.here + "/")
    assert await rig.js("planted + other") == 2
    await rig.js("tell('open')")
    await until(lambda: raw.named("Runtime.bindingCalled"))
    assert [b["payload"] for b in raw.named("Runtime.bindingCalled")] == ["open"]
    third = (await raw.call("Page.addScriptToEvaluateOnNewDocument", source, session))["identifier"]
    assert len({first, second, third}) == 3
    await raw.call("Page.removeScriptToEvaluateOnNewDocument", {"identifier": first}, session)
    await raw.call("Page.removeScriptToEvaluateOnNewDocument", {"identifier": second}, session)
    await rig.goto(site.here + "/two")
    assert await rig.js("[planted, typeof other].join()") == "1,undefined"


async def test_worlds_are_made_again(rig: Rig, raw: Raw, site: Site) -> None:
    """An isolated world of a new-document script exists in documents that were loaded meanwhile, and is told."""
    session = await raw.page(rig.page().target)
    for method in ("Page.enable", "Runtime.enable"):
        await raw.call(method, {}, session)
    await raw.call("Page.getFrameTree", {}, session)
    await raw.call("Page.addScriptToEvaluateOnNewDocument", {"source": "// nothing", "worldName": "utility"}, session)
    await rig.shut()
    await rig.goto(site.here + "/two")
    raw.events.clear()
    assert await rig.open() == ()

    await until(lambda: "utility" in [c["context"]["name"] for c in raw.named("Runtime.executionContextCreated")])
    world = next(
        c["context"] for c in raw.named("Runtime.executionContextCreated") if c["context"]["name"] == "utility"
    )
    result = await raw.call("Runtime.evaluate", {"expression": "document.title", "contextId": world["id"]}, session)
    assert result["result"]["value"] == "Two"


async def test_paused_request_is_let_go(rig: Rig, raw: Raw, site: Site) -> None:
    """A request that waits for the agent goes on at the close, so that what waits for it can still finish."""
    session = await raw.page(rig.page().target)
    await raw.call("Fetch.enable", {}, session)
    going = await raw.start("Page.navigate", {"url": site.here + "/two"}, session)
    await until(lambda: raw.named("Fetch.requestPaused"))

    assert await rig.shut(drain_s=3) == ()
    assert "result" in await going
    await until(lambda: rig.page().url.endswith("/two"))


async def test_basic_auth_is_let_go(rig: Rig, raw: Raw, site: Site) -> None:
    """A page that waits for the agent's password is let go at the close: the question becomes the operator's."""
    session = await raw.page(rig.page().target)
    await raw.call("Fetch.enable", {"handleAuthRequests": True}, session)
    await raw.start("Runtime.evaluate", {"expression": "void fetch('/locked')"}, session)
    paused = await until(lambda: raw.named("Fetch.requestPaused"))
    await raw.call("Fetch.continueRequest", {"requestId": paused[0]["requestId"]}, session)
    await until(lambda: raw.named("Fetch.authRequired"))
    rig.written.clear()
    await rig.shut(drain_s=0.1)

    answers = [json.loads(w[:-1])["params"] for w in rig.written if b"Fetch.continueWithAuth" in w]
    assert [a["authChallengeResponse"] for a in answers] == [{"response": "Default"}]


async def test_paused_debugger_is_let_go(rig: Rig, raw: Raw) -> None:
    """A page that stands at a breakpoint of the agent runs for the human, and the agent is not left waiting."""
    session = await raw.page(rig.page().target)
    await raw.call("Debugger.enable", {}, session)
    answer = await raw.start("Runtime.evaluate", {"expression": "debugger; 7"}, session)
    await until(lambda: raw.named("Debugger.paused"))

    assert await rig.shut(drain_s=3) == ()
    assert (await answer)["result"]["result"]["value"] == 7


async def test_waiting_window_is_let_run(rig: Rig, raw: Raw) -> None:
    """A window that waits for the agent, and one opened by the human, run."""
    session = await raw.page(rig.page().target)
    auto = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
    await raw.call("Target.setAutoAttach", auto)
    opener = rig.page()
    opening = asyncio.create_task(rig.js("!!window.open('/popup')", opener))
    await until(lambda: [t for t in raw.named("Target.attachedToTarget") if t["waitingForDebugger"]])
    await rig.shut()

    assert await asyncio.wait_for(opening, 5) is True
    assert await asyncio.wait_for(rig.js("!!window.open('/popup')", opener), 5) is True
    await until(lambda: len(rig.pages.all) == 3)
    assert session
    await rig.open()
    await until(
        lambda: (
            len(
                {t["targetInfo"]["targetId"] for t in raw.named("Target.attachedToTarget")}
                & {p.target for p in rig.pages.all}
            )
            == 3
        )
    )
