"""When a picture may be taken and sent."""

from __future__ import annotations

import pytest

from streaming.pacing import Pace, Window


def test_the_pace_holds_on_average() -> None:
    """No more than the set pictures a second are taken, however often one asks."""
    pace, now, taken = Pace(60), 100.0, 0
    while now < 101.0:
        if pace.delay(now) == 0.0:
            pace.took(now)
            taken += 1
        now += 0.001

    assert 57 <= taken <= 62


def test_a_late_picture_does_not_delay_the_next() -> None:
    """After a picture that came late the next one may come a little sooner."""
    pace = Pace(50)
    pace.took(10.0)
    pace.took(10.025)

    assert pace.delay(10.025) < 0.016


def test_a_faster_pace_counts_at_once() -> None:
    """A slow pace set before does not hold back the first picture of a faster one by more than a step."""
    pace = Pace(2)
    pace.took(10.0)
    pace.set_rate(50)

    assert pace.delay(10.0) <= 0.02


def test_a_window_closes_and_opens_again() -> None:
    """Three pictures without an answer are enough; an answer opens the window for every picture before it."""
    window = Window(3)
    for frame in range(3):
        assert window.open
        window.sent(frame, 50_000, 1.0)
    assert not window.open

    window.shown(1, 1.005)
    assert window.open
    assert window.flying == 1
    assert round(window.rtt, 3) == 0.005


def test_a_limit_counts_frames_and_bytes() -> None:
    """Whichever is reached first closes the window, and an answer opens it."""
    window = Window(3)
    window.limit(10, 5000)
    window.sent(1, 4000, 1.0)
    assert window.open
    window.sent(2, 2000, 1.0)
    assert not window.open
    window.shown(1, 1.1)
    assert window.open
    for frame in range(3, 12):
        window.sent(frame, 10, 1.2)
    assert not window.open


@pytest.mark.parametrize("rate", [5e5, 3e6, 40e6])
@pytest.mark.parametrize("rtt", [0.01, 0.2])
def test_the_rate_is_measured_from_answers(rate: float, rtt: float) -> None:
    """Over a simulated way the rate and the round trip come out within a tenth, however many pictures are under way."""
    window, line_free, now, waiting = Window(3), 0.0, 10.0, list[tuple[float, int]]()
    for frame in range(60):
        size = 300 if frame % 3 == 0 else 60_000
        now = max(now + 0.02, line_free)
        window.sent(frame, size, now)
        line_free = max(line_free, now) + size * 8 / rate
        waiting.append((line_free + rtt + 0.002, frame))
        while waiting and waiting[0][0] <= now:
            at, shown = waiting.pop(0)
            window.shown(shown, at, 0.002)
    for at, shown in waiting:
        window.shown(shown, at, 0.002)

    assert window.way.rtt == pytest.approx(rtt, abs=0.1 * rtt + 300 * 8 / rate)
    assert window.way.rate == pytest.approx(rate, rel=0.15)
    assert window.way.kind == "socket"
    assert window.flying == 0


def test_small_pictures_say_nothing_about_the_rate() -> None:
    """Before a large picture was answered the rate is unknown, and it is forgotten after a while."""
    window = Window(3)
    for frame in range(50):
        window.sent(frame, 500, frame * 0.1)
        window.shown(frame, frame * 0.1 + 0.05)
    assert window.way.rate == 0
    assert window.way.rtt == pytest.approx(0.05)


def test_an_old_rate_gives_way_to_a_lower_one() -> None:
    """The highest rate of the last ten seconds counts; when the way gets worse it follows."""
    window, now = Window(3), 0.0
    window.expect(0.02)
    for frame, took in enumerate([0.02] * 20 + [0.2] * 40):
        now += 0.5
        window.sent(frame, 25_000, now)
        window.shown(frame, now + 0.02 + took)
        if frame == 19:
            fast = window.way.rate
    assert fast == pytest.approx(10e6, rel=0.05)
    assert window.way.rate == pytest.approx(1e6, rel=0.05)


def test_a_viewer_lags_before_it_hangs() -> None:
    """Half a second without any answer, or a megabyte under way, is more than others should wait for."""
    window = Window(3)
    window.sent(1, 10, 1.0)
    assert not window.lags(1.4)
    assert window.lags(1.6)
    assert not window.hung(1.6)
    window.shown(1, 1.7)
    assert not window.lags(9.0)
    window.sent(2, 1_000_001, 9.0)
    assert window.lags(9.0)
    window.clear()
    assert not window.lags(20.0)


def test_a_known_round_trip_is_a_beginning() -> None:
    """How long the socket took to open stands until pictures say better."""
    window = Window(3)
    window.expect(0.08)
    assert window.way.rtt == window.rtt == 0.08
    window.sent(1, 100, 1.0)
    window.shown(1, 1.05)
    assert window.way.rtt == pytest.approx(0.05)


def test_a_viewer_that_answers_nothing_is_hung() -> None:
    """After a second without an answer nobody waits for that viewer, until it answers again."""
    window = Window(1)
    window.sent(1, 10, 1.0)
    assert not window.hung(1.5)
    assert window.hung(2.1)

    window.shown(1, 2.2)
    assert not window.hung(9.0)


def test_an_answer_to_nothing_is_ignored() -> None:
    """A number that was never sent changes nothing."""
    window = Window(3)
    window.sent(1, 10, 1.0)
    window.shown(77, 1.1)

    assert window.flying == 1
