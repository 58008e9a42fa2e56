"""Seeded sets of overlapping tiles whose true places are known far below a pixel.

    python -m benchmarks.tile_sets --set A --seed 1 --out DIR

writes DIR/tiles (16 bit TIFF and `tiles.csv` with the places that the stage claims: what a stitcher is given) and
DIR/truth (never given to one): `truth.csv`, `seams.csv` with the true displacement of neighbours and which part of
their overlap has any features, and `distortion.npy` where the set is distorted: (2, rows, columns) px, x first, so that
a tile's pixel at (x, y) shows the specimen at its place + (x, y) + that. Rows are scanned to and fro.

The stage claims an even grid and errs by jitter (rms of each axis), by backlash (rows that it scans backwards), by a
walk from row to row, and by steps that it lost (until the end of the row); the camera is turned against it. The camera
has shading, shot noise and, where the set says so, stripes and dust that stay where they are.
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.wide_specimen import Draw, WideSpecimen, draw_speckle
from hardware_sim.alloy import draw_alloy
from hardware_sim.chip import draw_chip

Float = NDArray[np.float64]
Frame = NDArray[np.uint16] | NDArray[np.uint8]

SPECIMENS: dict[str, Draw] = {"chip": draw_chip, "lamella": draw_alloy, "speckle": draw_speckle}
MARGIN_PX = 16.0  # of specimen around all tiles
WHITE = 0.8  # of the greatest grey value, for all the electrons of full scale
BLANK_GRAIN = 1.4  # width of featureless patches, in tiles: so that whole seams fall into them
DUST_SPOTS = 25
TEXTURED_SHARE = 0.02
"""A seam of which a smaller part has features counts as featureless."""


@dataclass(frozen=True)
class Recipe:
    """What a set is made of; `electrons` is the full scale of the shot noise."""

    grid: tuple[int, int] = (10, 10)  # rows, columns
    tile_px: tuple[int, int] = (512, 512)  # rows, columns
    overlap: float = 0.1
    specimen: str = "chip"
    left_out: int = 0  # tiles that the last row lacks
    jitter_px: float = 3.0
    backlash_px: float = 6.0
    row_walk_px: float = 0.5
    camera_angle_deg: float = 0.2
    lost_steps_px: float = 0.0
    lost_steps_share: float = 0.0  # of the tiles, on the way to which steps are lost
    shading: float = 0.15
    electrons: float = 1000.0
    blank_share: float = 0.0
    distortion_px: float = 0.0  # the most in a tile
    stripes: float = 0.0  # rms over the columns, of full scale
    dust: bool = False
    dtype: np.dtype[np.uint16] | np.dtype[np.uint8] = field(default_factory=lambda: np.dtype(np.uint16))


A = Recipe()
SETS = {
    "A": A,
    "B": replace(A, overlap=0.3),
    "C": replace(A, grid=(20, 20), tile_px=(1024, 1024), overlap=0.15),
    "D": replace(A, electrons=15.0),
    "E": replace(A, blank_share=0.4),
    "F": replace(A, specimen="lamella"),
    # beyond the table: distorted with exact steps, lost steps, distorted, fixed pattern
    "G": replace(
        A,
        grid=(3, 3),
        tile_px=(1024, 1024),
        specimen="speckle",
        jitter_px=0.0,
        backlash_px=0.0,
        row_walk_px=0.0,
        camera_angle_deg=0.0,
        distortion_px=2.0,
    ),
    "H": replace(A, grid=(4, 12), overlap=1 - 300 / 512, lost_steps_px=60.0, lost_steps_share=0.1),
    "I": replace(A, distortion_px=2.0),
    "P": replace(A, stripes=0.02, dust=True),
    # as many frames as the CEMI paper's, and as large
    "cemi": replace(
        A,
        grid=(18, 217),
        left_out=4,
        tile_px=(768, 1024),
        overlap=0.45,
        specimen="lamella",
        electrons=200.0,
        dtype=np.dtype(np.uint8),
    ),
}


@dataclass(frozen=True)
class Seam:
    """Two neighbours, the true displacement of the second (x, y), and which part of their overlap has features."""

    first: int
    second: int
    shift_px: tuple[float, float]
    texture: float


class TileSet:
    """The tiles of a recipe, drawn one by one; everything follows from the recipe and the seed."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.seed = seed
        self.cells = _to_and_fro(recipe)
        self.names = [f"r{row:03}c{column:03}.tif" for row, column in self.cells]
        step_px = np.array([round(side * (1 - recipe.overlap)) for side in reversed(recipe.tile_px)], np.float64)
        self.claimed_px: Float = np.array([(column, row) for row, column in self.cells]) * step_px
        """(tiles, 2), x first: places of the top left pixels, as the stage claims them."""
        self.true_px = _where_they_are(recipe, self.cells, self.claimed_px, np.random.default_rng([seed, 3]))
        """(tiles, 2), x first; the camera's axes."""
        self._corner_px = MARGIN_PX - self.true_px.min(axis=0)
        extent_px = np.ceil(np.ptp(self.true_px, axis=0) + 2 * MARGIN_PX).astype(int)[::-1] + recipe.tile_px
        self._specimen = WideSpecimen(
            SPECIMENS[recipe.specimen],
            (int(extent_px[0]), int(extent_px[1])),
            seed,
            recipe.blank_share,
            BLANK_GRAIN * max(recipe.tile_px),
        )

    def frame(self, index: int) -> Frame:
        """Take the picture of one tile, (rows, columns)."""
        y, x = self._points(index)
        if self.distortion_px is None:
            brightness = self._specimen.seen(y, x)
        else:
            by_x, by_y = self.distortion_px
            brightness = self._specimen.seen_at(y[:, None] + by_y, x[None, :] + by_x)
        random = np.random.default_rng([self.seed, 4, index])
        electrons = random.poisson(np.clip(brightness * self._gain, 0.0, None) * self.recipe.electrons)
        most = float(np.iinfo(self.recipe.dtype).max)
        grey = WHITE * most * (electrons / self.recipe.electrons + self._offset)
        return np.rint(np.clip(grey, 0.0, most)).astype(self.recipe.dtype)

    def seams(self) -> Iterator[Seam]:
        """Give every pair of tiles side by side or one below the other; `first` is the left or the upper one."""
        at = {cell: index for index, cell in enumerate(self.cells)}
        for (row, column), first in sorted(at.items()):
            for cell in ((row, column + 1), (row + 1, column)):
                if cell in at:
                    x, y = self.true_px[at[cell]] - self.true_px[first]
                    yield Seam(first, at[cell], (float(x), float(y)), self._texture(first, at[cell]))

    @cached_property
    def distortion_px(self) -> NDArray[np.float32] | None:
        """Give the displacement (2, rows, columns), x first, common to all tiles: quadratic and cubic terms.

        It has no constant and no linear part over the tile: those would only be other places and another pixel size.
        """
        if not self.recipe.distortion_px:
            return None
        random = np.random.default_rng([self.seed, 5])
        v, u = np.meshgrid(*(np.linspace(-1, 1, side) for side in self.recipe.tile_px), indexing="ij")
        linear = np.stack([np.ones(u.size), u.ravel(), v.ravel()], axis=1)
        terms = np.stack([t.ravel() for t in (u * u, u * v, v * v, u**3, u * u * v, u * v * v, v**3)], axis=1)
        terms -= linear @ np.linalg.lstsq(linear, terms, rcond=None)[0]
        fields = (terms @ random.normal(size=(terms.shape[1], 2))).T
        fields *= self.recipe.distortion_px / np.hypot(*fields).max()
        return fields.reshape(2, *self.recipe.tile_px).astype(np.float32)

    @cached_property
    def _gain(self) -> NDArray[np.float32]:
        """Shading, darkest in one corner, and dust."""
        rows, columns = self.recipe.tile_px
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        distance = np.hypot(y / rows - 0.56, x / columns - 0.45)
        gain = 1 - self.recipe.shading * (distance / distance.max()) ** 2
        if self.recipe.dust:
            random = np.random.default_rng([self.seed, 6])
            for _ in range(DUST_SPOTS):
                at_y, at_x, radius = random.uniform(0, rows), random.uniform(0, columns), random.uniform(2, 8)
                gain *= 1 - random.uniform(0.1, 0.4) * np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / radius**2)
        return np.asarray(gain, dtype=np.float32)

    @cached_property
    def _offset(self) -> Float:
        """Stripes of the detector, one value a column, as a part of full scale; never below 0."""
        random = np.random.default_rng([self.seed, 7])
        stripes = self.recipe.stripes * random.normal(size=self.recipe.tile_px[1])
        return stripes - stripes.min()

    def _points(self, index: int) -> tuple[Float, Float]:
        x_px, y_px = self.true_px[index] + self._corner_px
        rows, columns = self.recipe.tile_px
        return y_px + np.arange(rows), x_px + np.arange(columns)

    def _texture(self, first: int, second: int) -> float:
        """Measure the part of an overlap that has features, at every fourth row and column."""
        (y1, x1), (y2, x2) = self._points(first), self._points(second)
        y, x = y1[(y1 >= y2[0]) & (y1 <= y2[-1])][::4], x1[(x1 >= x2[0]) & (x1 <= x2[-1])][::4]
        return float(self._specimen.featured(y, x).mean()) if y.size and x.size else 0.0


