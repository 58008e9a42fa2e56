"""Where the tiles of a mosaic lie, as its `positions.csv` says."""

import csv
from pathlib import Path
from typing import NamedTuple

from acquisition.run_store import RunError


class Position(NamedTuple):
    """Where a tile lies in the mosaic, what placed it (`stage` or `registration`), and how sure that is (0..1)."""

    x_px: float
    y_px: float
    placed_by: str
    score: float


def read_positions(path: Path) -> dict[str, Position]:
    """Every tile of the file, by name.

    Raises:
        OSError: it cannot be read.
        RunError: it is damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["file"]: _position(row) for row in csv.DictReader(file)}
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        words = f"it has no {error}" if isinstance(error, KeyError) else error
        raise RunError(f"{path}: damaged: {words}; put it aside, `nanoraster reconstruct` makes it anew") from error


def _position(row: dict[str, str]) -> Position:
    return Position(float(row["x_px"]), float(row["y_px"]), row["placed_by"], float(row["score"]))
