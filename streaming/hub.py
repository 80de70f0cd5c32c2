"""One sandbox's stream: one encoder thread, any number of viewers.

The thread sleeps in `Screen.wait` until something is painted, takes the newest picture and composes it once for each
rendition that a viewer needs (usually one); the event loop hands the frames out. Nothing is composed while nobody
watches or nothing changed. Pictures are dropped before they are composed, by the pace of the viewer that drives; a
viewer that cannot follow it moves to a rendition of its own pace.

While something secret is on screen (`ScreenListener.on_masks`) whoever does not hold control is moved to a masked
rendition. A picture reaches such a viewer only if no mask changed between the grab and the sending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from sandbox.screen import Cursor, Picture, Prompt, PromptAnswer, Rect, ReleaseAll, Screen, Tab
from sandbox.words import (
    NOBODY,
    BatonError,
    Clock,
    Epoch,
    Gone,
    Holder,
    OperatorId,
    SandboxId,
    Side,
    ViewerId,
    new_id,
)
from streaming import protocol
from streaming.composer import blank
from streaming.control import Decision, Mode
from streaming.damage import Damage
from streaming.pacing import StreamSettings, Way
from streaming.protocol import Ack, Hear, Hello, Input, Ping, Up, Visible, WantKeyFrame, WayReport
from streaming.rendition import Cut, Job, Rendition, Variant
from streaming.sound import Listener, Sound, SoundSource, SoundStatistics
from streaming.viewer import Viewer, ViewerStatistics

_IDLE_S: Final = 1.0
_LATE_S: Final = 0.02
_MAX_DELAYS: Final = 5
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """One hub's counters. `grabs` and `encoded` stand still while nothing changes or nobody watches."""

    viewers: tuple[ViewerStatistics, ...]
    renditions: int
    grabs: int
    encoded: int
    bytes: int
    fps: float
    encode_ms: float
    decisions: tuple[Decision, ...]
    sound: SoundStatistics


