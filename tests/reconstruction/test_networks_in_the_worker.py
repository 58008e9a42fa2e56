"""Mosaics made with networks: the layers that they give, on one grid, and what the mosaic says of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
import yaozarrs
import zarr
from numpy.typing import NDArray

from reconstruction.restore import NonLocalMeans, UncertainRestorer, deviation_steps, restorer
from reconstruction.sources import Tile
from reconstruction.worker import Reconstruction, follow
from tests.reconstruction.models import model
from tests.reconstruction.scenes import Scan, scan
from tests.reconstruction.test_worker import ignore, levels, same


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def scene() -> Scan:
    return scan("natural", 0.2, size=128, rows=2, columns=3, electrons=1e3)


def made(tmp_path: Path, **options: Any) -> Reconstruction:
    model(tmp_path / "stripes", **options)
    return follow(scene(), tmp_path / "out", restorer(str(tmp_path / "stripes"), "cpu", pytest.fail), ignore)


def test_a_network_that_knows_its_uncertainty_gives_a_layer_of_it(tmp_path: Path) -> None:
    result = made(tmp_path, out_channels=2)
    shapes = set()
    for layer in ("raw", "restored", "uncertainty"):
        yaozarrs.validate_zarr_store(result.mosaic_path / layer)
        shapes.add(levels(result.mosaic_path, layer)[0].shape)
    assert len(shapes) == 1
    said: Any = zarr.open_group(result.mosaic_path / "uncertainty", mode="r").attrs["nanoraster"]
    assert said["uncertainty"] == {"steps_per_grey_value": deviation_steps(scene().dtype)}
    assert said["model"] == {"name": "stripes", "sha256": result.model_sha256}
    again = restorer(str(tmp_path / "stripes"), "cpu")
    assert isinstance(again, UncertainRestorer)
    deviations = [again.restore_with_deviation(frame)[1] for frame in scene().frames]
    layer = levels(result.mosaic_path, "uncertainty")[0]
    assert np.median(layer[layer > 0]) == pytest.approx(np.median(deviations), rel=0.05)  # overlaps count once


def test_a_network_of_scale_two_makes_a_layer_of_twice_the_pixels(tmp_path: Path) -> None:
    result = made(tmp_path, scale=2)
    raw, restored = (levels(result.mosaic_path, layer)[0] for layer in ("raw", "restored"))
    assert restored.shape == (2 * raw.shape[0], 2 * raw.shape[1])
    yaozarrs.validate_zarr_store(result.mosaic_path / "restored")


def test_another_model_makes_the_mosaic_anew(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "out").rename(tmp_path / "first")
    made(tmp_path, seed=1)
    (tmp_path / "first").rename(tmp_path / "there")
    model(tmp_path / "stripes", seed=1)
    follow(scene(), tmp_path / "there", restorer(str(tmp_path / "stripes"), "cpu"), ignore)
    assert same(tmp_path / "there", tmp_path / "out", "restored")


@pytest.mark.parametrize("live", [True, False])
def test_a_frame_is_restored_once_though_it_is_drawn_again_and_again(live: bool, tmp_path: Path) -> None:
    asked = list[bytes]()

    class Counted(NonLocalMeans):
        def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
            asked.append(frame.tobytes())
            return frame

    many = scan("grains", 0.2, size=128, rows=6, columns=6)
    follow(many, tmp_path, Counted(), ignore, live=live)
    assert len(asked) == len(set(asked)) == 36


class Slow(NonLocalMeans):
    """Restores nothing before all frames have come; says so if it is waited for."""

    def __init__(self) -> None:
        self.all_came = Event()
        self.early = list[bool]()

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        self.early.append(not self.all_came.wait(60))
        return frame // 2


class Watched(Scan):
    """Looks, after its last frame has come, at what was done with the others."""

    slow: Slow
    look: Callable[[], None]

    def follow(self) -> Iterator[list[Tile]]:
        yield from super().follow()
        self.look()
        self.slow.all_came.set()


def test_a_slow_network_holds_back_neither_edges_nor_the_raw_layer(tmp_path: Path) -> None:
    many = scan("grains", 0.2, size=128, rows=4, columns=4)
    slow, seen = Slow(), list[tuple[int, bool, bool]]()
    watched = Watched(many.frames, many.tiles, many.truth_px, batch=1)
    watched.slow = slow

    def look() -> None:
        raw, restored = (levels(tmp_path / "slow" / "mosaic.zarr", layer)[0].any() for layer in ("raw", "restored"))
        seen.append((len(watched.edges), bool(raw), bool(restored)))

    watched.look = look
    result = follow(watched, tmp_path / "slow", slow, ignore)
    ((edges, raw, restored),) = seen
    assert (edges, raw, restored) == (len(result.edges), True, False)
    assert not any(slow.early)
    quick = Slow()
    quick.all_came.set()
    follow(Scan(many.frames, many.tiles, many.truth_px), tmp_path / "quick", quick, ignore)
    assert all(same(tmp_path / "slow", tmp_path / "quick", layer) for layer in ("raw", "restored"))
