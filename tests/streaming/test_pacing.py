"""When a picture may be taken and sent."""

from __future__ import annotations

from streaming.pacing import Pace, Settling, Window


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


def test_settling_ends_when_nothing_is_added() -> None:
    """The picture is repeated until a repetition is tiny, and not for ever."""
    settling = Settling()
    assert settling.resting
    settling.changed()
    settling.repeated(5000)
    assert not settling.resting
    settling.repeated(40)
    assert settling.resting

    settling.changed()
    for _ in range(100):
        settling.repeated(5000)
    assert settling.resting


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


def test_a_long_way_holds_more_small_pictures() -> None:
    """At 100 ms of round trip small pictures go on, large ones do not."""
    small, large = Window(3), Window(3)
    for window, size in ((small, 1000), (large, 100_000)):
        window.sent(0, size, 1.0)
        window.shown(0, 1.1)
        for frame in range(1, 4):
            window.sent(frame, size, 1.2)

    assert small.open
    assert not large.open


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
