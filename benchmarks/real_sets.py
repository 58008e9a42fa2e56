"""Real recordings of overlapping tiles: the places a stage would claim, and what is known about the true ones.

Their folder is `shared/data` of the project; what is known comes from the README beside them.
"""

import csv
from collections.abc import Callable
from pathlib import Path

from benchmarks.stitching_scores import Known, KnownSeam, Place

Listed = dict[str, Place]


def lscm_metal_3x4(folder: Path) -> tuple[Listed, Known]:
    """Confocal images of polished metal; the authors' positions (there is another set, up to 3 px away)."""
    listed, authors = (_fiji(folder / f"TileConfiguration{suffix}.txt") for suffix in ("", "_uncorrected"))
    seams = []
    for first, second in _side_by_side(listed, 921):
        (x1, y1), (x2, y2) = authors[first], authors[second]
        seams.append(KnownSeam(first, second, (x2 - x1, y2 - y1), (x2 - x1, y2 - y1)))
    return listed, Known(authors, seams)


def robomet_metal_2x3(folder: Path) -> tuple[Listed, Known]:
    """Bright particles; columns lie 1228 to 1230 px apart, rows 914 and 924 to 926."""
    with next(folder.glob("*.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    listed = {
        f"0938410_000000_{int(row['col#']):02}_{int(row['row#']):02}.png": (
            float(row["Xposition"]),
            float(row["Yposition"]),
        )
        for row in rows
    }
    wide = 1e3  # across the step nothing was measured
    seams = []
    for first, second in _side_by_side(listed, 1227.55, 920.01):
        if listed[second][0] - listed[first][0] > 600:
            seams.append(KnownSeam(first, second, (1228, -wide), (1230, wide)))
        else:
            low, high = (914, 914) if first.endswith("00.png") else (924, 926)
            seams.append(KnownSeam(first, second, (-wide, low), (wide, high)))
    return listed, Known({}, seams)


def em_mussel_2x2(folder: Path) -> tuple[Listed, Known]:
    """Tissue in the electron microscope, distorted: its loop closes to (1, -4) px."""
    listed: Listed = {"2_1_1.png": (0, 0), "2_1_2.png": (1843, 0), "2_2_1.png": (0, 1591), "2_2_2.png": (1843, 1591)}
    measured = (
        ("2_1_1.png", "2_1_2.png", (1850, -13)),
        ("2_2_1.png", "2_2_2.png", (1850, -9)),
        ("2_1_1.png", "2_2_1.png", (27, 1596)),
        ("2_1_2.png", "2_2_2.png", (28, 1596)),
    )
    return listed, Known({}, [KnownSeam(first, second, shift, shift) for first, second, shift in measured])


def brightfield_tma_4x3(folder: Path) -> tuple[Listed, Known]:
    """Mostly empty fields with stripes of the detector; columns and rows 452 to 456 px apart, the rows -2 to 2 in x."""
    listed = {f"r{row}-c{column}.png": (454.0 * column, 454.0 * row) for row in range(4) for column in range(3)}
    seams = []
    for first, second in _side_by_side(listed, 454):
        right = listed[second][0] > listed[first][0]
        low, high = ((452.0, 0.0), (455.0, 0.0)) if right else ((-2.0, 452.0), (2.0, 456.0))
        seams.append(KnownSeam(first, second, low, high))
    return listed, Known({}, seams)


REAL: dict[str, Callable[[Path], tuple[Listed, Known]]] = {
    each.__name__: each for each in (lscm_metal_3x4, robomet_metal_2x3, em_mussel_2x2, brightfield_tma_4x3)
}


def link_tiles(source: Path, listed: Listed, folder: Path) -> None:
    """Make a folder of links to recordings, with the `tiles.csv` that all stitchers read."""
    folder.mkdir(parents=True)
    with (folder / "tiles.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x_px", "y_px"])
        for name, place in listed.items():
            rows.writerow([name, *place])
            (folder / name).symlink_to((source / name).resolve())


def _fiji(path: Path) -> Listed:
    """Read lines `file; ; (x, y)`."""
    found: Listed = {}
    for line in path.read_text().splitlines():
        parts = line.split(";")
        if len(parts) == 3:
            x, y = parts[2].strip().strip("()").split(",")
            found[parts[0].strip()] = float(x), float(y)
    return found


def _side_by_side(listed: Listed, step_x: float, step_y: float | None = None) -> list[tuple[str, str]]:
    """Give the pairs one step apart; the first is the left or the upper one."""
    cell = {name: (round(x / step_x), round(y / (step_y or step_x))) for name, (x, y) in listed.items()}
    at = {place: name for name, place in cell.items()}
    pairs = []
    for (x, y), name in at.items():
        pairs += [(name, at[other]) for other in ((x + 1, y), (x, y + 1)) if other in at]
    return pairs
