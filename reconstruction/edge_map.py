"""The edge-quality map of a report, as inline SVG: tiles as rectangles, edges by the colour of their score."""

from collections.abc import Collection, Mapping, Sequence
from html import escape

from reconstruction.canvas import around
from reconstruction.placement import PlacedTile
from reconstruction.registration import Edge

WIDTH_PX = 900.0


def edge_map(
    tiles: Mapping[int, PlacedTile],
    edges: Sequence[Edge],
    kept: Collection[tuple[int, int]],
    tile_shape: tuple[int, int],
) -> str:
    """Draw tiles at their places and the edges among them; an edge that is not `kept`, (a, b), is dashed."""
    if not tiles:
        return ""
    covered = around(tiles.values(), tile_shape)
    scale = WIDTH_PX / covered.width_px
    rows, columns = tile_shape
    shapes: list[str] = []
    for placed in tiles.values():
        x, y = (placed.x_px - covered.x_px) * scale, (placed.y_px - covered.y_px) * scale
        title = f"{placed.tile.name}: {placed.placed_by}, score {placed.score:.3f}"
        shapes.append(
            f'<rect class="{placed.placed_by}" x="{x:.1f}" y="{y:.1f}" width="{columns * scale:.1f}" '
            f'height="{rows * scale:.1f}"><title>{escape(title)}</title></rect>'
        )
    for edge in edges:
        ends = (tiles[edge.a], tiles[edge.b])
        (x1, y1), (x2, y2) = (
            ((end.x_px - covered.x_px + columns / 2) * scale, (end.y_px - covered.y_px + rows / 2) * scale)
            for end in ends
        )
        used = (edge.a, edge.b) in kept
        hue = 120 * min(max(edge.score, 0.0), 1.0)  # red to green
        title = f"{ends[0].tile.name} to {ends[1].tile.name}: NCC {edge.score:.3f}{'' if used else ', not used'}"
        shapes.append(
            f'<line class="{"kept" if used else "refused"}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="hsl({hue:.0f} 60% 42%)"><title>{escape(title)}</title></line>'
        )
    height = covered.height_px * scale
    return f'<svg viewBox="0 0 {WIDTH_PX:.0f} {height:.0f}" role="img">{"".join(shapes)}</svg>'
