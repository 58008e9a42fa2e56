"""What every peer is given and gives back; runs in the peer's own environment and needs numpy alone."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

Places = np.ndarray  # (tiles, 2), x first


def run(stitch: Callable[[list[Path], Places, float, Path], Places]) -> None:
    """Stitch the folder of the first argument, with the reach (px) of the third; the places go into the second.

    `stitch` gets the files, the places that the stage claims, the reach, and a folder for a mosaic, if it makes one.
    """
    folder, out, reach_px = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    with (folder / "tiles.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    claimed = np.array([(float(row["x_px"]), float(row["y_px"])) for row in listed])
    places = stitch([folder / row["file"] for row in listed], claimed, reach_px, out.parent)
    with out.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x_px", "y_px"])
        rows.writerows([row["file"], f"{x:.6f}", f"{y:.6f}"] for row, (x, y) in zip(listed, places, strict=True))


def neighbours(claimed: Places, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Give the pairs whose claimed places overlap by at least half a side in one direction."""
    size = np.array([shape[1], shape[0]])
    pairs = []
    for first in range(len(claimed)):
        shared = 1 - np.abs(claimed[first + 1 :] - claimed[first]) / size
        near = (shared.min(axis=1) > 0.02) & (shared.max(axis=1) >= 0.5)
        pairs += [(first, first + 1 + int(other)) for other in np.flatnonzero(near)]
    return pairs