def _to_and_fro(recipe: Recipe) -> list[tuple[int, int]]:
    """Cells (row, column) in the order of the scan."""
    rows, columns = recipe.grid
    cells = [(row, c if row % 2 == 0 else columns - 1 - c) for row in range(rows) for c in range(columns)]
    return cells[: len(cells) - recipe.left_out]


def _where_they_are(
    recipe: Recipe, cells: list[tuple[int, int]], claimed_px: Float, random: np.random.Generator
) -> Float:
    """Give the true places (tiles, 2), x first, in the camera's axes."""
    row = np.array([cell[0] for cell in cells])
    places = claimed_px + random.normal(0.0, recipe.jitter_px, claimed_px.shape)
    places[:, 0] += recipe.backlash_px * (row % 2)
    places += np.cumsum(random.normal(0.0, recipe.row_walk_px, (recipe.grid[0], 2)), axis=0)[row]
    places += _lost(recipe, row, random)
    angle = math.radians(recipe.camera_angle_deg)
    turned: Float = places @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return turned - turned[0]


def _lost(recipe: Recipe, row: NDArray[np.intp], random: np.random.Generator) -> Float:
    """What lost steps make of places: each loss stays until the row ends."""
    lost = np.zeros((len(row), 2))
    for index in np.flatnonzero(random.random(len(row)) < recipe.lost_steps_share):
        angle = random.uniform(0, 2 * math.pi)
        after = (row == row[index]) & (np.arange(len(row)) >= index)
        lost[after] = recipe.lost_steps_px * np.array([math.cos(angle), math.sin(angle)])
    return lost


