"""What a page moves by itself: clocks, adverts, feeds. Pure.

A change is the page's own when nobody had acted yet, when it keeps the rhythm of a timer, or when its part of the page
moves again and again while nobody acts. Whatever else is doubtful counts as the human's, so that nothing is hidden.
All times are seconds since 1970, as pages and keeper tell them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from sandbox.state.snapshot import Motion

AT_ONCE_S: Final = 0.15
"""A page answers a key or a click at once within this time."""
CAUSED_S: Final = 1.2
"""What moves longer after the last input than this may still be its effect, but not when it does so repeatedly."""
_RHYTHM: Final = 3
_REGULAR: Final = 0.2
_MOSTLY: Final = 0.8
_PATIENCE: Final = 2
_CLOCK: Final = re.compile(
    r"\d{1,2}[:.h]\d{2}([:.]\d{2})?(\s?[ap]m)?|\d+\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?)\b(\s+ago)?",
    re.IGNORECASE,
)

_HOUSEKEEPING: Final = re.compile(
    r"csrf|xsrf|^_(ga|gid|gat|gcl|fbp|hj|pk_|dc_)|^(__utm|_?ajs_|amplitude|mp_|optimizely|intercom)|analytics",
    re.IGNORECASE,
)


def by_itself(motion: Motion | None, inputs: Sequence[float], now: float) -> bool:
    """Whether what happened at `motion.at` was the page's own doing.

    `inputs`: when somebody acted, in order; `now`: when the page was looked at.
    """
    if motion is None:
        return False
    at, times = motion
    if inputs and at < inputs[0]:
        return True
    prompt = sum(_since(each, inputs) <= AT_ONCE_S for each in times)
    if times and prompt >= _MOSTLY * len(times):
        return False
    alone = [each for each in times if _since(each, inputs) > CAUSED_S]
    if not alone:
        return False
    # What an input set off comes to an end; a clock does not.
    set_off = _since(times[0], inputs) <= CAUSED_S
    if set_off and not _goes_on(times, now):
        return False
    since = _since(at, inputs)
    restless = len(alone) > _RHYTHM and _goes_on(times, now) and since > AT_ONCE_S
    return _rhythmic(times) or restless or (len(alone) > 1 and since > CAUSED_S)


def beats(times: Sequence[float], inputs: Sequence[float]) -> bool:
    """Whether something whose changes are seen only now and then, at `times`, changes without anyone's doing."""
    if times and inputs and times[-1] < inputs[0]:
        return True
    return sum(_since(each, inputs) > CAUSED_S for each in times) > 1


def housekeeping(name: str) -> bool:
    """Whether a cookie or a key of storage is one that sites turn over whatever a human does.

    Tokens against forged requests, and the counters of analytics.
    """
    return bool(_HOUSEKEEPING.search(name))


def tells_time(before: str, after: str) -> bool:
    """Whether two texts differ only in a time of day or in how long ago something was."""
    return before != after and bool(timeless(before)) and timeless(before) == timeless(after)


def timeless(text: str) -> str:
    """Return a text with its times blotted out; "" where it tells none."""
    plain, count = _CLOCK.subn("#", text)
    return plain if count else ""


def _since(at: float, inputs: Sequence[float]) -> float:
    index = bisect_right(inputs, at)
    return at - inputs[index - 1] if index else float("inf")


def _goes_on(times: Sequence[float], now: float) -> bool:
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return len(gaps) >= _RHYTHM - 1 and now - times[-1] <= _PATIENCE * median(gaps)


def _rhythmic(times: Sequence[float]) -> bool:
    gaps = [later - earlier for earlier, later in pairwise(times)]
    if len(gaps) < _RHYTHM - 1:
        return False
    usual = median(gaps)
    return sum(abs(gap - usual) <= _REGULAR * usual for gap in gaps) >= _MOSTLY * len(gaps)
