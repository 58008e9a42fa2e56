"""Restored frames agree with what they were made of, unless something was invented."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.consistency import LEAST_AGREEMENT, Consistency, agreement, consistency
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
    frame, _ = record(scene, replace(FAST, quanta=200), np.random.default_rng(0))  # with less, nlm loses contrast
    for name, left in (("a.png", 0), ("b.png", 128)):
        cv2.imwrite(str(tmp_path / name), frame[:256, left : left + 256])
    (tmp_path / "tiles.csv").write_text("file,x_px,y_px\na.png,0,0\nb.png,128,0\n")
    source = TileFolder(tmp_path)
    heard: dict[str, Consistency] = {}

    def agreed(tile: Tile, found: Consistency) -> None:
        heard[tile.name] = found

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
        assert [name for name, found in sorted(heard.items()) if found.doubtful] == model["doubtful_tiles"]
        assert len(model["misfits"]) == doubted


class OneParticle(NonLocalMeans):
    """A truthful denoiser, but for a particle of a radius of 4 px that it draws or takes away."""

    def __init__(self, sign: int) -> None:
        self._sign = sign

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        made = super().restore(frame).astype(np.float32)
        return np.clip(np.rint(made + self._sign * particle(made.shape, 100, 60, 4.0)), 0, 255).astype(frame.dtype)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_report_tells_where_one_particle_was_invented(sign: int, tmp_path: Path) -> None:
    frame = np.random.default_rng(1).poisson(16, (160, 192)).astype(np.uint8) * 4
    cv2.imwrite(str(tmp_path / "a.png"), frame)
    (tmp_path / "tiles.csv").write_text("file,x_px,y_px\na.png,0,0\n")
    source = TileFolder(tmp_path)
    made = follow(source, tmp_path / "out", OneParticle(sign * 24), lambda progress: None, live=False)
    model: Any = write_report(tmp_path / "out", made, source.pixels, {})["model"]
    assert model["doubtful_tiles"] == ["a.png"]
    (found,) = model["misfits"]
    assert found["tile"] == "a.png"
    assert np.hypot(found["x_px"] - 100, found["y_px"] - 60) < 4
    assert found["strength"] > found["limit"]
    assert found["excess"] == (sign < 0)  # what was taken away is left in the frame
    assert "strength" in (tmp_path / "out" / "report" / "report.html").read_text()


def particle(shape: tuple[int, ...], x: float, y: float, radius_px: float) -> NDArray[np.float32]:
    """1 inside of a disc, 0 outside."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.clip(radius_px + 0.5 - np.hypot(columns - x, rows - y), 0, 1).astype(np.float32)


@pytest.mark.parametrize("side", [1, 3, 8, 15])
def test_frames_too_small_to_tell_are_not_judged(side: int) -> None:
    frame = np.random.default_rng(0).poisson(90, (side, 40)).astype(np.uint8)
    assert consistency(frame, 255 - frame) == Consistency(None, None)
