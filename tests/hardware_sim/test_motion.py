"""The track of an axis: what is remembered of its motions, and what is forgotten."""

from dataclasses import dataclass

import numpy as np
import pytest

from hardware_sim.motion import FORGET_AT_ONCE, KEPT, KEPT_S, Track


@dataclass(frozen=True)
class Piece:
    """Valid from its start on."""

    start_s: float


def starts_s(track: Track[Piece], times_s: list[float]) -> list[float]:
    """Which piece is valid at each of the times."""
    values = track.sample(np.array(times_s), lambda piece, at_s: np.full(len(at_s), piece.start_s))
    return list(values)


def test_each_piece_is_valid_until_the_next_begins() -> None:
    track = Track(Piece(0.0))
    for start_s in (1.0, 2.5, 4.0):
        track.begin(Piece(start_s))
    assert starts_s(track, [0.0, 0.99, 1.0, 3.9, 4.0, 99.0]) == [0.0, 0.0, 1.0, 2.5, 4.0, 4.0]
    assert starts_s(track, [99.0, 0.5, 3.0]) == [4.0, 0.0, 2.5]  # in any order
    assert starts_s(track, [1.5]) == [1.0]
    assert track.at(-5.0) == Piece(0.0)


def test_a_piece_makes_void_what_would_have_come_later() -> None:
    track = Track(Piece(0.0))
    track.begin(Piece(10.0))
    track.begin(Piece(5.0))
    assert track.latest == Piece(5.0)
    assert starts_s(track, [20.0]) == [5.0]


def test_a_cut_forgets_only_what_has_not_begun() -> None:
    track = Track(Piece(0.0))
    track.begin(Piece(10.0))
    track.begin(Piece(20.0))
    track.cut(10.0)
    assert track.latest == Piece(10.0)
    track.cut(-1.0)
    assert track.latest == Piece(0.0)


@pytest.mark.parametrize("interval_s", [1.0, 0.001])
def test_it_remembers_minutes_and_no_more_than_it_must(interval_s: float) -> None:
    track = Track(Piece(0.0))
    count = KEPT + 2 * FORGET_AT_ONCE
    for number in range(count):
        track.begin(Piece(number * interval_s))
    end_s = (count - 1) * interval_s
    kept = track.between(0.0, end_s)
    assert kept[0].start_s <= max(end_s - KEPT_S, end_s - (KEPT - 1) * interval_s)
    assert len(kept) <= min(KEPT_S / interval_s, KEPT) + FORGET_AT_ONCE + 1
