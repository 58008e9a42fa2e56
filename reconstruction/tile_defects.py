"""Which tiles of a folder cannot be used, and why: every tile is looked at before anything is written.

Left out are tiles that are absent or unreadable, of another size or depth than most, black, or copies of another one.
Grey values of another depth are not converted: how much of its range a camera used, nobody has written down.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from reconstruction.errors import InputError
from reconstruction.threads import threads
from reconstruction.tile_files import Header, header_of, read_grey

EVERY = 8  # row and column that is looked at
DARK, BRIGHT = 1.0, 99.0  # percentiles
BLACK_SHARE = 0.5  # of the darkest parts of the other tiles; a field without specimen is as bright as those


@dataclass(frozen=True)
class Looks:
    """What a tile looks like, in a few numbers."""

    header: Header
    constant: bool
    dark: float
    bright: float
    print: int  # alike for copies


def defects(paths: Sequence[Path]) -> tuple[Header, dict[int, str]]:
    """Find the size and depth of most tiles, and by their index one line about each that cannot be used.

    Raises:
        InputError: half of the tiles or more cannot be read or are unlike the others, or none shows anything.
    """
    looks: dict[int, Looks] = {}
    wrong: dict[int, str] = {}
    with ThreadPoolExecutor(threads()) as pool:
        for index, found in enumerate(pool.map(_looked, paths)):
            if isinstance(found, InputError):
                wrong[index] = str(found)
            else:
                looks[index] = found
    _refuse(wrong, len(paths), 0.5)
    usual = Counter(each.header for each in looks.values()).most_common(1)[0][0]
    for index, each in looks.items():
        if each.header != usual:
            wrong[index] = f"{paths[index]}: {each.header}, but most are {usual}"
    _refuse(wrong, len(paths), 0.5)
    wrong |= _black(paths, {index: each for index, each in looks.items() if index not in wrong})
    wrong |= _copies(paths, {index: each for index, each in looks.items() if index not in wrong})
    _refuse(wrong, len(paths), 1.0)
    return usual, wrong


def _looked(path: Path) -> Looks | InputError:
    try:
        return look(path)
    except InputError as error:
        return error


def _refuse(wrong: dict[int, str], tiles: int, share: float) -> None:
    """Refuse a folder of which such a share cannot be used, in the words of the first of them."""
    if len(wrong) >= share * tiles:
        first = wrong[min(wrong)]
        raise InputError(first if len(wrong) == 1 else f"{first}; {len(wrong)} of {tiles} tiles cannot be used")


def look(path: Path) -> Looks:
    """Read a tile once.

    Raises:
        InputError: absent, unreadable, coloured, or of another depth than 8 or 16 bit.
    """
    pixels = read_grey(path)
    few = np.ascontiguousarray(pixels[::EVERY, ::EVERY])
    dark, bright = np.percentile(few, [DARK, BRIGHT])
    least, most, _, _ = cv2.minMaxLoc(pixels)
    return Looks(header_of(pixels), least == most, float(dark), float(bright), zlib.crc32(few.tobytes()))


def _black(paths: Sequence[Path], looks: dict[int, Looks]) -> dict[int, str]:
    """Find tiles without any picture."""
    usual = float(np.median([each.dark for each in looks.values()])) if looks else 0.0
    found = {}
    for index, each in looks.items():
        if each.constant:
            found[index] = f"{paths[index]}: all pixels are {each.bright:g}"
        elif each.bright < BLACK_SHARE * usual:
            found[index] = f"{paths[index]}: black: {each.bright:g} where others have {usual:g} in their darkest parts"
    return found


def _copies(paths: Sequence[Path], looks: dict[int, Looks]) -> dict[int, str]:
    """Find tiles that are pixel by pixel an earlier one: noise makes no picture twice."""
    found = {}
    seen: dict[int, int] = {}
    for index, each in looks.items():
        first = seen.setdefault(each.print, index)
        if first != index and np.array_equal(read_grey(paths[first]), read_grey(paths[index])):
            found[index] = f"{paths[index]}: the same picture as {paths[first].name}"
    return found
