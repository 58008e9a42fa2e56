"""`report/` of a run, at any time: while it goes on, after it ended, and after it was cut off."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from acquisition.run_frames import RunFrames
from api.night.night import read_night
from api.night.page import page
from api.positions import Position, read_positions
from reconstruction.edge_map import edge_map
from reconstruction.placement import PlacedTile
from reconstruction.preview import overview, small_png
from reconstruction.sources import Tile

MOSAIC = "mosaic.zarr"
MOST_EDGES = 20_000  # a map of more is more than a browser likes, and than an eye can see
PAGE_PICTURE_BYTES = 4_000_000
TOLD_PICTURE_BYTES = 200_000  # what mail servers and chat services take without complaint


def write_night_report(run: Path, results: Path | None = None) -> Mapping[str, Any]:
    """Write `report/report.html` and `report/summary.json` from what the run's directory holds by now; the summary.

    Args:
        results: the folder with mosaic and positions, where that is not the run directory.

    Raises:
        RunError: not a run, or `positions.csv` is damaged.
        OSError: it cannot be written.
    """
    results = results or run
    night = read_night(run, results)
    report = results / "report"
    report.mkdir(exist_ok=True)
    _replace(report / "summary.json", json.dumps(dict(night.summary), indent=2) + "\n")
    picture = overview(results / MOSAIC)
    png = None if picture is None else small_png(picture, PAGE_PICTURE_BYTES)
    _replace(report / "report.html", page(night, png, _edges(run, results)))
    return night.summary


def mosaic_picture(run: Path) -> bytes | None:
    """A PNG of the mosaic as far as it is drawn, small enough for a message; None if nothing is."""
    picture = overview(run / MOSAIC)
    return None if picture is None else small_png(picture, TOLD_PICTURE_BYTES)


def _edges(run: Path, results: Path) -> str:
    """The map of the overlaps; tiles that were not placed yet lie where the plan has them."""
    frames = RunFrames(run, remember_edges=True)
    try:
        edges = frames.known_edges()
        if len(edges) > MOST_EDGES:
            return ""
        path = results / "positions.csv"
        positions = read_positions(path) if path.exists() else {}
        planned = {tile.index: tile for tile in frames.planned()}
        placed = {index: _placed(planned[index], positions) for edge in edges for index in (edge.a, edge.b)}
        return edge_map(placed, edges, {(edge.a, edge.b) for edge in edges if edge.accepted}, frames.tile_shape)
    finally:
        frames.store.close()


def _placed(tile: Tile, positions: Mapping[str, Position]) -> PlacedTile:
    """A tile where the worker put it, else where it was planned."""
    found = positions.get(tile.name)
    if found is None:
        return PlacedTile(tile, tile.x_px, tile.y_px, "stage", 0.0)
    by: Literal["registration", "stage"] = "stage" if found.placed_by == "stage" else "registration"
    return PlacedTile(tile, found.x_px, found.y_px, by, found.score)


def _replace(path: Path, text: str) -> None:
    """Write a file that a browser may be reading."""
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # of a full disk nobody says which
        raise
