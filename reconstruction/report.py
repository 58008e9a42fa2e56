"""What a reconstruction leaves beside its mosaic: positions, figures, a picture and a page that shows all of them."""

import base64
import csv
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

import cv2

from reconstruction.edge_map import edge_map
from reconstruction.preview import preview
from reconstruction.worker import Reconstruction

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
img, svg { width: 100%; height: auto; } td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
rect { fill: #8882; stroke: #888; } rect.stage { fill: #e90a5540; stroke: #e90; stroke-dasharray: 5 3; }
line { stroke-width: 4; } line.refused { stroke-dasharray: 3 5; opacity: .6; }
"""


def write_report(out_dir: Path, made: Reconstruction, extra: Mapping[str, object], more: str = "") -> dict[str, object]:
    """Write `positions.csv` and `report/` into a folder and return the summary.

    Args:
        extra: facts of the run for the summary; mappings go into the section of the same name and win over ours.
        more: HTML to stand in the page before the edges.
    """
    report = out_dir / "report"
    report.mkdir(parents=True, exist_ok=True)
    _write_positions(out_dir / "positions.csv", made)
    summary = merged(summarise(made), extra)
    (report / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    edges = edge_map(made.placement.tiles, made.edges, made.placement.kept, made.tile_shape)
    encoded = cv2.imencode(".png", preview(made))[1].tobytes()
    (report / "preview.png").write_bytes(encoded)
    (report / "report.html").write_text(_page(summary, encoded, more, edges), encoding="utf-8")
    return summary


def summarise(made: Reconstruction) -> dict[str, object]:
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
        },
        "mosaic": {
            "shape": list(made.canvas.shape),
            "origin_px": [made.canvas.x_px, made.canvas.y_px],
            "pixel_size_nm": None if made.pixel_size_um is None else made.pixel_size_um * 1000,
        },
        "model": {"name": made.model, "sha256": made.model_sha256},
        "time": {
            f"{name}_s" if name == "total" else f"reconstruct_{name}_s": round(value, 3)
            for name, value in made.seconds.items()
        },
    }


def merged(ours: Mapping[str, object], extra: Mapping[str, object]) -> dict[str, object]:
    """Put two summaries together, section by section; `extra` wins."""
    summary = dict(ours)
    for key, value in extra.items():
        known = summary.get(key)
        summary[key] = {**known, **value} if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return summary


def _write_positions(path: Path, made: Reconstruction) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x_px", "y_px", "placed_by", "score"])
        for tile in made.tiles:
            placed = made.placement.tiles[tile.index]
            place = (f"{placed.x_px:.4f}", f"{placed.y_px:.4f}")
            rows.writerow([tile.name, *place, placed.placed_by, f"{placed.score:.4f}"])


def _page(summary: Mapping[str, object], picture: bytes, more: str, quality: str) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in _figures(summary))
    source = "data:image/png;base64," + base64.b64encode(picture).decode()
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nanoraster report</title>'
        f"<style>{STYLE}</style></head><body><h1>nanoraster report</h1>"
        f'<img alt="the restored mosaic" src="{source}">'
        f"<h2>Figures</h2><table>{rows}</table>{more}"
        f"<h2>Edges</h2><p>Lines join neighbours, from red (no match) to green (full match); dashed ones had no say. "
        f"Dashed tiles sit where the stage model puts them.</p>{quality}</body></html>\n"
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
    return str(value)
