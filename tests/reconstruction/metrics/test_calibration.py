"""Deviations that are what they say, or half of it."""

import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from reconstruction.errors import InputError
from reconstruction.metrics.calibration import coverage_pct, deviation_rank, deviation_ratio, reliability


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, an estimate with normal errors, and their true deviations, (300, 300)."""
    rng = np.random.default_rng(seed)
    deviation = rng.uniform(1, 10, (300, 300))
    truth = rng.uniform(0, 255, (300, 300))
    return truth, truth + rng.normal(0, deviation), deviation


def test_honest_deviations_are_recognised() -> None:
    assert deviation_ratio(*drawn()) == pytest.approx(1, abs=0.02)
    for deviations in (1.0, 2.0):
        expected = 100 * (norm.cdf(deviations) - norm.cdf(-deviations))
        assert coverage_pct(*drawn(), deviations) == pytest.approx(expected, abs=0.5)
    told, found = reliability(*drawn())
    assert found == pytest.approx(told, rel=0.06)


def test_a_restorer_that_is_too_sure_is_found_out() -> None:
    truth, estimate, deviation = drawn()
    assert deviation_ratio(truth, estimate, deviation / 2) == pytest.approx(2, abs=0.04)
    assert coverage_pct(truth, estimate, deviation / 2) == pytest.approx(100 * (2 * norm.cdf(1) - 1), abs=0.5)
    assert deviation_ratio(truth, estimate, 0 * deviation) == np.inf


def test_ranks_agree_with_scipy_ties_and_all() -> None:
    truth, estimate, deviation = drawn()
    coarse = np.round(deviation)
    known = spearmanr(np.abs(estimate - truth).ravel(), coarse.ravel()).statistic
    assert deviation_rank(truth, estimate, coarse) == pytest.approx(known)
    assert deviation_rank(truth, estimate, np.ones_like(truth)) == 0


def test_deviations_of_another_shape_or_below_zero_are_refused() -> None:
    truth, estimate, deviation = drawn()
    for wrong in (deviation[1:], -deviation):
        with pytest.raises(InputError, match="deviation: "):
            deviation_ratio(truth, estimate, wrong)
