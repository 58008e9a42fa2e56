"""Read the list of a folder of tiles: `tiles.csv`, or Fiji's `TileConfiguration.txt`."""

import csv
import math
import re
from pathlib import Path

from reconstruction.errors import InputError, no_folder

Entry = tuple[str, float, float]  # file, x_px, y_px
CSV_NAME = "tiles.csv"
FIJI_NAME = "TileConfiguration.txt"
FIJI_LINE = re.compile(r"^(?P<file>[^;]+);[^;]*;\s*\((?P<numbers>[^()]*)\)\s*$")


LONGEST_NAME = 250
FARTHEST_PX = 1e9  # beyond, pixels can no longer be counted on


def listed_tiles(folder: Path, pixel_size_um: float | None) -> list[Entry]:
    """Read the names and nominal places of a folder's tiles, in the order given.

    Raises:
        InputError: no folder, no list, no tiles, or a line that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(no_folder(folder))
    if (folder / CSV_NAME).is_file():
        path = folder / CSV_NAME
        entries = _from_csv(path, pixel_size_um)
    elif (folder / FIJI_NAME).is_file():
        path = folder / FIJI_NAME
        entries = _from_fiji(path)
    else:
        raise InputError(f"{folder}: holds neither {CSV_NAME} nor {FIJI_NAME}")
    if not entries:
        raise InputError(f"{path}: lists no tiles")
    return entries


def _from_csv(path: Path, pixel_size_um: float | None) -> list[Entry]:
    rows = csv.reader(_text(path).splitlines())
    header = [cell.strip() for cell in next(rows, [])]
    if header == ["file", "x_px", "y_px"]:
        scale = 1.0
    elif header == ["file", "x_um", "y_um"]:
        if pixel_size_um is None:
            raise InputError(f"{path}: positions in um need a pixel size")
        scale = pixel_size_um
    else:
        raise InputError(f"{path} line 1: header is {','.join(header)!r}, not file,x_px,y_px or file,x_um,y_um")
    entries: dict[str, Entry] = {}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{path} line {rows.line_num}"
        if len(row) != 3:
            raise InputError(f"{where}: {len(row)} columns, not 3")
        x, y = (_number(cell, where) / scale for cell in row[1:])
        _append(entries, (row[0].strip(), x, y), where)
    return list(entries.values())


def _from_fiji(path: Path) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for number, raw in enumerate(_text(path).splitlines(), start=1):
        line = raw.strip()
        where = f"{path} line {number}"
        if not line or line.startswith("#"):
            continue
        if line.replace(" ", "").startswith("dim="):
            if line.replace(" ", "") != "dim=2":
                raise InputError(f"{where}: {line!r}, only dim = 2 is understood")
            continue
        match = FIJI_LINE.match(line)
        numbers = match["numbers"].split(",") if match else []
        if match is None or len(numbers) != 2:
            raise InputError(f"{where}: {line!r} is not of the form file; ; (x, y)")
        x, y = (_number(cell, where) for cell in numbers)
        _append(entries, (match["file"].strip(), x, y), where)
    return list(entries.values())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable text file") from error


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"{where}: {cell.strip()!r} is not a number") from None
    if not math.isfinite(value):
        raise InputError(f"{where}: {cell.strip()!r} is not a finite position")
    return value


def _append(entries: dict[str, Entry], entry: Entry, where: str) -> None:
    if not 0 < len(entry[0]) <= LONGEST_NAME:
        raise InputError(f"{where}: a file name of {len(entry[0])} characters, outside 1..{LONGEST_NAME}")
    if max(abs(entry[1]), abs(entry[2])) > FARTHEST_PX:
        raise InputError(
            f"{where}: position {entry[1]:g}, {entry[2]:g} px is outside -{FARTHEST_PX:g}..{FARTHEST_PX:g}"
        )
    if entry[0] in entries:
        raise InputError(f"{where}: {entry[0]} is listed twice")
    entries[entry[0]] = entry
