"""The search along z: where it finds a peak of known place, and where it says that there is none."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from acquisition.focus_search import FocusFailed, find_peak

LIMITS_UM = (0.0, 100.0)
WIDTH_UM = 1.3  # of a 50x objective of NA 0.55
NOISE = 0.003


class Seen:
    """Scores of a Gaussian beam that is sharp at one height, with noise; remembers what was looked at."""

    def __init__(
        self, sharp_um: float, noise: float = NOISE, width_um: float = WIDTH_UM, contrast: float = 0.1
    ) -> None:
        self.sharp_um, self.noise, self.width_um, self.contrast = sharp_um, noise, width_um, contrast
        self.looks: list[list[float]] = []
        self._random = np.random.default_rng(0)

    def __call__(self, heights_um: Sequence[float]) -> list[float]:
        self.looks.append(list(heights_um))
        away = (np.array(heights_um) - self.sharp_um) / self.width_um
        scores = self.contrast / np.hypot(1.0, away) * (1 + self.noise * self._random.normal(size=len(heights_um)))
        return [float(score) for score in scores]


@pytest.mark.parametrize("sharp_um", [48.7, 49.9, 50.0, 51.234])
def test_finds_the_sharpest_height_to_a_hundredth_of_its_width(sharp_um: float) -> None:
    peak = find_peak(Seen(sharp_um), 50.0, 4.0, LIMITS_UM)
    assert peak.z_um == pytest.approx(sharp_um, abs=0.02 * WIDTH_UM)
    assert peak.score == pytest.approx(0.1, rel=0.01)
    assert peak.width_um == pytest.approx(WIDTH_UM, rel=0.05)


def test_its_uncertainty_is_that_of_many_searches() -> None:
    seen = Seen(50.3, noise=0.01)
    peaks = [find_peak(seen, 50.0, 4.0, LIMITS_UM) for _ in range(60)]
    scatter_um = np.std([peak.z_um for peak in peaks])
    claimed_um = np.mean([peak.uncertainty_um for peak in peaks])
    # the scatter of 60 is known to a tenth, and each claim comes from the residuals of a few points
    assert 0.6 < claimed_um / scatter_um < 1.6


def test_a_range_much_wider_than_the_peak_is_refined_around_it() -> None:
    peak = find_peak(Seen(63.0), 50.0, 40.0, LIMITS_UM)
    assert peak.z_um == pytest.approx(63.0, abs=0.05 * WIDTH_UM)


def test_a_peak_beside_the_range_is_found_by_looking_once_more() -> None:
    seen = Seen(53.0)
    assert find_peak(seen, 50.0, 4.0, LIMITS_UM).z_um == pytest.approx(53.0, abs=0.05)
    assert len(seen.looks) == 2


def test_a_peak_far_beside_the_range_is_refused() -> None:
    with pytest.raises(FocusFailed, match="lies at an end"):
        find_peak(Seen(60.0), 50.0, 4.0, LIMITS_UM)


def test_nothing_is_looked_at_beyond_the_limits() -> None:
    seen = Seen(1.0)
    peak = find_peak(seen, 0.5, 4.0, LIMITS_UM)
    assert peak.z_um == pytest.approx(1.0, abs=0.05)
    assert min(min(heights_um) for heights_um in seen.looks) >= 0.0


def test_a_known_place_is_looked_at_closely_first() -> None:
    seen = Seen(50.2)
    assert find_peak(seen, 50.0, 4.0, LIMITS_UM, near=True).z_um == pytest.approx(50.2, abs=0.05)
    assert [len(heights_um) for heights_um in seen.looks] == [5]


def test_a_known_place_that_moved_away_is_found_by_the_whole_search() -> None:
    assert find_peak(Seen(51.8), 50.0, 4.0, LIMITS_UM, near=True).z_um == pytest.approx(51.8, abs=0.05)


@pytest.mark.parametrize(
    "scores",
    [
        lambda heights_um: [0.0] * len(heights_um),
        lambda heights_um: [0.1] * len(heights_um),
        lambda heights_um: [0.1 + 0.02 * abs(height_um - 50.0) for height_um in heights_um],
    ],
    ids=["nothing to see", "the same everywhere", "sharper towards both ends"],
)
def test_a_field_without_a_peak_is_refused(scores: Callable[[Sequence[float]], list[float]]) -> None:
    with pytest.raises(FocusFailed):
        find_peak(scores, 50.0, 4.0, LIMITS_UM)


def test_noise_is_not_taken_for_a_peak() -> None:
    random = np.random.default_rng(1)
    found = 0
    for _ in range(100):
        try:
            find_peak(lambda z: list(0.1 + 0.01 * random.normal(size=len(z))), 50.0, 4.0, LIMITS_UM)
        except FocusFailed:
            continue
        found += 1
    # four standard errors of nine points: by chance now and then, and the jump is judged afterwards
    assert found <= 5
