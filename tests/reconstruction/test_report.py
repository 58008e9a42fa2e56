"""What lies beside the mosaic: positions, figures, picture and page."""

import csv
import json
from pathlib import Path

import cv2
import pytest

from reconstruction.preview import round_length
from reconstruction.report import write_report
from reconstruction.restore import restorer
from reconstruction.worker import follow
from tests.reconstruction.scenes import scan


def test_report_tells_all_and_needs_nothing_else(tmp_path: Path) -> None:
    scene = scan("grains", 0.2, size=256, rows=3, columns=3, blank_corner=True)
    scene.pixel_size_um = 0.02
    result = follow(scene, tmp_path, restorer("none"), lambda progress: None)
    extra = {"tiles": {"ok": 9, "failed": 0}, "faults": ["lost frame"], "remarks": ["a.tif: black; left out"]}
    summary = write_report(tmp_path, result, scene.pixels, extra)
    assert json.loads((tmp_path / "report/summary.json").read_text()) == summary
    assert summary["tiles"] == {"planned": 9, "ok": 9, "placed_by_stage": 1, "failed": 0}
    assert summary["mosaic"]["pixel_size_nm"] == pytest.approx(20)
    assert {"edges", "accepted", "residual_px_rms"} <= set(summary["stitch"])
    assert 0 < summary["stitch"]["seam_shift_px_median"] < summary["stitch"]["seam_shift_px_p95"] < 0.3
    assert summary["model"] == {"name": "none", "sha256": None}
    rows = list(csv.DictReader((tmp_path / "positions.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [tile.name for tile in scene.tiles]
    assert [row["placed_by"] for row in rows] == ["registration"] * 8 + ["stage"]
    picture = cv2.imread(str(tmp_path / "report/preview.png"), cv2.IMREAD_UNCHANGED)
    assert picture.ndim == 2
    assert max(picture.shape) <= 1600
    page = (tmp_path / "report/report.html").read_text()
    assert "data:image/png;base64," in page
    assert "<svg" in page
    assert "<li>a.tif: black; left out</li>" in page
    assert "http" not in page


def test_scale_bars_have_round_lengths() -> None:
    assert [round_length(value) for value in (0.0314, 1.0, 2.4, 7.0, 99.0)] == pytest.approx([0.02, 1, 2, 5, 50])
