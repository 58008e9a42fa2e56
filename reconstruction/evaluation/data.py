"""What restorers are evaluated on: frames, and for each the truth where there is one."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError, no_folder
from reconstruction.fei_tiff import is_fei, read_fei
from reconstruction.metrics.images import range_of_bits
from reconstruction.tile_files import read_grey
from reconstruction.training.pairs import registered

LIST = "pairs.csv"
SUFFIXES = {".tif", ".tiff", ".png", ".bmp", ".jpg", ".jpeg"}
LEAST_PX = 64  # of a frame, along each axis


@dataclass(frozen=True, eq=False)
class Case:
    """A frame (y, x), uint8 or uint16, and the truth in its grey values, None if nobody knows.

    `residual_px`: how well the truth lies on the frame (rms), None if they were taken as they are.
    """

    name: str
    frame: NDArray[Any]
    truth: NDArray[np.float32] | None
    residual_px: float | None = None


@dataclass(frozen=True, eq=False)
class DataSet:
    """Cases that are alike; either all have a truth or none has. `data_range`: of the grey values."""

    name: str
    cases: tuple[Case, ...]
    data_range: float
    pixel_nm: float | None

    @property
    def has_truth(self) -> bool:
        """Whether restored images can be held against something."""
        return self.cases[0].truth is not None


def read_data(folder: Path, pixel_nm: float | None = None, align: bool = True) -> DataSet:
    """Read a folder: `pairs.csv` (header `low,high`), or `low/NAME` with `high/NAME`, or single images without truth.

    Args:
        pixel_nm: size of a pixel, where the files do not say it.
        align: lay each truth on its frame, shift and bend, of which 0.25 px may be left; else they are taken as is.

    Raises:
        InputError: nothing there, a file is missing, unreadable or too small, or two do not pair.
    """
    if not folder.is_dir():
        raise InputError(no_folder(folder))
    pairs = list(_pairs(folder))
    singles = [] if pairs else [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    if not pairs and not singles:
        raise InputError(f"{folder}: no {LIST}, no low/ with high/, and no image ({', '.join(sorted(SUFFIXES))})")
    first = pairs[0][0] if pairs else singles[0]
    cases = [_paired(*pair, align) for pair in pairs] or [_single(path) for path in singles]
    depths = sorted({str(case.frame.dtype) for case in cases})
    if len(depths) > 1:
        raise InputError(f"{folder}: {' and '.join(depths)} images, should be of one depth")
    size_nm = pixel_nm or (1000 * read_fei(first).pixel_size_um[0] if is_fei(first) else None)
    return DataSet(folder.name, tuple(cases), grey_range(cases), size_nm)


def grey_range(cases: list[Case]) -> float:
    """The range of grey values that decibels are counted from; see `range_of_bits`."""
    most = max(float((case.frame if case.truth is None else case.truth).max()) for case in cases)
    return range_of_bits(cases[0].frame.dtype, most)


def _pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Paths of low and high definition; none if the folder is not one of pairs."""
    if (folder / LIST).is_file():
        yield from _listed(folder)
    elif (folder / "low").is_dir() or (folder / "high").is_dir():
        names = [_names(folder / side) for side in ("low", "high")]
        for side, missing in (("high", names[0] - names[1]), ("low", names[1] - names[0])):
            if missing:
                raise InputError(f"{folder / side}: no {min(missing)}, which its partner has")
        if not names[0]:
            raise InputError(f"{folder / 'low'}: no image ({', '.join(sorted(SUFFIXES))})")
        for name in sorted(names[0]):
            yield folder / "low" / name, folder / "high" / name


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise InputError(no_folder(folder))
    return {path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES}


def _listed(folder: Path) -> Iterator[tuple[Path, Path]]:
    try:
        rows = list(csv.DictReader((folder / LIST).read_text(encoding="utf-8-sig").splitlines(), skipinitialspace=True))
    except UnicodeDecodeError as error:
        raise InputError(f"{folder / LIST}: not a text file: {error}") from error
    if not rows or not {"low", "high"} <= set(rows[0]):
        raise InputError(f"{folder / LIST}: should have the header low,high and a line for each pair")
    for number, row in enumerate(rows, 2):
        for key in ("low", "high"):
            if not row[key] or not (folder / row[key]).is_file():
                raise InputError(f"{folder / LIST} line {number}: {key}: {row[key]!r}: no such file")
        yield folder / row["low"], folder / row["high"]


def _paired(low_path: Path, high_path: Path, align: bool) -> Case:
    low, high = _read(low_path), _read(high_path)
    if low.shape != high.shape or low.dtype != high.dtype:
        said = [f"{image.shape[1]} x {image.shape[0]} px of {image.dtype}" for image in (low, high)]
        raise InputError(f"{low_path}: {said[0]}, but {high_path}: {said[1]}: they do not pair")
    if not align:
        return Case(low_path.name, low, high.astype(np.float32))
    pair = registered(low, high, str(low_path))
    return Case(low_path.name, pair.low, pair.high, pair.residual_px)


def _single(path: Path) -> Case:
    return Case(path.name, _read(path), None)


def _read(path: Path) -> NDArray[Any]:
    """Read an image, an FEI microscope's without its data bar."""
    pixels = read_fei(path).pixels if is_fei(path) else read_grey(path)
    if min(pixels.shape) < LEAST_PX:
        raise InputError(f"{path}: {pixels.shape[1]} x {pixels.shape[0]} px, should have {LEAST_PX} along each axis")
    return pixels
