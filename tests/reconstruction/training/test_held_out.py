"""Held-out data are opened before a training, and calibration is judged on frames that it did not see."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from reconstruction.errors import InputError
from reconstruction.training.data import Outside
from reconstruction.training.held_out import HeldOut
from reconstruction.training.low_definition import Recording, record
from reconstruction.training.recipe import Recipe
from reconstruction.training.scenes import leaves

FAST = Recording(quanta=60, lag=0.0, read_noise=4, line_noise=0.0, blur_px=0.0, black=10, white=230)
PAIRS = {"kind": "pairs", "low": "low_*.png", "high": "high_*.png"}


def nothing(*asked: Any) -> Any:
    raise AssertionError("no specimen and no run is asked for")


def held_out(folder: Path, *data: dict[str, Any]) -> HeldOut:
    network = {"name": "preview"}
    drawn = [{"kind": "drawn", "count": 1, "side_px": 64, "seed": 1}]
    whole = {"name": "x", "steps": 2000, "crop_px": 64, "network": network, "data": drawn, "held_out": data}
    return HeldOut(Recipe.model_validate(whole), folder, Outside(nothing, nothing))


def pairs(folder: Path, count: int) -> None:
    for number in range(count):
        random = np.random.default_rng(number)
        frame, clean = record(cv2.GaussianBlur(leaves(160, random), (0, 0), 1.0), FAST, random)
        cv2.imwrite(str(folder / f"low_{number}.png"), frame)
        cv2.imwrite(str(folder / f"high_{number}.png"), np.rint(clean).astype(np.uint8))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_pairs_that_calibrate_do_not_say_how_well(tmp_path: Path, count: int) -> None:
    pairs(tmp_path, count)
    first, second = held_out(tmp_path, PAIRS).two_halves()
    assert len(first) + len(second) == max(count, 2)
    for frame, truth in first + second:
        assert frame.shape == truth.shape
    assert not {frame.tobytes() for frame, _ in first} & {frame.tobytes() for frame, _ in second}
    if count == 1:
        (_, frames), *_ = held_out(tmp_path, PAIRS).frames()
        assert np.array_equal(np.concatenate([first[0][0], second[0][0]]), frames[0][0])


def test_drawn_scenes_may_be_smaller_than_what_is_usually_scored(tmp_path: Path) -> None:
    """A training ended with an error of NumPy there, after its last step."""
    judged = held_out(tmp_path, {"kind": "drawn", "count": 2, "side_px": 96, "seed": 1})
    (_, frames), *_ = judged.frames()
    assert {frame.shape for frame, _ in frames} == {(96, 96)}
    first, second = judged.two_halves()
    assert not {frame.tobytes() for frame, _ in first} & {frame.tobytes() for frame, _ in second}


def test_files_that_do_not_pair_are_refused_when_they_are_opened(tmp_path: Path) -> None:
    pairs(tmp_path, 2)
    cv2.imwrite(str(tmp_path / "high_1.png"), np.random.default_rng(9).integers(0, 255, (160, 160), np.uint8))
    with pytest.raises(InputError, match=r"low_1.png: the two images do not show the same field"):
        held_out(tmp_path, PAIRS)