class StreamHub:
    """The stream of one `Screen`. Make it on the keeper's event loop; end it with `close`."""

    def __init__(
        self,
        screen: Screen,
        clock: Clock,
        settings: StreamSettings | None = None,
        *,
        sandbox: SandboxId | str = "",
        on_activity: Callable[[OperatorId], None] | None = None,
        sound: SoundSource | None = None,
    ) -> None:
        self._screen = screen
        self._clock = clock
        self._settings = settings or StreamSettings()
        self._sandbox = sandbox
        self._on_activity = on_activity
        self._loop = asyncio.get_running_loop()
        self._viewers: list[Viewer] = []
        self._sound = Sound(sound, clock)
        self._ears: dict[Viewer, Listener] = {}
        self._active_at: dict[OperatorId, float] = {}
        self._held: deque[tuple[Rendition, Cut, float]] = deque()
        self._holder, self._epoch = NOBODY, Epoch(0)
        self._cursor, self._tabs, self._prompts = Cursor(b"", 0, 0), tuple[Tab, ...](), tuple[Prompt, ...]()
        self._ended: BatonError | None = None
        # shared with the encoder thread, under the lock
        self._lock = threading.Lock()
        self._renditions: dict[Variant, Rendition] = {}
        self._masks: tuple[Rect, ...] = ()
        self._mask_generation = 0
        self._stopping = False
        self._work = threading.Event()
        self._thread: threading.Thread | None = None
        # the encoder thread's own
        self._picture: Picture | None = None
        self._grabbed_generation = 0
        self._painted = Damage(screen.size)
        self._started = clock.monotonic()
        self._frame = self._grabs = self._encoded = self._bytes = 0
        self._recent: list[float] = []
        self._end_listening = screen.listen(self)

    def __repr__(self) -> str:
        return f"<StreamHub {self._sandbox} viewers={len(self._viewers)} renditions={len(self._renditions)}>"

    # -- one viewer ---------------------------------------------------------------------------------------------

    async def serve(self, socket: ServerConnection, query: Mapping[str, str]) -> None:
        """Serve one viewer until its socket closes. `query` names `viewer`, `operator` and `name`.

        Whoever calls has decided that this operator may look; input passes only where the screen's fence lets it.
        """
        viewer = Viewer(
            socket, ViewerId(query.get("viewer") or new_id("vw")), OperatorId(query.get("operator", "")),
            query.get("name", ""), self._settings.window,
        )  # fmt: skip
        if self._ended is not None:
            await viewer.close(self._ended.kind, self._ended.message)
            return
        self._viewers.append(viewer)
        self._ears[viewer] = Listener(viewer.say, viewer.hear, lambda: not self._masks or self._holds(viewer))
        self._greet(viewer)
        tasks = [
            asyncio.create_task(viewer.write()),
            asyncio.create_task(viewer.act(lambda what: self._do(viewer, what))),
        ]
        try:
            await viewer.read(lambda what: self._hear(viewer, what), self._settings.bad_messages)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(ConnectionClosed):
                await asyncio.gather(*tasks, return_exceptions=True)
            await self._leave(viewer)

    def _greet(self, viewer: Viewer) -> None:
        viewer.say(protocol.say_hello(self._sandbox, viewer.id, self._screen.size))
        viewer.say(protocol.say_control(self._holder, self._epoch, self._holds(viewer)))
        viewer.say(protocol.say_cursor(self._cursor))
        viewer.say(protocol.say_tabs(self._tabs))
        viewer.say(protocol.say_prompts(self._prompts if self._holds(viewer) else ()))

    async def _leave(self, viewer: Viewer) -> None:
        self._viewers.remove(viewer)
        self._sound.leave(self._ears.pop(viewer))
        viewer.pictures = ()
        self._assign(viewer)
        if self._holds(viewer):
            # keys that were down when the connection broke must not stay down
            with contextlib.suppress(BatonError):
                await self._screen.inject(ReleaseAll(), viewer.operator, self._epoch)

    def _hear(self, viewer: Viewer, what: Up) -> None:
        match what:
            case Input():
                viewer.queue(what)
            case Ack():
                viewer.note(decode_ms=what.decode_ms)
                self._acknowledged(viewer, what)
            case Ping():
                viewer.note(rtt_ms=what.rtt_ms)
                self._pong(viewer, what.count)
            case Hello():
                viewer.pictures = what.pictures
                viewer.began(what.opened_ms)
                self._assign(viewer)
            case WayReport():
                viewer.report(what)
                self._repace()
            case Hear():
                self._sound.turn(self._ears[viewer], what.on)
            case Visible():
                viewer.visible = what.on
                self._assign(viewer)
            case WantKeyFrame():
                viewer.forget_pictures()
                self._want_key(viewer)

    def _pong(self, viewer: Viewer, count: float) -> None:
        rendition = self._renditions.get(viewer.variant) if viewer.variant else None
        decision = rendition.decision.to_wire() if rendition else None
        viewer.say(protocol.say_pong(count, self._fps(), self._encode_ms(), len(self._viewers), decision))

    async def _do(self, viewer: Viewer, what: Input) -> None:
        if isinstance(what.event, PromptAnswer):
            await self._screen.answer(what.event, viewer.operator, what.epoch)
        else:
            await self._screen.inject(what.event, viewer.operator, what.epoch)
        now = self._clock.monotonic()
        if self._on_activity and now - self._active_at.get(viewer.operator, -1e9) >= self._settings.activity_s:
            self._active_at[viewer.operator] = now
            self._on_activity(viewer.operator)

    # -- who sees what ------------------------------------------------------------------------------------------

    def _holds(self, viewer: Viewer) -> bool:
        return self._holder.side is Side.OPERATOR and self._holder.operator == viewer.operator

    def _variant(self, viewer: Viewer) -> Variant | None:
        if not viewer.pictures or not viewer.visible or self._ended is not None:
            return None
        return Variant(viewer.pictures[0], bool(self._masks) and not self._holds(viewer), viewer.slow)

    def _assign(self, viewer: Viewer) -> None:
        """Move a viewer to the rendition it should see now; nothing of the one before reaches it any more."""
        variant = self._variant(viewer)
        if variant == viewer.variant:
            return
        viewer.variant = variant
        viewer.forget_pictures()
        if variant is not None:
            self._want_key(viewer)
        wanted = {other.variant for other in self._viewers}
        with self._lock:
            for stale in [known for known in self._renditions if known not in wanted]:
                del self._renditions[stale]
            if not self._renditions:
                self._work.clear()
        self._repace()
        self._screen.wake()

    def _want_key(self, viewer: Viewer) -> None:
        if viewer.variant is None:
            return
        with self._lock:
            rendition = self._renditions.get(viewer.variant)
            if rendition is None:
                self._renditions[viewer.variant] = Rendition(viewer.variant, self._screen.size, self._settings)
            else:
                rendition.want_join()
            self._work.set()
        self._start()
        self._repace()
        self._screen.wake()

    def _leading(self, variant: Variant, now: float) -> list[Viewer]:
        """Return the viewers that set a rendition's pace: who drives, else all that are not stuck."""
        watching = [viewer for viewer in self._viewers if viewer.variant == variant]
        live = [viewer for viewer in watching if not viewer.window.hung(now)]
        return [viewer for viewer in live if self._holds(viewer)] or live or watching

    def _repace(self) -> None:
        """Let each rendition go on while those that set its pace can take a picture, and know the way to them."""
        now = self._clock.monotonic()
        freed = False
        driven = self._holder.side is Side.OPERATOR
        for variant, rendition in list(self._renditions.items()):
            leading = self._leading(variant, now)
            rendition.mode = Mode.DRIVE if driven else Mode.WATCH
            rendition.way = _worst([viewer.way for viewer in leading])
            decision = rendition.decision
            for viewer in leading:
                viewer.window.limit(decision.frames, decision.in_flight)
            every = all if variant.slow else any
            is_open = every(viewer.window.open for viewer in leading)
            freed |= is_open and not rendition.open
            rendition.open = is_open
        if freed:
            self._screen.wake()

    def _acknowledged(self, viewer: Viewer, what: Ack) -> None:
        viewer.window.shown(what.frame, self._clock.monotonic(), (what.decode_ms or 0.0) / 1000)
        rendition = self._renditions.get(viewer.variant) if viewer.variant else None
        if self._holds(viewer) or (rendition is not None and not rendition.open):
            self._repace()

    # -- what the screen says (on the loop) ---------------------------------------------------------------------

    def on_cursor(self, cursor: Cursor) -> None:
        """See `ScreenListener`."""
        self._cursor = cursor
        self._tell(protocol.say_cursor(cursor))

    def on_tabs(self, tabs: Sequence[Tab]) -> None:
        """See `ScreenListener`."""
        self._tabs = tuple(tabs)
        self._tell(protocol.say_tabs(tabs))

    def on_prompts(self, prompts: Sequence[Prompt]) -> None:
        """See `ScreenListener`."""
        self._prompts = tuple(prompts)
        self._tell_holder(protocol.say_prompts(prompts))

    def on_clipboard(self, text: str) -> None:
        """See `ScreenListener`."""
        self._tell_holder(protocol.say_clipboard(text))

    def on_masks(self, masks: Sequence[Rect]) -> None:
        """See `ScreenListener`: from this call on nobody but the holder is sent a picture taken before it."""
        if tuple(masks) == self._masks:
            return
        with self._lock:
            self._masks = tuple(masks)
            self._mask_generation += 1
            for rendition in self._renditions.values():
                rendition.damage.all()
        for viewer in self._viewers:
            self._assign(viewer)
            if viewer.variant is not None and not self._holds(viewer):
                viewer.forget_pictures()
                self._want_key(viewer)
        self._screen.wake()

    def on_control(self, holder: Holder, epoch: Epoch) -> None:
        """See `ScreenListener`: masks apply at once to whoever lost control."""
        held = [viewer for viewer in self._viewers if self._holds(viewer)]
        self._holder, self._epoch = holder, epoch
        for viewer in self._viewers:
            mine = self._holds(viewer)
            viewer.slow = viewer.slow and not mine
            viewer.say(protocol.say_control(holder, epoch, mine))
            if mine != (viewer in held):
                viewer.say(protocol.say_prompts(self._prompts if mine else ()))
            self._assign(viewer)
        self._repace()
        self._screen.wake()

    def _tell(self, message: str) -> None:
        for viewer in self._viewers:
            viewer.say(message)

    def _tell_holder(self, message: str) -> None:
        for viewer in self._viewers:
            if self._holds(viewer):
                viewer.say(message)

    # -- pictures on their way (on the loop) --------------------------------------------------------------------

    def _deliver(self, rendition: Rendition, cut: Cut) -> None:
        if cut.variant.masked and self._settings.mask_hold_s > 0:
            self._held.append((rendition, cut, self._loop.time() + self._settings.mask_hold_s))
            if len(self._held) == 1:
                self._loop.call_at(self._held[0][2], self._release, 0)
        else:
            self._hand_out(rendition, cut)

    def _release(self, delays: int) -> None:
        """Let watchers have what was held long enough, in its order."""
        now = self._loop.time()
        if self._held and now - self._held[0][2] > _LATE_S and delays < _MAX_DELAYS:
            # the loop stood still, and with it whoever would have told of a mask: in doubt, hold on
            self._loop.call_later(self._settings.mask_hold_s, self._release, delays + 1)
            until = now + self._settings.mask_hold_s
            self._held = deque((rendition, cut, until) for rendition, cut, _ in self._held)
            return
        while self._held and self._held[0][2] <= now:
            self._hand_out(*self._held.popleft()[:2])
        if self._held:
            self._loop.call_at(self._held[0][2], self._release, 0)

    def _hand_out(self, rendition: Rendition, cut: Cut) -> None:
        if self._renditions.get(cut.variant) is not rendition:
            return  # it ended, and what took its place knows nothing of this frame
        now = self._clock.monotonic()
        lagging = []
        for viewer in [viewer for viewer in self._viewers if viewer.variant == cut.variant]:
            if viewer.awaits_key != cut.key:
                continue
            if not self._holds(viewer) and cut.mask_generation != self._mask_generation:
                viewer.forget_pictures()
                self._want_key(viewer)
                continue
            if not cut.key and not self._holds(viewer) and viewer.lags(now):
                lagging.append(viewer)
                continue
            viewer.awaits_key = False
            viewer.show(cut, now)
        for viewer in lagging:
            self._slow_down(viewer)
        self._repace()

    def _slow_down(self, viewer: Viewer) -> None:
        """A viewer has missed a frame: it begins anew, where the pace is that of the slowest that answers."""
        if viewer.slow:
            viewer.forget_pictures()
            self._want_key(viewer)
        else:
            viewer.slow = True
            self._assign(viewer)

    def _end(self, error: BatonError) -> None:
        if self._ended is not None:
            return
        self._ended = error
        self._closing = [asyncio.ensure_future(viewer.close(error.kind, error.message)) for viewer in self._viewers]

    # -- the encoder thread -------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"encoder-{self._sandbox}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._work.wait()
                self._turn()
        except Gone as error:
            self._from_thread(self._end, error)
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to: the viewers are told
            _log.exception("the encoder stopped", sandbox=self._sandbox)
            self._from_thread(self._end, BatonError(f"the encoder stopped: {type(error).__name__}"))

    def _turn(self) -> None:
        """Wait for the next picture that somebody should see, or encode it."""
        delay = self._due_in()
        self._absorb(self._screen.wait(_IDLE_S if delay is None else delay))
        if delay is None:
            # an open window of a viewer that hangs is nobody's event
            self._from_thread(self._repace)
        if self._due_in() == 0.0:
            self._absorb(self._screen.wait(self._settings.coalesce_s))
            self._take()

    def _due_in(self) -> float | None:
        now = self._clock.monotonic()
        with self._lock:
            due = [delay for rendition in self._renditions.values() if (delay := rendition.due_in(now)) is not None]
        return min(due) if due else None

    def _absorb(self, rects: Sequence[Rect] | None) -> None:
        if rects:
            self._painted.add(rects)
            with self._lock:
                for rendition in self._renditions.values():
                    rendition.damage.add(rects)

    def _take(self) -> None:
        now = self._clock.monotonic()
        with self._lock:
            due = [rendition for rendition in self._renditions.values() if rendition.due_in(now) == 0.0]
            fresh = any(rendition.damage for rendition in due)
            # all before the grab: a mask or paint that comes during it is for the next picture, and a mask makes this
            # one a picture that watchers never get
            generation = self._mask_generation
            jobs = [(rendition, rendition.begin(now, self._masks)) for rendition in due]
        if fresh or self._picture is None:
            size = self._screen.size
            if self._picture is None:
                self._picture = blank(size)
            if generation != self._grabbed_generation:
                # what stood where the masks were may be gone, and nobody has said so yet
                self._grabbed_generation = generation
                self._painted.all()
            self._screen.grab(self._picture[: size.height, : size.width], self._painted.take())
            self._grabs += 1
        for rendition, job in jobs:
            self._compose(rendition, job, self._picture, generation, now)

    def _compose(self, rendition: Rendition, job: Job, picture: Picture, generation: int, now: float) -> None:
        began = self._clock.monotonic()
        frames = rendition.compose(job, picture, now)
        taken_us = int((now - self._started) * 1e6)
        for key, ops in frames:
            self._frame = (self._frame + 1) & 0xFFFFFFFF
            cut = rendition.cut(ops, key=key, number=self._frame, taken_us=taken_us, generation=generation)
            self._encoded += 1
            self._bytes += len(cut.data)
            self._from_thread(self._deliver, rendition, cut)
        if frames:
            with self._lock:
                rendition.done(self._clock.monotonic() - began)
            self._recent = [at for at in self._recent if now - at < 1.0] + [now]

    def _from_thread[*Ts](self, call: Callable[[*Ts], None], *args: *Ts) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(call, *args)

    # -- the whole ----------------------------------------------------------------------------------------------

    def _fps(self) -> float:
        now = self._clock.monotonic()
        return float(len([at for at in self._recent if now - at < 1.0]))

    def _encode_ms(self) -> float:
        with self._lock:
            return max((rendition.encode_ms for rendition in self._renditions.values()), default=0.0)

    def statistics(self) -> HubStatistics:
        """Return a frozen copy of the counters."""
        with self._lock:
            decisions = tuple(rendition.decision for rendition in self._renditions.values())
        return HubStatistics(
            tuple(viewer.statistics() for viewer in self._viewers), len(self._renditions), self._grabs, self._encoded,
            self._bytes, self._fps(), self._encode_ms(), decisions,
            self._sound.statistics(),
        )  # fmt: skip

    async def close(self) -> None:
        """End the encoder and every viewer; returns when the thread has ended. May be called twice."""
        self._end(Gone("this sandbox is closed"))
        self._end_listening()
        self._stopping = True
        self._work.set()
        self._screen.wake()
        await self._sound.close()
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 5.0)


def _worst(ways: Sequence[Way]) -> Way:
    """Return the way that bears least: an unknown rate counts as a middling one."""
    return min(ways, key=lambda way: (way.rate or 1e9, -way.rtt), default=Way())
