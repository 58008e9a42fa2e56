"""What a reconstruction leaves beside its mosaic: positions, figures, a picture and a page that shows all of them."""

import base64
import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from statistics import median_high as median
from typing import Any

import cv2
from numpy.typing import NDArray

from reconstruction.bend_map import bend_map, strongest_px
from reconstruction.edge_map import edge_map
from reconstruction.placement import PlacedTile
from reconstruction.preview import preview
from reconstruction.seams import SeamShifts, seam_shifts
from reconstruction.sources import Tile
from reconstruction.worker import Reconstruction

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
img, svg { width: 100%; height: auto; } td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; }
rect { fill: #8882; stroke: #888; } rect.stage { fill: #e90a5540; stroke: #e90; stroke-dasharray: 5 3; }
svg.bend { max-width: 32rem; } polyline { fill: none; stroke: #28c; stroke-width: 1.5; }
line { stroke-width: 4; } line.refused { stroke-dasharray: 3 5; opacity: .6; }
"""


def write_report(
    out_dir: Path,
    made: Reconstruction,
    pixels: Callable[[Tile], NDArray[Any]],
    extra: Mapping[str, object],
    left_out: Sequence[Tile] = (),
    more: str = "",
) -> dict[str, object]:
    """Write `positions.csv` and `report/` into a folder and return the summary.

    Args:
        pixels: reads a frame of the source (y, x), for another look at some of the seams.
        extra: facts of the run for the summary; mappings go into the section of the same name and win over ours.
        left_out: listed tiles that could not be used; among the positions they keep the place that the stage claims.
        more: HTML to stand in the page before the edges.
    """
    report = out_dir / "report"
    report.mkdir(parents=True, exist_ok=True)
    _write_positions(out_dir / "positions.csv", made, left_out)
    summary = merged(summarise(made, seam_shifts(made.placement, pixels)), extra)
    (report / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    edges = edge_map(made.placement.tiles, made.edges, made.placement.kept, made.tile_shape)
    encoded = cv2.imencode(".png", preview(made))[1].tobytes()
    (report / "preview.png").write_bytes(encoded)
    page = _page(summary, encoded, more, edges + _bend(made))
    (report / "report.html").write_text(page, encoding="utf-8")
    return summary


def summarise(made: Reconstruction, seams: SeamShifts) -> dict[str, object]:
    """Compose the figures that a reconstruction alone knows."""
    placed = made.placement.tiles.values()
    return {
        "tiles": {
            "planned": made.planned,
            "ok": len(made.tiles),
            "placed_by_stage": sum(entry.placed_by == "stage" for entry in placed),
        },
        "stitch": {
            "edges": len(made.edges),
            "accepted": sum(edge.accepted for edge in made.edges),
            "kept": len(made.placement.kept),
            "residual_px_rms": round(made.placement.residual_px_rms, 4),
            "residual_px_max": round(made.placement.residual_px_max, 4),
            "stage_scatter_px": round(made.placement.stage_scatter_px, 4),
            "seam_shift_px_median": _rounded(seams.median_px),
            "seam_shift_px_p95": _rounded(seams.p95_px),
            "seam_patches": seams.patches,
        }
        | _strongest(made),
        "mosaic": {
            "shape": list(made.canvas.shape),
            "origin_px": [made.canvas.x_px, made.canvas.y_px],
            "pixel_size_nm": None if made.pixel_size_um is None else made.pixel_size_um * 1000,
        },
        "fusion": asdict(made.fusion) | made.brightness.summary(),
        "model": {"name": made.model, "sha256": made.model_sha256, **_agreement(made)},
        "time": {
            f"{name}_s" if name == "total" else f"reconstruct_{name}_s": round(value, 3)
            for name, value in made.seconds.items()
        },
    }


def _agreement(made: Reconstruction) -> dict[str, object]:
    """How far restored tiles explain what was recorded, and where some do not; nothing if none was restored."""
    names = {tile.index: tile.name for tile in made.tiles}
    known = {names[index]: found for index, found in made.consistencies.items() if index in names}
    values = sorted(found.agreement for found in known.values() if found.agreement is not None)
    misfits = {name: found.misfit for name, found in known.items() if found.misfit is not None}
    if not values and not misfits:
        return {}
    whole = {"agreement_least": round(values[0], 4), "agreement_median": round(median(values), 4)} if values else {}
    standing_out = [{"tile": name} | misfit.facts() for name, misfit in misfits.items() if misfit.stands_out]
    return {
        **whole,
        "doubtful_tiles": [name for name, found in known.items() if found.doubtful],
        "misfits": sorted(standing_out, key=lambda facts: -float(facts["strength"])),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _strongest(made: Reconstruction) -> dict[str, float]:
    bend = made.placement.distortion
    return {} if bend is None else {"distortion_px_max": round(strongest_px(bend, made.tile_shape), 4)}


def merged(ours: Mapping[str, object], extra: Mapping[str, object]) -> dict[str, object]:
    """Put two summaries together, section by section; `extra` wins."""
    summary = dict(ours)
    for key, value in extra.items():
        known = summary.get(key)
        summary[key] = {**known, **value} if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return summary


def _write_positions(path: Path, made: Reconstruction, left_out: Sequence[Tile]) -> None:
    unused = {tile.index: PlacedTile(tile, tile.x_px, tile.y_px, "stage", 0.0) for tile in left_out}
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x_px", "y_px", "placed_by", "score"])
        for _, placed in sorted((unused | made.placement.tiles).items()):
            place = (f"{placed.x_px:.4f}", f"{placed.y_px:.4f}")
            rows.writerow([placed.tile.name, *place, placed.placed_by, f"{placed.score:.4f}"])


def _bend(made: Reconstruction) -> str:
    bend = made.placement.distortion
    if bend is None:
        return ""
    strongest = strongest_px(bend, made.tile_shape)
    return (
        f"<h2>Distortion</h2><p>Every tile is bent alike, by {strongest:.2f} px at most; it is taken out of places and "
        f"mosaic. Straight lines in a tile lie on the specimen as drawn, exaggerated.</p>"
        f"{bend_map(bend, made.tile_shape)}"
    )


def _page(summary: Mapping[str, object], picture: bytes, more: str, quality: str) -> str:
    figures = _figures({key: value for key, value in summary.items() if key != "remarks"})
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in figures)
    source = "data:image/png;base64," + base64.b64encode(picture).decode()
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nanoraster report</title>'
        f"<style>{STYLE}</style></head><body><h1>nanoraster report</h1>"
        f'<img alt="the restored mosaic" src="{source}">'
        f"{_remarks(summary.get('remarks'))}<h2>Figures</h2><table>{rows}</table>{more}"
        f"<h2>Edges</h2><p>Lines join neighbours, from red (no match) to green (full match); dashed ones had no say. "
        f"Dashed tiles sit where the stage model puts them. {_seams(summary)}</p>{quality}</body></html>\n"
    )


def _remarks(lines: object) -> str:
    if not isinstance(lines, list) or not lines:
        return ""
    return f"<h2>Remarks</h2><ul>{''.join(f'<li>{escape(str(line))}</li>' for line in lines)}</ul>"


def _seams(summary: Mapping[str, object]) -> str:
    stitch = summary["stitch"]
    if not isinstance(stitch, Mapping) or stitch["seam_shift_px_median"] is None:
        return "No seam shows enough to be measured again."
    return (
        f"Tiles laid out and registered once more, on {stitch['seam_patches']} patches of the seams, are off by "
        f"{stitch['seam_shift_px_median']:.2f} px (median), {stitch['seam_shift_px_p95']:.2f} px (95 % are below)."
    )


def _figures(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _figures(value, f"{prefix}{key} ")
        elif value is not None:
            found.append((f"{prefix}{key}".replace("_", " "), _spelled(value)))
    return found


def _spelled(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_spelled, value)) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_spelled(each)}".replace("_", " ") for key, each in value.items())
    return str(value)
