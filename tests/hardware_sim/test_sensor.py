"""The sensor: its noise, its flaws, and its numbers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hardware_sim.chance import Stream, generator
from hardware_sim.sensor import Region, Sensor
from hardware_sim.settings import CameraSettings

SHAPE_PX = (256, 512)
WHOLE = Region(0, 0, 512, 256)
GAIN_E = 0.46
PER_S_E = 30_000.0
ROUNDING_DN2 = 1 / 12
Float = NDArray[np.float64]


@pytest.fixture(scope="module")
def sensor() -> Sensor:
    return Sensor(CameraSettings(frame_shape_px=SHAPE_PX, hot_pixels=0.0, dark_current_e_per_s=0.0), seed=3)


def frames(sensor: Sensor, electrons: float, count: int, seed: int = 0) -> Float:
    """Frames (count, rows, columns) of even light."""
    random = generator(seed, Stream.IMAGE)
    even = np.full(SHAPE_PX, 1.0, dtype=np.float32)
    return np.stack([sensor.read(even, WHOLE, electrons / PER_S_E, random).astype(float) for _ in range(count)])


def variance_dn2(series: Float) -> float:
    """Mean over pixels of the variance in time: patterns do not count."""
    return float(np.var(series, axis=0, ddof=1).mean())


def test_variance_grows_with_the_mean_by_the_gain(sensor: Sensor) -> None:
    levels_e = (100.0, 1000.0, 10_000.0)
    series = [frames(sensor, level_e, 8) for level_e in levels_e]
    means = [stack.mean() for stack in series]
    variances = [variance_dn2(stack) for stack in series]
    slope, _ = np.polyfit(means, variances, 1)
    # 0.9 million samples at each level: the variance is known to 0.2 %
    assert slope == pytest.approx(1 / GAIN_E, rel=0.01)


@pytest.mark.parametrize("electrons", [0.3, 2.0, 7.5, 15.9, 16.1, 40.0])
def test_few_photons_have_their_mean_and_their_variance(sensor: Sensor, electrons: float) -> None:
    stack = (frames(sensor, electrons, 8) - 100.0) * GAIN_E
    assert stack.mean() == pytest.approx(electrons, abs=0.03)  # 0.004 of noise, 0.001 of the offset's pattern
    # read noise 1.5 rms; 4096 quantiles cut the tails off, by less than 1 %
    assert variance_dn2(stack) == pytest.approx(electrons + 1.5**2 + ROUNDING_DN2 * GAIN_E**2, rel=0.02)


def test_counts_of_few_photons_lie_as_those_of_poisson() -> None:
    quiet = CameraSettings(
        frame_shape_px=SHAPE_PX,
        hot_pixels=0.0,
        dark_current_e_per_s=0.0,
        read_noise_median_e=0.0,
        read_noise_rms_e=0.0,
        offset_pattern_dn=0.0,
    )
    counts = np.rint((frames(Sensor(quiet, seed=1), 2.0, 4) - 100.0) * GAIN_E)
    shares = [(counts == count).mean() for count in range(6)]
    expected = [0.1353, 0.2707, 0.2707, 0.1804, 0.0902, 0.0361]  # exp(-2) 2^n / n!
    assert shares == pytest.approx(expected, abs=0.004)  # half a million samples of 4096 quantiles


def test_read_noise_has_its_median_and_its_rms(sensor: Sensor) -> None:
    random = generator(0, Stream.IMAGE)
    stack = np.stack([sensor.read_dark(WHOLE, random).astype(float) for _ in range(60)])
    variances = (np.var(stack, axis=0, ddof=1) - ROUNDING_DN2) * GAIN_E**2
    assert np.sqrt(variances.mean()) == pytest.approx(1.5, rel=0.03)
    assert np.sqrt(np.median(variances)) == pytest.approx(1.1, rel=0.05)  # 60 frames: the median of chi-square is 0.99
    assert stack.mean() == pytest.approx(100.0, abs=0.2)  # truncation at 0 electrons would add 1


def test_noise_of_two_frames_and_of_neighbours_is_independent(sensor: Sensor) -> None:
    first, second = frames(sensor, 500.0, 2)
    first, second = first - first.mean(), second - second.mean()
    limit = 5 / np.sqrt(first.size)
    for one, other in ((first, second), (first[:, 1:], first[:, :-1]), (first[1:], first[:-1])):
        assert abs((one * other).mean() / (one.std() * other.std())) < limit


def test_noise_shows_no_shift_from_one_frame_to_another(sensor: Sensor) -> None:
    first, second = frames(sensor, 500.0, 2)
    cross = np.fft.fft2(first - first.mean()) * np.conj(np.fft.fft2(second - second.mean()))
    peak = np.abs(np.fft.ifft2(cross)).max() / (first.std() * second.std() * first.size)
    assert peak < 7 / np.sqrt(first.size)  # of 131072 normal values the largest is 4.5 deviations


def test_hot_pixels_stay_where_they_are_and_grow_with_the_exposure() -> None:
    settings = CameraSettings(frame_shape_px=SHAPE_PX, hot_pixels=0.001, hot_e_per_s=(2000.0, 2000.0))
    sensor, random = Sensor(settings, seed=5), generator(0, Stream.IMAGE)
    dark = np.zeros(SHAPE_PX, dtype=np.float32)
    short, long = (sensor.read(dark, WHOLE, exposure_s, random).astype(float) for exposure_s in (0.5, 1.0))
    hot = short > 1000.0  # a hot one has 2270, another 100
    assert hot.mean() == pytest.approx(0.001, rel=0.3)  # 131 of them, give or take 11
    assert np.array_equal(hot, long > 1000.0)
    assert (long[hot] - 100.0).mean() == pytest.approx(2 * (short[hot] - 100.0).mean(), rel=0.02)
    other = Sensor(settings, seed=6).read(dark, WHOLE, 1.0, random)
    assert not np.array_equal(hot, other > 1000.0)


def test_a_region_reads_what_the_whole_would_have_read(sensor: Sensor) -> None:
    image = np.linspace(0.0, 1.0, 256 * 512, dtype=np.float32).reshape(SHAPE_PX)
    region = Region(100, 30, 64, 150)
    whole = sensor.read(image, WHOLE, 0.02, generator(1, Stream.IMAGE))
    part = sensor.read(image[region.slices], region, 0.02, generator(1, Stream.IMAGE))
    assert np.array_equal(part, whole[region.slices])


def test_the_well_is_full_at_its_capacity(sensor: Sensor) -> None:
    assert frames(sensor, 60_000.0, 1).max() == pytest.approx(30_000 / GAIN_E + 100, abs=4)  # the offset's pattern
