"""The map of quality: the grid of a plan, each tile in the colour of what became of it."""

from collections.abc import Sequence
from html import escape

from acquisition.tile_fates import FATES, Fate, TileFate

CELL, GAP = 10, 1
WIDEST_PX = 72  # a tile on the page, however few there are
TITLED = 10_000  # tiles; on a larger map only those that are not simply `ok` say something under the pointer
EXPLAINED: dict[Fate, str] = {
    "ok": "taken at once",
    "retried": "taken at a later attempt",
    "flagged": "taken, but doubtful",
    "skipped": "given up",
    "failed": "not taken",
    "missing": "not tried",
}


def quality_map(fates: Sequence[TileFate]) -> str:
    """Draw the map and its legend with the number of tiles of each colour; y points down, as in the mosaic."""
    if not fates:
        return ""
    rows, columns = (
        max(values) + 1 for values in zip(*((fate.tile.row, fate.tile.col) for fate in fates), strict=True)
    )
    cells = "".join(_cell(fate, len(fates) <= TITLED) for fate in fates)
    size = f'viewBox="0 0 {columns * CELL} {rows * CELL}" style="max-width:{columns * WIDEST_PX}px"'
    picture = f'<svg class="map" {size} role="img">{cells}</svg>'
    return f"{picture}<p>{_legend(fates)}</p>"


def _cell(found: TileFate, titled: bool) -> str:
    x, y, side = found.tile.col * CELL, found.tile.row * CELL, CELL - GAP
    box = f'<rect class="{found.fate}" x="{x}" y="{y}" width="{side}" height="{side}" rx="1"'
    if found.fate == "ok" and not titled:
        return f"{box}/>"
    return f"{box}><title>{escape(_said(found))}</title></rect>"


def _said(found: TileFate) -> str:
    tile = found.tile
    lines = [f"tile {tile.index}, row {tile.row}, column {tile.col}: {EXPLAINED[found.fate]}"]
    if len(found.attempts) > 1:
        lines.append(f"{len(found.attempts)} attempts")
    return "\n".join(lines + found.reasons)


def _legend(fates: Sequence[TileFate]) -> str:
    counts = {fate: sum(found.fate == fate for found in fates) for fate in FATES}
    return " ".join(
        f'<span class="legend"><i class="{fate}"></i>{count} {EXPLAINED[fate]}</span>'
        for fate, count in counts.items()
        if count
    )
