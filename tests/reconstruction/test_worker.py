"""From a source to a mosaic: valid at every moment, and the same however it came about."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import yaozarrs
import zarr
from numpy.typing import NDArray

from reconstruction.canvas import whole
from reconstruction.fusion import Fusion
from reconstruction.restore import NonLocalMeans, restorer
from reconstruction.sources import Tile
from reconstruction.worker import Progress, Reconstruction, cache_bytes, follow
from tests.reconstruction.scenes import Scan, scan, shifted


def ignore(progress: Progress) -> None:
    """Nobody watches."""


def levels(path: Path, layer: str) -> list[NDArray[np.uint16]]:
    group = zarr.open_group(path / layer, mode="r")
    return [np.asarray(group[name][:]) for name in sorted(group.array_keys(), key=int)]


def same(one: Path, other: Path, layer: str) -> bool:
    pairs = zip(levels(one / "mosaic.zarr", layer), levels(other / "mosaic.zarr", layer), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


def made(scene: Scan, out: Path, model: str = "none") -> Reconstruction:
    return follow(scene, out, restorer(model), ignore)


class Killed(Scan):
    """Ends the worker after half of its batches, as a kill would."""

    def follow(self) -> Iterator[list[Tile]]:
        yield from list(super().follow())[: len(self.tiles) // self.batch]
        raise KeyboardInterrupt


def small(seed: int = 3, **options: object) -> Scan:
    return scan("grains", 0.2, size=257, rows=4, columns=6, seed=seed, **options)  # type: ignore[arg-type]


def test_a_restarted_worker_makes_the_same_mosaic(tmp_path: Path) -> None:
    scene = small()
    made(scene, tmp_path / "whole")
    killed = Killed(scene.frames, scene.tiles, scene.truth_px)
    with pytest.raises(KeyboardInterrupt):
        made(killed, tmp_path / "killed")
    yaozarrs.validate_zarr_store(tmp_path / "killed" / "mosaic.zarr")
    again = Scan(scene.frames, scene.tiles, scene.truth_px, edges=list(killed.edges), batch=5)
    made(again, tmp_path / "killed")
    assert all(same(tmp_path / "whole", tmp_path / "killed", layer) for layer in ("raw", "restored"))


def test_tiles_may_come_in_any_order(tmp_path: Path) -> None:
    scene = small()
    made(scene, tmp_path / "one")
    backwards = Scan(scene.frames, scene.tiles, scene.truth_px, batch=1)
    backwards.follow = lambda: iter([[tile] for tile in reversed(scene.tiles)])  # type: ignore[method-assign]
    made(backwards, tmp_path / "other")
    assert same(tmp_path / "one", tmp_path / "other", "raw")


def test_what_was_measured_is_reported_and_not_measured_again(tmp_path: Path) -> None:
    scene = small()
    first = made(scene, tmp_path / "one")
    assert len(scene.edges) == len(first.edges) == 4 * 5 + 3 * 6
    made(scene, tmp_path / "other")
    assert len(scene.edges) == len(first.edges)


@pytest.mark.filterwarnings("error")
def test_the_mosaic_is_valid_and_readable_after_every_batch(tmp_path: Path) -> None:
    scene = small()

    def look(progress: Progress) -> None:
        path = tmp_path / "mosaic.zarr"
        yaozarrs.validate_zarr_store(path)
        for layer in ("raw", "restored"):
            yaozarrs.validate_zarr_store(path / layer)
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "raw" / "0")}}
        assert tensorstore.open(spec, open=True).result()[:9, :9].read().result().shape == (9, 9)
        assert zarr.open_array(path / "raw" / "0", mode="r")[-9:].any() in (True, False)

    follow(scene, tmp_path, restorer("none"), look)


def test_a_long_batch_and_a_long_drawing_are_told_of_while_they_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconstruction.worker.TELL_S", 0.0)
    scene, heard = replace(small(), batch=24), list[Progress]()
    blocks = len(list(follow(scene, tmp_path, restorer("none"), heard.append, live=False).canvas.blocks()))
    edges = [progress.edges for progress in heard]
    assert edges == sorted(edges)
    assert set(edges) == set(range(1, edges[-1] + 1))
    assert edges.count(edges[-1]) >= blocks + 3  # beside the blocks the last edge, the batch and the end


def test_pixels_are_copied_where_one_tile_is_and_corrections_are_left_out(tmp_path: Path) -> None:
    scene = small()
    untouched = Fusion(flat_field=False, exposure=False, sub_pixel=False)
    result = follow(scene, tmp_path, restorer("none"), ignore, untouched)
    raw = levels(result.mosaic_path, "raw")[0]
    placed = result.placement.tiles[8]
    x, y = whole(placed.x_px) - result.canvas.x_px, whole(placed.y_px) - result.canvas.y_px
    assert np.array_equal(raw[y + 100 : y + 150, x + 100 : x + 150], scene.frames[8][100:150, 100:150])


def test_tiles_are_drawn_where_they_are_placed_between_pixels(tmp_path: Path) -> None:
    scene = scan("natural", 0.3, size=256, rows=2, columns=2, electrons=1e5, seed=4)
    result = made(scene, tmp_path)
    raw = levels(result.mosaic_path, "raw")[0].astype(np.float64)
    for index, placed in result.placement.tiles.items():
        x, y = placed.x_px - result.canvas.x_px, placed.y_px - result.canvas.y_px
        left, top = int(x) + 100, int(y) + 100
        part = raw[top : top + 60, left : left + 60]
        there = shifted(scene.frames[index].astype(np.float32), np.array([left - x, top - y]), 60)
        assert np.abs(part - there).max() < 0.01 * there.max()  # what the tile shows there


def test_every_level_is_the_mean_of_the_one_below(tmp_path: Path) -> None:
    pyramid = levels(made(small(), tmp_path).mosaic_path, "raw")
    assert max(pyramid[-1].shape) <= 256
    assert pyramid[0].shape[0] > 800
    assert any(size % 2 for level in pyramid for size in level.shape)
    for fine, coarse in pairwise(pyramid):
        padded = np.pad(fine, ((0, fine.shape[0] % 2), (0, fine.shape[1] % 2)), mode="edge").astype(np.uint32)
        mean = (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2] + 2) // 4
        assert np.array_equal(coarse, mean)


def test_coordinates_are_micrometres_of_pixel_centres(tmp_path: Path) -> None:
    scene = small()
    scene.pixel_size_um = 0.05
    result = made(scene, tmp_path)
    attributes = zarr.open_group(result.mosaic_path / "restored", mode="r").attrs["ome"]
    scale = attributes["multiscales"][0]
    assert scale["axes"] == [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    for level, dataset in enumerate(scale["datasets"]):
        size, place = dataset["coordinateTransformations"]
        assert size["scale"] == pytest.approx([0.05 * 2**level] * 2)
        first_centre = np.array([result.canvas.y_px, result.canvas.x_px]) + (2**level - 1) / 2
        assert place["translation"] == pytest.approx(list(first_centre * 0.05))


def test_the_canvas_grows_for_a_tile_far_outside(tmp_path: Path) -> None:
    scene = scan("grains", 0.3, size=256, rows=3, columns=3, error_px=0, backlash_px=0, seed=5)
    moved = scan("grains", 0.3, size=256, rows=3, columns=3, error_px=0, backlash_px=0, seed=5)
    scene.tiles = [replace(t, x_px=t.x_px - (50 if t.index % 3 == 2 else 0)) for t in moved.tiles]
    result = made(scene, tmp_path)
    right = max(whole(tile.x_px) for tile in result.placement.tiles.values()) + 256
    nominal_right = max(tile.x_px for tile in scene.tiles) + 256
    assert result.canvas.x_px + result.canvas.width_px == right > nominal_right + 24
    assert levels(result.mosaic_path, "raw")[0].shape == result.canvas.shape
    yaozarrs.validate_zarr_store(tmp_path / "mosaic.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["mosaic.zarr"]


@pytest.mark.parametrize("size", [3, 31])
def test_tiny_odd_tiles_end_in_a_mosaic_too(tmp_path: Path, size: int) -> None:
    tiles = [Tile(i, f"{i}.tif", float(size * i), 0.0) for i in range(2)]
    frames = [np.full((size, size), 100 * (i + 1), np.uint16) for i in range(2)]
    result = made(Scan(frames, tiles, np.zeros((2, 2))), tmp_path)
    raw = levels(result.mosaic_path, "raw")[0]
    assert sorted(np.unique(raw)) == [0, 100, 200]
    assert int((raw > 0).sum()) == 2 * size * size


def test_restored_pixels_stand_beside_the_raw_ones(tmp_path: Path) -> None:
    scene = scan("grains", 0.2, size=128, rows=2, columns=2, electrons=60)
    result = made(scene, tmp_path, "nlm")
    raw, restored = (levels(result.mosaic_path, layer)[0] for layer in ("raw", "restored"))
    assert np.array_equal(raw > 0, restored > 0)
    assert not np.array_equal(raw, restored)
    assert result.model_sha256 == NonLocalMeans().sha256


def test_memory_for_frames_grows_with_a_row_not_with_the_mosaic() -> None:
    side, step_px = 40, 8.0
    tiles = [Tile(i, "", step_px * (i % side), step_px * (i // side)) for i in range(side**2)]
    scene = Scan([np.zeros((10, 10), np.uint16)], tiles, np.zeros((0, 2)))
    assert cache_bytes(scene) == 3 * side * 10 * 10 * 2


class Corrected(Scan):
    """Thinks at first that a pixel is 4 % larger than it is, and knows better after half of the tiles."""

    wrong = 1.04
    scale = wrong

    def placed(self, tile: Tile) -> Tile:
        return replace(tile, x_px=tile.x_px / self.scale, y_px=tile.y_px / self.scale)

    def planned(self) -> list[Tile]:
        return [self.placed(tile) for tile in self.tiles]

    def follow(self) -> Iterator[list[Tile]]:
        half = len(self.tiles) // 2
        yield [self.placed(tile) for tile in self.tiles[:half]]
        self.scale = 1.0
        self.pixel_size_um = 0.02
        yield self.tiles[:half]
        yield self.tiles[half:]


def test_tiles_that_come_again_at_truer_places_make_the_same_mosaic(tmp_path: Path) -> None:
    scene = small()
    known = replace(scene, pixel_size_um=0.02)
    corrected = Corrected(scene.frames, scene.tiles, scene.truth_px, pixel_size_um=0.02 * Corrected.wrong)
    made(known, tmp_path / "known")
    found = made(corrected, tmp_path / "corrected")
    assert found.pixel_size_um == 0.02
    assert same(tmp_path / "known", tmp_path / "corrected", "raw")
    scale = zarr.open_group(tmp_path / "corrected" / "mosaic.zarr" / "raw", mode="r").attrs["ome"]
    assert "0.02" in str(scale["multiscales"][0]["datasets"][0])  # type: ignore[index, call-overload]


class Retaken(Scan):
    """The first frame of one tile shows something else; it is taken again at the end."""

    bad = 8

    def follow(self) -> Iterator[list[Tile]]:
        good = self.frames[self.bad]
        self.frames[self.bad] = np.ascontiguousarray(good[::-1, ::-1])
        yield from super().follow()
        self.frames[self.bad] = good
        yield [replace(self.tiles[self.bad], take=2)]


def test_a_tile_that_was_taken_again_replaces_itself(tmp_path: Path) -> None:
    scene = small()
    made(scene, tmp_path / "good")
    retaken = Retaken(list(scene.frames), scene.tiles, scene.truth_px)
    found = made(retaken, tmp_path / "retaken")
    assert all(edge.accepted for edge in found.edges if Retaken.bad in (edge.a, edge.b))
    assert same(tmp_path / "good", tmp_path / "retaken", "raw")


def test_only_what_was_taken_again_is_looked_at_again(tmp_path: Path) -> None:
    class Counted(Retaken):
        bad = 40  # the detector's pattern is learnt from those before
        reads = 0

        def follow(self) -> Iterator[list[Tile]]:
            for batch in super().follow():
                self.reads = 0
                yield batch
                if batch:
                    self.reads_of_last = self.reads

        def pixels(self, tile: Tile) -> NDArray[np.uint16]:
            self.reads += 1
            return super().pixels(tile)

    scene = scan("grains", 0.2, size=64, rows=12, columns=4, seed=3)
    counted = Counted(list(scene.frames), scene.tiles, scene.truth_px)
    follow(counted, tmp_path, restorer("none"), ignore, live=False)
    with_neighbours = 5
    assert counted.reads_of_last <= with_neighbours
