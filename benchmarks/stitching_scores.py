"""How far places are from the truth, or from what is known of a real recording."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.tile_sets import TEXTURED_SHARE

OFF_PX = 2.0
Place = tuple[float, float]  # x, y


@dataclass(frozen=True)
class KnownSeam:
    """Two neighbours, and least and greatest (x, y) of what the second is displaced by; `texture` as in `seams.csv`."""

    first: str
    second: str
    low_px: Place
    high_px: Place
    texture: float = 1.0


@dataclass(frozen=True)
class Known:
    """What is known about a set of tiles; no `places` where only displacements are known."""

    places: Mapping[str, Place]
    seams: Sequence[KnownSeam]


@dataclass(frozen=True)
class Scores:
    """Errors in px: of the places after the median translation, and of the displacements of neighbours."""

    rms_px: float | None
    max_px: float | None
    off: float | None  # part of the tiles that are more than 2 px off
    seam_px: float
    textured_seam_px: float
    seam_max_px: float


def read_places(path: Path) -> dict[str, Place]:
    """Read `file,x_px,y_px` and whatever follows."""
    with path.open(newline="") as file:
        return {row["file"]: (float(row["x_px"]), float(row["y_px"])) for row in csv.DictReader(file)}


def generated(truth: Path) -> Known:
    """Read the truth of a generated set."""
    with (truth / "seams.csv").open(newline="") as file:
        seams = []
        for row in csv.DictReader(file):
            shift = float(row["dx_px"]), float(row["dy_px"])
            seams.append(KnownSeam(row["first"], row["second"], shift, shift, float(row["texture"])))
    return Known(read_places(truth / "truth.csv"), seams)


def scored(found: Mapping[str, Place], known: Known) -> Scores:
    """Compare; a displacement within its known range is no error."""
    seams = np.array([_seam_error(found, seam) for seam in known.seams])
    textured = np.array([seam.texture >= TEXTURED_SHARE for seam in known.seams])
    rms = greatest = off = None
    if known.places:
        away = np.array([np.subtract(found[name], place) for name, place in known.places.items()])
        error = np.hypot(*(away - np.median(away, axis=0)).T)
        rms, greatest, off = _rms(error), float(error.max()), float((error > OFF_PX).mean())
    return Scores(rms, greatest, off, _rms(seams), _rms(seams[textured]), float(seams.max()))


def _seam_error(found: Mapping[str, Place], seam: KnownSeam) -> float:
    shift = np.subtract(found[seam.second], found[seam.first])
    return float(np.hypot(*np.maximum(np.maximum(seam.low_px - shift, shift - seam.high_px), 0.0)))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))
