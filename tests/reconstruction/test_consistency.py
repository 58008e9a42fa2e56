"""Restored frames agree with what they were made of, unless something was invented."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.consistency import LEAST_AGREEMENT, agreement
from reconstruction.report import write_report
from reconstruction.restore import NonLocalMeans, NoRestorer, Restorer
from reconstruction.sources import Tile
from reconstruction.tile_folder import TileFolder
from reconstruction.training.low_definition import Recording, record
from reconstruction.training.scenes import leaves
from reconstruction.worker import follow

FAST = Recording(quanta=25, lag=0.0, read_noise=5, line_noise=0.0, blur_px=0.0, black=10, white=240)
SIDE = 384


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return np.asarray(leaves(SIDE, np.random.default_rng(2)))


@pytest.mark.parametrize("quanta", [5, 25, 400])
@pytest.mark.parametrize("lag", [0.0, 0.45])
def test_the_truth_agrees_at_any_noise(scene: np.ndarray, quanta: float, lag: float) -> None:
    frame, truth = record(scene, replace(FAST, quanta=quanta, lag=lag), np.random.default_rng(0))
    found = agreement(frame, truth)
    assert found is not None
    assert found > 0.97


def test_a_sharper_image_agrees_as_well(scene: np.ndarray) -> None:
    """Restoring may undo a blur: it is blurred to fit."""
    frame, _ = record(cv2.GaussianBlur(scene, (0, 0), 5.0), FAST, np.random.default_rng(0))
    sharp = 10 + 230 * scene
    found = agreement(frame, sharp)
    assert found is not None
    assert found > 0.97


def test_invented_structure_does_not_agree(scene: np.ndarray) -> None:
    frame, truth = record(scene, FAST, np.random.default_rng(0))
    invented = leaves(SIDE, np.random.default_rng(3)) - 0.5
    found = agreement(frame, truth + 120 * invented)
    assert found is not None
    assert found < LEAST_AGREEMENT


def test_where_all_is_noise_nothing_is_said() -> None:
    frame, truth = record(np.full((SIDE, SIDE), 0.5, np.float32), FAST, np.random.default_rng(0))
    assert agreement(frame, truth) is None
    assert agreement(np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)) is None


class Inventing(NoRestorer):
    """Draws something of its own over what it is given."""

    name = "inventing"

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        invented = leaves(len(frame), np.random.default_rng(5)) * 200
        return np.asarray((frame * 0.4 + invented[:, : frame.shape[1]] * 0.6), frame.dtype)


@pytest.mark.parametrize(("restore", "doubted"), [(NonLocalMeans(), 0), (Inventing(), 2), (NoRestorer(), None)])
def test_the_report_names_tiles_that_were_invented(
    scene: np.ndarray, restore: Restorer, doubted: int | None, tmp_path: Path
) -> None:
    frame, _ = record(scene, FAST, np.random.default_rng(0))
    for name, left in (("a.png", 0), ("b.png", 128)):
        cv2.imwrite(str(tmp_path / name), frame[:256, left : left + 256])
    (tmp_path / "tiles.csv").write_text("file,x_px,y_px\na.png,0,0\nb.png,128,0\n")
    source = TileFolder(tmp_path)
    heard: dict[str, float | None] = {}

    def agreed(tile: Tile, agreement: float | None) -> None:
        heard[tile.name] = agreement

    made = follow(source, tmp_path / "out", restore, lambda progress: None, live=False, agreed=agreed)
    summary = write_report(tmp_path / "out", made, source.pixels, {})
    model = summary["model"]
    assert isinstance(model, dict)
    if doubted is None:
        assert set(model) == {"name", "sha256"}
        assert heard == {}
    else:
        assert model["doubtful_tiles"] == ["a.png", "b.png"][:doubted]
        assert (model["agreement_least"] > 0.95) == (doubted == 0)
        doubtful = [name for name, value in sorted(heard.items()) if value and value < LEAST_AGREEMENT]
        assert doubtful == model["doubtful_tiles"]
