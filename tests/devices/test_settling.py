"""How closely a move is watched; time is played, so that a pause takes none."""

import time
from itertools import pairwise

import pytest

from devices.settling import BACK_S, LONGEST_POLL_S, MOST_WAYS, Settling

TAKES_S = 0.0261  # a step of 8 um of the lab's stage


class Played:
    """A clock that only pauses move on, and a stage whose moves all take equally long."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, for_s: float) -> None:
        self.now += for_s

    def questions(self, settling: Settling, takes_s: float = TAKES_S, way_um: float = 8.0) -> list[float]:
        """When it was asked whether a move has settled, counted from its beginning."""
        began = self.now
        wait = settling.wait(began, {"x": way_um} if way_um else {})
        asked = [0.0]
        while asked[-1] < takes_s:
            wait.pause()
            asked.append(self.now - began)
        wait.ended()
        return asked


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()
    monkeypatch.setattr(time, "monotonic", played.monotonic)
    monkeypatch.setattr(time, "sleep", played.sleep)
    return played


def test_a_move_that_was_made_before_is_noticed_at_once_and_asked_about_seldom(clock: Played) -> None:
    settling = Settling()
    first = clock.questions(settling)
    for _ in range(10):
        latest = clock.questions(settling)
        assert latest[-1] - TAKES_S < 0.003  # a tenth of the time, as for a move that nobody knows
    assert latest[-1] - TAKES_S <= BACK_S / 2
    assert len(latest) < len(first)


def test_the_same_way_back_takes_the_same_time(clock: Played) -> None:
    settling = Settling()
    for way_um in (8.0, -8.0, 8.004, -7.998):
        asked = clock.questions(settling, way_um=way_um)
    assert sum(0 < at_s < TAKES_S - 0.003 for at_s in asked) <= 1  # none is asked while it cannot have settled, but one


def test_a_move_that_once_hung_does_not_make_the_next_ones_late(clock: Played) -> None:
    settling = Settling()
    clock.questions(settling)
    clock.questions(settling, takes_s=2.0)
    assert clock.questions(settling)[-1] <= TAKES_S + LONGEST_POLL_S
    for _ in range(20):
        asked = clock.questions(settling)
    assert asked[-1] - TAKES_S <= BACK_S


def test_no_pause_keeps_a_stop_waiting(clock: Played) -> None:
    settling = Settling()
    for _ in range(3):
        asked = clock.questions(settling, takes_s=3.0)
    longest_s = max(later - earlier for earlier, later in pairwise(asked))
    assert longest_s <= LONGEST_POLL_S + 1e-9  # the sum of floats


def test_moves_without_a_known_way_teach_nothing(clock: Played) -> None:
    settling = Settling()
    assert clock.questions(settling, way_um=0.0) == pytest.approx(clock.questions(settling, way_um=0.0))


def test_only_so_many_ways_are_remembered(clock: Played) -> None:
    settling = Settling()
    for way in range(1, 3 * MOST_WAYS):
        clock.questions(settling, takes_s=0.001, way_um=float(way))
    assert len(settling._under_way_s) <= MOST_WAYS
