"""A finished mosaic in the formats of other programs."""

from collections.abc import Iterable
from pathlib import Path

from tifffile import imwrite

from acquisition.run_folder import RUN
from acquisition.run_frames import RunFrames
from api.errors import UsageError
from api.positions import read_positions
from reconstruction.ome_tiff import write_ome_tiff
from reconstruction.worker import MOSAIC_NAME

CONFIGURATION = "TileConfiguration.txt"
SUFFIX = ".tif"


def export(
    source: Path, out: Path | None, layer: str, tile_configuration: Path | None, tiles: Path | None = None
) -> dict[str, Path]:
    """Write what was asked for; the files by what they are.

    Args:
        tiles: a new folder for the tiles of a run, 16 bit TIFF, with their `TileConfiguration.txt`.

    Raises:
        UsageError: nothing was asked for, a file is there already, the source has no positions, or is no run (tiles).
        InputError: the source has no such layer.
    """
    if out is None and tile_configuration is None and tiles is None:
        raise UsageError("export: none of --out, --tile-configuration and --tiles says what to write")
    for path in (out, tile_configuration, tiles):
        if path is not None and path.exists():
            raise UsageError(f"{path}: is there already")
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}")
    wrote: dict[str, Path] = {}
    if out is not None:
        write_ome_tiff(source / MOSAIC_NAME, layer, out)
        wrote["picture"] = out
    if tile_configuration is not None:
        tile_configuration.write_text(_configuration(_places(source)), encoding="utf-8")
        wrote["places"] = tile_configuration
    if tiles is not None:
        _write_tiles(source, tiles)
        wrote["tiles"] = tiles
    return wrote


def _write_tiles(source: Path, folder: Path) -> None:
    """Write a run as a folder of tiles, as Fiji and `reconstruct` read it."""
    places = _places(source)
    if not (source / RUN).exists():
        raise UsageError(f"--tiles: {source} is no run; its tiles lie where they came from")
    frames = RunFrames(source, remember_edges=False)
    if frames.store.is_being_acquired():
        raise UsageError(f"--tiles: {source} is being acquired")
    taken = {tile.name: tile for batch in frames.follow() for tile in batch}
    folder.mkdir()
    for name, tile in taken.items():
        imwrite(folder / f"{name}{SUFFIX}", frames.pixels(tile))
    listed = [(f"{name}{SUFFIX}", *place) for name, *place in places if name in taken]
    (folder / CONFIGURATION).write_text(_configuration(listed), encoding="utf-8")


def _places(source: Path) -> list[tuple[str, ...]]:
    """Name, x and y of each tile, as they were found."""
    positions = source / "positions.csv"
    try:
        found = read_positions(positions)
        return [(name, f"{place.x_px:.4f}", f"{place.y_px:.4f}") for name, place in found.items()]
    except OSError as error:
        raise UsageError(f"{positions}: there is no such file; positions are written at the end") from error


def _configuration(places: Iterable[tuple[str, ...]]) -> str:
    """The text of Fiji's TileConfiguration.txt."""
    lines = [f"{name}; ; ({x}, {y})\n" for name, x, y in places]
    return "# Define the number of dimensions we are working on\ndim = 2\n\n# Define the image coordinates\n" + "".join(
        lines
    )