def write_tiles(tiles: TileSet, folder: Path) -> None:
    """Write what a stitcher is given: TIFF files and `tiles.csv`, in the order of the scan."""
    folder.mkdir(parents=True)
    for index in sorted(range(len(tiles.cells)), key=lambda i: (tiles.cells[i][1], tiles.cells[i][0])):
        tifffile.imwrite(folder / tiles.names[index], tiles.frame(index))  # by columns: a die is drawn once then
    _write_places(folder / "tiles.csv", tiles.names, tiles.claimed_px)


def write_truth(tiles: TileSet, folder: Path) -> None:
    """Write what a stitcher must not see."""
    folder.mkdir(parents=True)
    _write_places(folder / "truth.csv", tiles.names, tiles.true_px)
    with (folder / "seams.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["first", "second", "dx_px", "dy_px", "texture"])
        for seam in tiles.seams():
            shift = (f"{value:.6f}" for value in seam.shift_px)
            rows.writerow([tiles.names[seam.first], tiles.names[seam.second], *shift, f"{seam.texture:.4f}"])
    if tiles.distortion_px is not None:
        np.save(folder / "distortion.npy", tiles.distortion_px)


def _write_places(path: Path, names: list[str], places_px: Float) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x_px", "y_px"])
        rows.writerows([name, f"{x:.6f}", f"{y:.6f}"] for name, (x, y) in zip(names, places_px, strict=True))


def main() -> int:
    """Write one set."""
    parser = argparse.ArgumentParser(description="Tile sets with sub-pixel truth.")
    parser.add_argument("--set", choices=SETS, required=True, dest="name")
    parser.add_argument("--seed", type=int, default=1, help="0 or more (default 1)")
    parser.add_argument("--out", type=Path, required=True, help="folder for `tiles` and `truth`; neither may be there")
    options = parser.parse_args()
    if options.seed < 0:
        parser.error(f"--seed: {options.seed} is below 0")
    if any((options.out / part).exists() for part in ("tiles", "truth")):
        parser.error(f"--out: {options.out} already holds a set")
    tiles = TileSet(SETS[options.name], options.seed)
    write_truth(tiles, options.out / "truth")
    write_tiles(tiles, options.out / "tiles")
    return 0


if __name__ == "__main__":
    sys.exit(main())
