"""What networks see: noise of one strength at any gain, and grey values that come back as they were."""

import numpy as np
import pytest
import torch

from reconstruction.noise import NoiseModel
from reconstruction.normalisation import SIGMAS, Normalisation
from tests.reconstruction.scenes import texture


@pytest.mark.parametrize("gain", [0.5, 40.0, 900.0])
@pytest.mark.parametrize("electrons", [20, 60])
def test_noise_is_seen_alike_at_every_gain_and_dose(gain: float, electrons: int) -> None:
    clean = texture("natural", (256, 256), 1) * electrons + 5
    frame = np.random.default_rng(0).poisson(clean) * gain
    normalisation = Normalisation.of(np.rint(frame).astype(np.uint16))
    noise = normalisation.seen(frame.astype(np.float32)) - normalisation.target((clean * gain).astype(np.float32))
    for part in (clean < np.quantile(clean, 0.2), clean > np.quantile(clean, 0.8)):
        assert noise[part].std() * SIGMAS == pytest.approx(1, abs=0.2)  # its measurement on the frame: 25 % in variance
        assert abs(noise[part].mean()) * SIGMAS < 0.1


@pytest.mark.parametrize("noise", [NoiseModel(30.0, 200.0), NoiseModel(0.0, 9.0), NoiseModel(1e-7, 4.0)])
def test_grey_values_come_back_from_targets(noise: NoiseModel) -> None:
    grey = np.linspace(0, 65535, 999, dtype=np.float32)
    normalisation = Normalisation(noise, 20000.0)
    assert np.abs(normalisation.grey(normalisation.target(grey)) - grey).max() < 0.1  # float32 has 24 bits


def test_without_shot_noise_it_is_a_plain_scaling() -> None:
    seen = Normalisation(NoiseModel(0.0, 25.0), 100.0).seen(np.array([100.0, 180.0], np.float32))
    assert seen == pytest.approx([0.0, 80 / 5 / SIGMAS])


def test_a_deviation_is_that_of_grey_values() -> None:
    normalisation = Normalisation(NoiseModel(12.0, 50.0), 500.0)
    answer = normalisation.target(np.array([100.0, 900.0], np.float32))
    step = np.float32(1e-3)
    slope = (normalisation.grey(answer + step) - normalisation.grey(answer - step)) / (2 * step)
    assert normalisation.grey_deviation(answer, np.full(2, 0.25, np.float32)) == pytest.approx(slope / 4, rel=1e-3)


def test_tensors_are_treated_as_arrays_are() -> None:
    grey = np.random.default_rng(0).uniform(0, 4000, (8, 8)).astype(np.float32)
    normalisation = Normalisation(NoiseModel(12.0, -50.0), 500.0)
    for step in (normalisation.seen, normalisation.target, normalisation.grey):
        assert step(torch.from_numpy(grey)).numpy() == pytest.approx(step(grey), rel=1e-6, abs=1e-6)
