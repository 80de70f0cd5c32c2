"""Carrying out effects: one task per sandbox, in order, each until the keeper has confirmed it.

A keeper that does not answer is asked again with growing pauses while the agent stays stopped; a keeper that has
ended closes the sandbox.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from agent_bridge.control.events import (
    AgentCode,
    BrowserDied,
    CloseGate,
    Complete,
    Diff,
    Diffed,
    Effect,
    Event,
    GateClosed,
    GateOpened,
    OpenGate,
    PushControl,
)
from agent_bridge.control.ports import Images, Keepers, SandboxLink
from agent_bridge.control.room import Room
from agent_bridge.control.words import ControlSettings, Handoff, Json, Phase
from sandbox.words import BatonError, Gone, HandoffId, Side, Unavailable

log = structlog.get_logger(__name__)

PICTURES: Final = ("before", "after")


@dataclass(frozen=True, slots=True)
class Runner:
    """Empties a room's effects. `apply` feeds the answer back as an event; `trouble` is told when it changes."""

    keepers: Keepers
    images: Images
    settings: ControlSettings
    apply: Callable[[Room, Event], Awaitable[object]]
    trouble: Callable[[Room, str | None], Awaitable[None]]

    def start(self, room: Room) -> None:
        """Make sure somebody works on the room's effects."""
        if room.effects and (room.runner is None or room.runner.done()):
            room.runner = asyncio.create_task(self._run(room), name=f"control-{room.control.sandbox}")

    async def _run(self, room: Room) -> None:
        tries = 0
        while room.effects:
            effect = room.effects[0]
            if not room.stale(effect):
                try:
                    await self._perform(room, effect)
                except Gone as error:
                    await self._died(room, error)
                except Exception as error:
                    if not isinstance(error, BatonError | TimeoutError | OSError):
                        log.exception("control.bug", sandbox=room.control.sandbox, effect=type(effect).__name__)
                    await self._pause(room, effect, error, tries)
                    tries += 1
                    continue
            if room.effects and room.effects[0] is effect:
                room.effects.popleft()
            tries = 0
            if room.trouble is not None:
                await self.trouble(room, None)

    async def _died(self, room: Room, error: Gone) -> None:
        if room.control.phase is not Phase.CLOSED:
            with contextlib.suppress(Gone):
                await self.apply(room, BrowserDied(error.message))

    async def _pause(self, room: Room, effect: Effect, error: Exception, tries: int) -> None:
        if isinstance(error, BatonError):
            reason = str(error)
        elif isinstance(error, TimeoutError | OSError):
            reason = "the keeper did not answer in time"
        else:
            reason = f"the server failed: {type(error).__name__}"
        log.warning("control.trouble", sandbox=room.control.sandbox, effect=type(effect).__name__, reason=reason)
        sentence = f"the sandbox does not answer ({reason}); the agent stays stopped"
        if room.trouble != sentence:
            await self.trouble(room, sentence)
        pauses = self.settings.retry_s
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(room.hurry.wait(), pauses[min(tries, len(pauses) - 1)])
        room.hurry.clear()

    async def _perform(self, room: Room, effect: Effect) -> None:
        link = self.keepers.link(room.control.sandbox)
        match effect:
            case CloseGate():
                await self._close(room, link, effect)
            case PushControl(epoch, holder, since, handoff):
                secret = handoff is not None and handoff.secret
                async with asyncio.timeout(self.settings.keeper_s):
                    tabs = await link.control_push(
                        epoch=epoch, holder=holder, since=since, secret=secret, handoff=handoff.id if handoff else None
                    )
                if tabs and room.control.phase is Phase.HELD and room.control.epoch == epoch:
                    await self.apply(room, AgentCode(epoch, tuple(tabs)))
                room.acknowledged = max(room.acknowledged, epoch)
                room.changed()
                if handoff is not None and handoff.condition is not None and holder.side is Side.OPERATOR:
                    await self._watch(link, handoff.id, handoff.condition)
            case Diff(handoff):
                await self.apply(room, await self._diff(link, handoff))
            case OpenGate(epoch, since):
                async with asyncio.timeout(self.settings.keeper_s):
                    answer = await link.gate_open(epoch=epoch, since=since)
                room.acknowledged = max(room.acknowledged, epoch)
                room.changed()
                if room.control.phase is Phase.OPENING and room.control.epoch == epoch:
                    await self.apply(room, GateOpened(epoch, tuple(answer["notes"]), answer.get("stale") or {}))
            case Complete(handoff):
                await self._complete(link, handoff)
            case _:  # Check and Notify never wait in this queue
                log.error("control.stray_effect", effect=type(effect).__name__)

    async def _watch(self, link: SandboxLink, handoff: HandoffId, condition: Json) -> None:
        try:
            async with asyncio.timeout(self.settings.keeper_s):
                await link.watch(handoff, condition)
        except (BatonError, TimeoutError) as error:
            # The operator works without it; what holds is looked at again when they are done.
            log.warning("control.no_watch", handoff=handoff, reason=str(error) or type(error).__name__)

    async def _close(self, room: Room, link: SandboxLink, effect: CloseGate) -> None:
        drain = self.settings.drain_s
        async with asyncio.timeout(self.settings.keeper_s + drain):
            unknown = await link.gate_close(epoch=effect.epoch, holder=effect.holder, since=effect.since, drain_s=drain)
        page: Json = {}
        try:
            async with asyncio.timeout(self.settings.keeper_s):
                page = await link.mark(effect.handoff.id)
        except (Gone, Unavailable):
            raise
        except (BatonError, TimeoutError) as error:
            # A page that cannot be read is no reason to keep the human from it; the diff will say so.
            log.warning("control.no_snapshot", sandbox=room.control.sandbox, reason=str(error))
        room.acknowledged = max(room.acknowledged, effect.epoch)
        url, title = str(page.get("url") or ""), str(page.get("title") or "")
        await self.apply(room, GateClosed(effect.epoch, tuple(unknown), url, title))

    async def _diff(self, link: SandboxLink, handoff: Handoff) -> Diffed:
        try:
            async with asyncio.timeout(self.settings.keeper_s):
                answer = await link.diff(handoff.id)
        except (Gone, Unavailable):
            raise
        except (BatonError, TimeoutError) as error:
            why = str(error) or "the page did not answer in time"
            return Diffed({}, f"What changed could not be compared ({why}). Look at the page again before you act.")
        names = await self._keep_images(handoff.id, answer.get("images") or {})
        return Diffed(answer.get("diff") or {}, str(answer.get("text") or ""), names)

    async def _keep_images(self, handoff: HandoffId, images: dict[str, Any]) -> tuple[str, ...]:
        kept = []
        for name in PICTURES:
            if not images.get(name):
                continue
            try:
                await self.images.save(handoff, name, base64.b64decode(images[name], validate=True))
            except (OSError, binascii.Error, TypeError) as error:
                log.warning("control.no_image", handoff=handoff, image=name, reason=type(error).__name__)
            else:
                kept.append(name)
        return tuple(kept)

    async def _complete(self, link: SandboxLink, handoff: Handoff) -> None:
        # Whoever asked over REST hears it there; a CDP client that is gone asks again by id.
        try:
            async with asyncio.timeout(self.settings.keeper_s):
                await link.handoff_completed(handoff.id, handoff.result or {})
        except (BatonError, TimeoutError, OSError) as error:
            log.info("control.not_told", handoff=handoff.id, reason=str(error) or type(error).__name__)
