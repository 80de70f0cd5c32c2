"""Figures for Prometheus. Gauges are read when they are scraped; counters and histograms follow what happens.

Labels come from the words (states, outcomes, kinds, route templates), never from callers: their number is bounded.
"""

from __future__ import annotations

import json
import time
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_bridge.control.words import Handoff

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30)
_PONG: Final = '{"t":"pong"'
LONG: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(slots=True)
class Metrics:
    """All figures of one server, in a registry of their own."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    sandboxes: Gauge = field(init=False)
    open_handoffs: Gauge = field(init=False)
    viewers: Gauge = field(init=False)
    agents: Gauge = field(init=False)
    handoffs: Counter = field(init=False)
    transitions: Counter = field(init=False)
    refused: Counter = field(init=False)
    notifications: Counter = field(init=False)
    requests: Histogram = field(init=False)
    waited: Histogram = field(init=False)
    drove: Histogram = field(init=False)
    stream: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Register everything."""
        to = self.registry
        self.sandboxes = Gauge("baton_sandboxes", "Sandboxes by control phase.", ["state"], registry=to)
        self.open_handoffs = Gauge("baton_handoffs_open", "Open handoffs by state.", ["state"], registry=to)
        self.viewers = Gauge("baton_viewers", "Operators' live sockets.", registry=to)
        self.agents = Gauge("baton_agents", "Agents' CDP sockets.", registry=to)
        self.handoffs = Counter("baton_handoffs", "Handoffs that ended.", ["kind", "outcome"], registry=to)
        self.transitions = Counter("baton_control_transitions", "Changes of control by phase.", ["to"], registry=to)
        self.refused = Counter("baton_commands_refused", "Agents' commands the gates refused.", registry=to)
        self.notifications = Counter("baton_notifications", "Tries to notify.", ["result"], registry=to)
        self.stream = Counter(
            "baton_stream_samples", "How pictures were made, sampled with each viewer's ping.",
            ["mode", "scene", "network", "way"], registry=to,
        )  # fmt: skip
        self.requests = Histogram(
            "baton_request_seconds", "Time to answer.", ["method", "route", "status"], buckets=BUCKETS, registry=to
        )
        self.waited = Histogram("baton_handoff_waited_seconds", "From asking to claim.", buckets=LONG, registry=to)
        self.drove = Histogram("baton_handoff_drove_seconds", "From claim to outcome.", buckets=LONG, registry=to)

    def relayed(self, message: str | bytes) -> None:
        """Note what a keeper tells a viewer of the controller's decision."""
        if isinstance(message, str) and message.startswith(_PONG):
            decision = json.loads(message).get("decision")
            if decision:
                labels = (decision["mode"], decision["scene"], decision["network"], decision["way"])
                self.stream.labels(*labels).inc()

    def ended(self, handoff: Handoff) -> None:
        """Count a handoff that is over."""
        result = handoff.result or {}
        self.handoffs.labels(handoff.kind.value, handoff.state.value).inc()
        self.waited.observe(float(result.get("waited_s") or 0))
        self.drove.observe(float(result.get("duration_s") or 0))

    def scrape(self, phases: Iterable[str], states: Iterable[str]) -> bytes:
        """Return the text exposition, with gauges set to these sandboxes' phases and open handoffs' states."""
        _set(self.sandboxes, Tally(phases))
        _set(self.open_handoffs, Tally(states))
        return generate_latest(self.registry)


def _set(gauge: Gauge, counts: Mapping[str, int]) -> None:
    gauge.clear()
    for label, number in counts.items():
        gauge.labels(label).set(number)


class TimeRequests:
    """Measures every HTTP request but those that wait on purpose, by route template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or b"wait_s=" in scope.get("query_string", b""):
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = _template(scope)
            method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PATCH", "DELETE"} else "other"
            self.metrics.requests.labels(method, route, str(status)).observe(time.perf_counter() - started)


def _template(scope: Scope) -> str:
    """Return a request's path with its parameters' names in place of their values.

    A router that includes another leaves only its inner path in the scope, so the template is made from the outside.
    """
    if "endpoint" not in scope:
        return "none"
    path: str = scope["path"]
    if path.startswith("/static/"):
        return "/static"
    for name, value in reversed(scope.get("path_params", {}).items()):
        before, found, after = path.rpartition(f"/{value}")
        path = f"{before}/{{{name}}}{after}" if found else path
    return path
