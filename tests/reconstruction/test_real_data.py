"""Real recordings, each against the best that is known about it."""

import csv
from pathlib import Path

import numpy as np
import pytest

from reconstruction.restore import restorer
from reconstruction.tile_folder import TileFolder
from reconstruction.tile_lists import FIJI_LINE
from reconstruction.worker import Reconstruction, follow
from tests.reconstruction.scenes import DATA, errors_px

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real recordings is not beside the repository")


def reconstructed(folder: Path, out: Path) -> Reconstruction:
    return follow(TileFolder(folder), out, restorer("none"), lambda progress: None)


def listed(out: Path, folder: Path, places: dict[str, tuple[float, float]]) -> Path:
    """Make a folder with links to recordings and a list of their nominal places."""
    out.mkdir()
    with (out / "tiles.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "x_px", "y_px"])
        for name, place in places.items():
            rows.writerow([name, *place])
            (out / name).symlink_to(folder / name)
    return out


def step(result: Reconstruction, first: str, second: str) -> tuple[float, float]:
    by_name = {placed.tile.name: placed for placed in result.placement.tiles.values()}
    return by_name[second].x_px - by_name[first].x_px, by_name[second].y_px - by_name[first].y_px


def test_confocal_metal_lies_where_its_authors_found_it(tmp_path: Path) -> None:
    folder = DATA / "lscm_metal_3x4"
    result = reconstructed(folder, tmp_path)
    placed = {p.tile.name: (p.x_px, p.y_px) for p in result.placement.tiles.values()}
    for name, limit_px in (("_uncorrected", 1.6), (".registered", 4.0)):
        lines = (folder / f"TileConfiguration{name}.txt").read_text().splitlines()
        matches = [match for match in map(FIJI_LINE.match, lines) if match]
        truth = {m["file"].strip(): tuple(map(float, m["numbers"].split(","))) for m in matches}
        error = errors_px(np.array([placed[key] for key in truth]), np.array(list(truth.values())))
        assert error.max() <= limit_px


def test_particles_keep_the_measured_steps(tmp_path: Path) -> None:
    folder = DATA / "robomet_metal_2x3"
    rows = list(csv.DictReader(next(folder.glob("*.csv")).read_text().splitlines(), skipinitialspace=True))
    name = "0938410_000000_{:02d}_{:02d}.png".format
    nominal = {name(int(r["col#"]), int(r["row#"])): (float(r["Xposition"]), float(r["Yposition"])) for r in rows}
    result = reconstructed(listed(tmp_path / "tiles", folder, nominal), tmp_path / "out")
    for row in range(3):
        assert step(result, name(0, row), name(1, row))[0] == pytest.approx(1229, abs=2)
    for column in range(2):
        assert step(result, name(column, 0), name(column, 1))[1] == pytest.approx(914, abs=2)
        assert step(result, name(column, 1), name(column, 2))[1] == pytest.approx(925, abs=2)


def test_tissue_in_the_electron_microscope_closes_its_loop(tmp_path: Path) -> None:
    places = {"2_1_1.png": (0, 0), "2_1_2.png": (1843, 0), "2_2_1.png": (0, 1591), "2_2_2.png": (1843, 1591)}
    folder = listed(tmp_path / "tiles", DATA / "em_mussel_2x2", places)
    result = reconstructed(folder, tmp_path / "out")
    measured = {(0, 1): (1850, -13), (2, 3): (1850, -9), (0, 2): (27, 1596), (1, 3): (28, 1596)}
    edges = {(edge.a, edge.b): edge for edge in result.edges}
    for key, expected in measured.items():
        assert edges[key].accepted
        assert (edges[key].dx_px, edges[key].dy_px) == pytest.approx(expected, abs=5)  # the images are distorted
    assert result.placement.residual_px_max <= 5


def test_mostly_empty_fields_are_not_joined_wrongly(tmp_path: Path) -> None:
    places = {f"r{r}-c{c}.png": (454.0 * c, 454.0 * r) for r in range(4) for c in range(3)}
    result = reconstructed(listed(tmp_path / "tiles", DATA / "brightfield_tma_4x3", places), tmp_path / "out")
    for edge in result.edges:
        if edge.accepted:
            right = edge.b - edge.a == 1
            along, across = (edge.dx_px, edge.dy_px) if right else (edge.dy_px, edge.dx_px)
            assert 450 <= along <= 458
            assert abs(across) <= (1.0 if right else 3.5)
