"""The line through visits: what it predicts, when it wants the next one, and what it takes for a slip."""

from itertools import pairwise

import numpy as np
import pytest

from acquisition.drift_line import DriftLine, Visit

TOLERANCE_UM = 0.01
RATE = np.array([0.3e-3, -0.1e-3])  # um/s: 19 nm/min


def visited(line: DriftLine, times_s: list[float], rate: np.ndarray = RATE, error_um: float = 0.0004) -> list[bool]:
    random = np.random.default_rng(0)
    return [line.add(Visit(t, rate * t + error_um * random.normal(size=2), error_um)) for t in times_s]


def line() -> DriftLine:
    return DriftLine(TOLERANCE_UM, shortest_s=20.0, longest_s=900.0)


def test_nothing_is_corrected_before_the_first_visit() -> None:
    assert tuple(line().offset_um(100.0)) == (0.0, 0.0)
    assert tuple(DriftLine(TOLERANCE_UM, 20.0, 900.0, (1.0, -2.0)).offset_um(100.0)) == (1.0, -2.0)


def test_after_one_visit_the_offset_stays() -> None:
    drifting = line()
    visited(drifting, [100.0])
    assert drifting.offset_um(120.0) == pytest.approx(drifting.offset_um(100.0))
    assert drifting.interval_s == 20.0


def test_a_significant_rate_is_followed_between_visits() -> None:
    drifting = line()
    visited(drifting, [0.0, 20.0, 40.0])
    assert drifting.is_significant
    assert drifting.offset_um(60.0) == pytest.approx(RATE * 60.0, abs=0.001)


def test_a_rate_that_noise_explains_is_not_followed() -> None:
    drifting = line()
    visited(drifting, [0.0, 20.0, 40.0], error_um=0.05)
    assert not drifting.is_significant
    assert drifting.offset_um(60.0) == pytest.approx(drifting.offset_um(40.0))


def test_an_old_line_is_not_followed_for_ever() -> None:
    drifting = line()
    visited(drifting, [0.0, 20.0, 40.0])
    assert drifting.offset_um(1e6) == pytest.approx(drifting.offset_um(40.0 + 2 * drifting.interval_s))


@pytest.mark.parametrize(
    ("rate_nm_per_min", "least_s", "most_s"), [(60.0, 20.0, 20.0), (20.0, 25.0, 31.0), (0.5, 500.0, 900.0)]
)
def test_the_interval_settles_where_the_drift_stays_below_the_tolerance(
    rate_nm_per_min: float, least_s: float, most_s: float
) -> None:
    drifting, now_s = line(), 0.0
    for _ in range(20):
        visited(drifting, [now_s], np.array([rate_nm_per_min / 60e3, 0.0]))
        now_s += drifting.interval_s
    assert least_s <= drifting.interval_s <= most_s


def test_an_interval_grows_step_by_step() -> None:
    still, now_s, intervals_s = line(), 0.0, []
    for _ in range(6):
        visited(still, [now_s], np.zeros(2))
        now_s += still.interval_s
        intervals_s.append(still.interval_s)
    assert all(b <= 1.5 * a for a, b in pairwise(intervals_s))


def test_a_slip_begins_a_new_line() -> None:
    drifting = line()
    visited(drifting, [0.0, 20.0, 40.0])
    assert drifting.add(Visit(60.0, RATE * 60.0 + 0.4, 0.0004))
    assert drifting.offset_um(60.0) == pytest.approx(RATE * 60.0 + 0.4)
    assert drifting.interval_s == 20.0
    assert not drifting.add(Visit(80.0, RATE * 80.0 + 0.4, 0.0004))
    assert drifting.offset_um(100.0) == pytest.approx(RATE * 100.0 + 0.4, abs=0.001)


def test_a_rate_that_turns_is_told_from_the_visits_after_the_turn() -> None:
    turning = line()
    for now_s in range(0, 300, 20):
        turning.add(Visit(float(now_s), RATE * min(now_s, 300 - now_s), 0.0004))
    assert turning.offset_um(300.0) == pytest.approx(np.zeros(2), abs=0.002)


def test_many_noisy_visits_are_better_than_one() -> None:
    errors_um = []
    for seed in range(40):
        random, noisy = np.random.default_rng(seed), line()
        for now_s in range(0, 200, 20):
            noisy.add(Visit(float(now_s), RATE * now_s + 0.02 * random.normal(size=2), 0.02))
        errors_um.append(noisy.offset_um(180.0) - RATE * 180.0)
    # a line through eight is known at its end to 0.65 of one of them
    assert np.std(errors_um) < 0.9 * 0.02
