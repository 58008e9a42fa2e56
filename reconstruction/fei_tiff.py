"""Images of FEI (Thermo Fisher) electron microscopes: what their metadata say, and the image without its data bar."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from reconstruction.errors import InputError

UM_PER_M = 1e6


@dataclass(frozen=True, eq=False)
class FeiImage:
    """A scanned image and how it was taken; what the file does not say is None.

    A pixel was looked at for `dwell_s` in each of `line_integration` passes of its line.
    """

    pixels: NDArray[Any]
    """(y, x), uint8 or uint16, without the data bar and the frame that marks the active quadrant."""
    pixel_size_um: tuple[float, float]
    """Width and height of a pixel (x, y)."""
    dwell_s: float | None
    line_integration: int
    stage_um: tuple[float, float] | None
    """Where the stage was (x, y)."""

    @property
    def time_per_pixel_s(self) -> float | None:
        """For how long the beam was on a pixel, all passes together."""
        return None if self.dwell_s is None else self.dwell_s * self.line_integration


def read_fei(path: Path) -> FeiImage:
    """Read a TIFF with the metadata of TIFF tag 34680 or 34682 (`[Scan]`, `[EScan]`, `[Image]`, `[Stage]`).

    The rows below the image (`Image.ResolutionY`) are the data bar and are cut off. So is the frame of the active
    quadrant where there is one: a coloured pixel all around, and inside of it a black row and column.

    Raises:
        InputError: not an image, not of such a microscope, in colour, or metadata that do not fit the image.
    """
    pixels, facts = _opened(path)
    rows, columns = _whole(facts, path, "Image", "ResolutionY"), _whole(facts, path, "Image", "ResolutionX")
    if rows > pixels.shape[0] or columns != pixels.shape[1]:
        said = f"{columns} x {rows} px, the file holds {pixels.shape[1]} x {pixels.shape[0]}"
        raise InputError(f"{path}: FEI metadata: Image.ResolutionX and Y say {said}")
    width_um, height_um = (_length_um(facts, path, name) for name in ("PixelWidth", "PixelHeight"))
    return FeiImage(
        _grey(pixels[:rows], path),
        (width_um, height_um),
        _dwell_s(facts, path),
        _passes(facts, path),
        _stage_um(facts),
    )


def is_fei(path: Path) -> bool:
    """Tell whether a file is a TIFF that carries such metadata."""
    try:
        _opened(path)
    except InputError:
        return False
    return True


def _opened(path: Path) -> tuple[NDArray[Any], Mapping[str, Mapping[str, Any]]]:
    """All pixels (y, x) or (y, x, colour), and the metadata by section and key."""
    try:
        with tifffile.TiffFile(path) as file:
            facts = file.fei_metadata
            pixels = file.pages[0].asarray() if facts else np.empty(0)
    except Exception as error:  # whatever a damaged file makes the library stumble over, memory included
        raise InputError(f"{path}: not a readable TIFF: {error}") from error
    if not facts:
        raise InputError(f"{path}: no FEI metadata (TIFF tag 34680 or 34682)")
    if pixels.ndim not in (2, 3) or pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: {pixels.ndim} dimensions of {pixels.dtype}, should be 2 (y, x) of uint8 or uint16")
    return pixels, facts


def _grey(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """One channel of (y, x) or (y, x, colour), less the rim where that is coloured."""
    if pixels.ndim == 2:
        return pixels
    coloured = (pixels != pixels[..., :1]).any(axis=-1)
    if not coloured.any():
        return np.ascontiguousarray(pixels[..., 0])
    inner, coloured = pixels[1:-1, 1:-1, 0], coloured[1:-1, 1:-1]
    if coloured.any():
        raise InputError(f"{path}: {int(coloured.sum())} coloured pixels, should be grey inside of its frame")
    return np.ascontiguousarray(inner[int(not inner[0].any()) :, int(not inner[:, 0].any()) :])


def _number(facts: Mapping[str, Any], section: str, key: str) -> float | None:
    """What the file says, also if it is no number that can be meant; None if it does not say any."""
    found = facts.get(section, {})
    value = found.get(key) if isinstance(found, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _dwell_s(facts: Mapping[str, Any], path: Path) -> float | None:
    for section, key in (("Scan", "Dwelltime"), ("EScan", "Dwell")):
        value = _number(facts, section, key)
        if value is not None:
            if not 0 < value < np.inf:
                raise InputError(f"{path}: FEI metadata: {section}.{key} = {value:g}, should be a time in s above 0")
            return value
    return None


def _passes(facts: Mapping[str, Any], path: Path) -> int:
    """How often each line was scanned; a file that does not say it, or says 0, means once."""
    value = _number(facts, "EScan", "LineIntegration") or 1.0
    if not 1 <= value < np.inf:
        raise InputError(f"{path}: FEI metadata: EScan.LineIntegration = {value:g}, should be a whole number above 0")
    return int(value)


def _whole(facts: Mapping[str, Any], path: Path, section: str, key: str) -> int:
    value = _number(facts, section, key)
    if value is None or not 1 <= value < np.inf or value != int(value):
        raise InputError(f"{path}: FEI metadata: {section}.{key} = {value}, should be a whole number above 0")
    return int(value)


def _length_um(facts: Mapping[str, Any], path: Path, key: str) -> float:
    metres = _number(facts, "Scan", key)
    metres = _number(facts, "EScan", key) if metres is None else metres
    if metres is None or not np.isfinite(metres) or metres <= 0:
        raise InputError(f"{path}: FEI metadata: Scan.{key} = {metres}, should be a length in metre above 0")
    return metres * UM_PER_M


def _stage_um(facts: Mapping[str, Any]) -> tuple[float, float] | None:
    x, y = _number(facts, "Stage", "StageX"), _number(facts, "Stage", "StageY")
    if x is None or y is None or not np.isfinite([x, y]).all():
        return None
    return x * UM_PER_M, y * UM_PER_M
