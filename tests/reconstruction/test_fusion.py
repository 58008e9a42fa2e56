"""How overlaps are mixed: seams vanish, edges stay single, noise stays what it is."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.canvas import Canvas
from reconstruction.feather import HIDDEN, feather, seen_parts
from reconstruction.fusion import Blend, Fusion, blend
from reconstruction.registration import register
from reconstruction.resampling import STEPS
from reconstruction.restore import restorer
from reconstruction.sources import Tile
from reconstruction.tile_view import Laying, TileView
from reconstruction.worker import follow
from tests.reconstruction.scenes import Scan
from tests.reconstruction.test_brightness import shading, unevenly_lit
from tests.reconstruction.test_worker import ignore, levels

DTYPE = np.dtype(np.uint16)


def view(frame: NDArray[np.uint16], x: int, y: int = 0) -> TileView:
    laying = Laying(frame, (STEPS * x, STEPS * y), None)
    return TileView(laying, laying.means, 1.0, ())


def flat(value: int, shape: tuple[int, int] = (128, 256)) -> NDArray[np.uint16]:
    return np.full(shape, value, np.uint16)


@pytest.mark.parametrize("how", ["feather", "bands"])
def test_pixels_of_single_tiles_are_copied_and_gaps_are_0(how: Blend) -> None:
    frames = [np.random.default_rng(i).integers(0, 65535, (128, 256)).astype(np.uint16) for i in range(2)]
    image = blend(Canvas(0, 0, 600, 128), [view(frames[0], 0), view(frames[1], 200)], DTYPE, how)
    assert np.array_equal(image[:, :200], frames[0][:, :200])
    assert np.array_equal(image[:, 256:456], frames[1][:, 56:])
    assert not image[:, 456:].any()


@pytest.mark.parametrize("how", ["feather", "bands"])
def test_a_step_between_tiles_becomes_a_slope(how: Blend) -> None:
    image = blend(Canvas(0, 0, 440, 128), [view(flat(1000), 0), view(flat(1100), 184)], DTYPE, how)
    steps = np.diff(image.astype(int), axis=1)
    assert np.abs(steps).max() <= 4  # a hundred over 72 px, with the slopes of a smooth weight
    assert steps.min() >= 0


def test_bands_keep_edges_single_and_noise_as_it_is_where_feathering_does_not() -> None:
    rng = np.random.default_rng(1)
    frames = [np.rint(10000 + 500 * rng.standard_normal((128, 256))).astype(np.uint16) for _ in range(2)]
    shared = Canvas(156, 0, 100, 128)
    noise = {}
    for how in ("feather", "bands"):
        image = blend(shared, [view(frames[0], 0), view(frames[1], 156)], DTYPE, how)
        away = np.abs(np.arange(100) - 49.5) > 8  # the transition
        noise[how] = image[:, away].std(axis=0).mean()
    assert noise["bands"] == pytest.approx(500, rel=0.05)
    assert noise["feather"] < 450
    frames = [flat(1000), flat(1000)]
    frames[0][:, 216], frames[1][:, 216 - 156 + 3] = 2000, 2000  # one line, 3 px apart in two tiles
    lines = {
        how: (blend(shared, [view(frames[0], 0), view(frames[1], 156)], DTYPE, how)[64] > 1150).sum()
        for how in ("feather", "bands")
    }
    assert lines == {"feather": 2, "bands": 1}


@pytest.mark.parametrize("corner", [(230, 3), (231, -6), (188, 0)])
def test_what_tiles_show_alike_is_drawn_as_they_show_it(corner: tuple[int, int]) -> None:
    x, y = corner
    specimen = np.random.default_rng(1).integers(0, 2, (40, 70)).repeat(8, axis=0).repeat(8, axis=1)
    specimen = (5000 + 30000 * specimen + np.arange(560)).astype(np.uint16)
    places = [(10, 20), (10 + x, 20 + y)]
    views = [view(np.ascontiguousarray(specimen[y : y + 256, x : x + 256]), x, y) for x, y in places]
    shared = Canvas(10 + x, 23, 256 - x, 240)
    assert np.array_equal(blend(shared, views, DTYPE, "bands"), specimen[shared.within(Canvas(0, 0, 560, 320))])


def test_blocks_join_without_a_trace() -> None:
    rng = np.random.default_rng(1)
    frames = [rng.integers(1000, 2000, (300, 300)).astype(np.uint16) for _ in range(4)]
    views = [view(f, 240 * (i % 2), 250 * (i // 2)) for i, f in enumerate(frames)]
    whole = blend(Canvas(0, 0, 540, 550), views, DTYPE, "bands").astype(int)
    for x in (200, 264):  # blocks begin at different squares of what is broad
        part = blend(Canvas(x, 0, 100, 550), views, DTYPE, "bands").astype(int)
        assert np.array_equal(part, whole[:, x : x + 100])


@pytest.mark.parametrize("seed", range(20))
def test_no_pixel_of_a_tile_is_seen_outside_of_what_is_drawn_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    box = Canvas(-30, 17, 203, 150)
    tiles = [Canvas(*rng.integers(-150, 150, 2).tolist(), *rng.integers(20, 180, 2).tolist()) for _ in range(6)]
    shares = np.zeros((len(tiles), *box.shape))
    for share, tile in zip(shares, tiles, strict=True):
        if part := tile.common(box):
            share[part.within(box)] = feather(tile.shape)[part.within(tile)]
    for share, part in zip(shares, seen_parts(box, tiles), strict=True):
        seen = (share > 0) & (share > HIDDEN * shares.max(axis=0))
        if part:
            seen[part.within(box)] = False
        assert not seen.any()


def fine(rows: int, columns: int, size: int = 256, step: int = 218) -> Scan:
    """Photograph a specimen with nothing broad on it, so that a faint step would show."""
    rng = np.random.default_rng(1)
    specimen = cv2.GaussianBlur(rng.standard_normal((step * rows + size, step * columns + size)), (0, 0), 1.5)
    specimen = 30000 * (1 + 0.01 * specimen / specimen.std())
    corners = [(step * (i % columns), step * (i // columns)) for i in range(rows * columns)]
    tiles = [Tile(i, f"{i}.tif", float(x), float(y)) for i, (x, y) in enumerate(corners)]
    cuts = [specimen[y : y + size, x : x + size] for x, y in corners]
    frames = [np.rint(cut + 150 * rng.standard_normal(cut.shape)).astype(np.uint16) for cut in cuts]
    return Scan(frames, tiles, np.array(corners, float))


@dataclass
class Step:
    """Rms step across the rims of tiles, as a fraction, and across lines where there is no rim."""

    rims: float
    elsewhere: float


def steps(image: NDArray[np.uint16], rims: list[int]) -> Step:
    """Compare strips of 6 x 64 px left and right of the rims, and of lines well before the left ones."""

    def step(x: int) -> NDArray[np.float64]:
        left, right = image[:, x - 6 : x].mean(axis=1), image[:, x : x + 6].mean(axis=1)
        cut = len(left) // 64 * 64
        return ((right - left) / (right + left) * 2)[:cut].reshape(-1, 64).mean(axis=1)  # type: ignore[no-any-return]

    others = [x - 60 for x in rims[::2]]
    rms = [float(np.sqrt(np.square([step(x) for x in lines]).mean())) for lines in (rims, others)]
    return Step(*rms)


def test_faint_structure_is_found_under_strong_shading() -> None:
    scene = fine(rows=1, columns=6)
    lit = unevenly_lit(scene, np.ones(6), shading(scene.tile_shape))
    for a, b in pairwise(range(6)):
        edge = register(a, b, lit.frames[a], lit.frames[b], tuple(lit.truth_px[b] - lit.truth_px[a]))
        assert edge.accepted
        assert np.hypot(*(lit.truth_px[b] - lit.truth_px[a] - (edge.dx_px, edge.dy_px))) < 0.2


def test_seams_are_invisible_under_shading_and_changing_exposure(tmp_path: Path) -> None:
    scene = fine(rows=3, columns=6)
    exposures = 1 + np.random.default_rng(1).uniform(-0.05, 0.05, 18)
    lit = unevenly_lit(scene, exposures, shading(scene.tile_shape))
    found = {}
    for name, fusion in (("plain", Fusion("feather", False, False)), ("corrected", Fusion())):
        made = follow(lit, tmp_path / name, restorer("none"), ignore, fusion, live=False)
        image = levels(made.mosaic_path, "raw")[0][-made.canvas.y_px :]
        lefts = [round(made.placement.tiles[i].x_px) - made.canvas.x_px for i in range(1, 6)]
        found[name] = steps(image[30:600], [x for left in lefts for x in (left, left + 38)])
    assert found["plain"].rims > 2 * found["corrected"].rims
    noise = 0.011  # of a pixel: grain and what the camera adds
    assert found["corrected"].rims < noise / 2
    assert found["corrected"].rims < 1.6 * found["corrected"].elsewhere
