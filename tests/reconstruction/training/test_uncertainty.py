"""Claimed deviations are as large as errors are, once they were calibrated on other frames."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from reconstruction.networks.registry import build
from reconstruction.training.low_definition import Recording, record
from reconstruction.training.scenes import leaves
from reconstruction.training.uncertainty import Frame, calibrate, coverage
from tests.reconstruction.networks.small import SMALL

FAST = Recording(quanta=60, lag=0.0, read_noise=3, line_noise=0.0, blur_px=0.0, black=20, white=220)


def frames(seed: int) -> list[Frame]:
    random = np.random.default_rng(seed)
    return [record(leaves(64, random), replace(FAST, quanta=quanta), random) for quanta in (20, 60, 200)]


@pytest.mark.parametrize("name", ["preview", "nafnet_16", "rrdb_u4"])
def test_calibrated_deviations_are_as_large_as_errors(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, SMALL[name] | {"out_channels": 2}).eval()
    before = coverage(network, frames(1))["error_over_deviation_rms"]
    factor = calibrate(network, frames(2))
    after = coverage(network, frames(1))
    assert factor == pytest.approx(before, rel=0.2)
    assert after["error_over_deviation_rms"] == pytest.approx(before / factor, rel=1e-3)
    assert 0 < after["within_1"] < after["within_2"] <= 1


def test_grey_values_stay_as_they_were() -> None:
    torch.manual_seed(0)
    network = build("preview", SMALL["preview"] | {"out_channels": 2}).eval()
    image = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        before = network(image)
    factor = calibrate(network, frames(2))
    with torch.inference_mode():
        after = network(image)
    assert torch.equal(before[:, 0], after[:, 0])
    assert torch.allclose(after[:, 1] - before[:, 1], torch.tensor(2 * np.log(factor), dtype=torch.float32), atol=1e-5)
