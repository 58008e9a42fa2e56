"""A finished mosaic in the formats of other programs."""

import csv
from pathlib import Path

from api.errors import UsageError
from reconstruction.ome_tiff import write_ome_tiff
from reconstruction.worker import MOSAIC_NAME


def export(source: Path, out: Path | None, layer: str, tile_configuration: Path | None) -> dict[str, Path]:
    """Write what was asked for; the files by what they are.

    Raises:
        UsageError: nothing was asked for, a file is there already, or the source has no positions.
        InputError: the source has no such layer.
    """
    if out is None and tile_configuration is None:
        raise UsageError("export: neither --out nor --tile-configuration says what to write")
    for path in (out, tile_configuration):
        if path is not None and path.exists():
            raise UsageError(f"{path}: is there already")
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}")
    wrote: dict[str, Path] = {}
    if out is not None:
        write_ome_tiff(source / MOSAIC_NAME, layer, out)
        wrote["picture"] = out
    if tile_configuration is not None:
        tile_configuration.write_text(_configuration(source / "positions.csv"), encoding="utf-8")
        wrote["places"] = tile_configuration
    return wrote


def _configuration(positions: Path) -> str:
    """The text of Fiji's TileConfiguration.txt with the places that were found."""
    try:
        with positions.open(newline="", encoding="utf-8") as file:
            lines = [f"{row['file']}; ; ({row['x_px']}, {row['y_px']})\n" for row in csv.DictReader(file)]
    except OSError as error:
        raise UsageError(f"{positions}: there is no such file; positions are written at the end") from error
    return "# Define the number of dimensions we are working on\ndim = 2\n\n# Define the image coordinates\n" + "".join(
        lines
    )
