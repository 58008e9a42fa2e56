"""`nanoraster video` as a user has it: recorded videos to a mosaic."""

import csv
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import yaozarrs

from tests.api.conftest import told
from tests.reconstruction.films import Shooting, straight, write_film
from tests.reconstruction.scenes import errors_px, texture

Command = Callable[..., CompletedProcess[str]]
SHAPE = 144, 192


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    """Two rows in serpentine, with a torn frame in the first."""
    camera = Shooting(texture("natural", (420, 800), 3), SHAPE, 8.0)
    forth, back = straight((40.0, 20.0), (7.3, 0.0), 60), straight((480.0, 130.0), (-7.3, 0.0), 60)
    return [
        write_film(tmp_path / "row 1.avi", camera.film(forth, {30: "torn"})),
        write_film(tmp_path / "row 2.avi", camera.film(back)),
    ]


def test_two_rows_become_a_mosaic(nanoraster: Command, films: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = told(nanoraster("video", *films, "--out", out, "--pixel-nm", 20, "--json"))
    yaozarrs.validate_zarr_store(done["mosaic"])
    video = done["summary"]["video"]
    first = video["files"]["row 1.avi"]
    assert (first["frames"], first["rejected"]) == (60, {"torn": 1})
    assert first["speed_um_s"] == pytest.approx(25 * 7.3 * 0.02, rel=0.02)
    assert first["overlap"]["within_band"] >= 3
    assert video["files"]["row 2.avi"]["rows"][0]["found"]
    rows = list(csv.DictReader((out / "positions.csv").read_text().splitlines()))
    assert [row["file"].split("#")[0] for row in rows] == ["row 1.avi"] * first["chosen"] + ["row 2.avi"] * (
        video["chosen"] - first["chosen"]
    )
    numbers = [int(row["file"].split("#")[1]) for row in rows]
    truth = [(40 + 7.3 * n, 20.0) for n in numbers[: first["chosen"]]]
    truth += [(480 - 7.3 * n, 130.0) for n in numbers[first["chosen"] :]]
    found = np.array([(float(row["x_px"]), float(row["y_px"])) for row in rows])
    assert errors_px(found, np.array(truth)).max() < 0.5
    page = (out / "report" / "report.html").read_text()
    plot = (out / "report" / "overlap.svg").read_text()
    assert plot in page
    assert len(ET.fromstring(plot).findall("circle")) == video["chosen"] - 2
    assert sorted(path.name for path in out.iterdir()) == ["mosaic.zarr", "positions.csv", "report", "worker.lock"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--overlap", "0.6:0.3"], "--overlap 0.6:0.3: should be LOW:HIGH"),
        (["--crop", "1,2,3"], "--crop 1,2,3: should be X,Y,WIDTH,HEIGHT"),
        (["--crop", "0,0,100,150"], "reaches beyond pictures of 192 x 144 px"),
        (["--rows", "up"], "--rows up: should be found, same, serpentine"),
        (["--stage-um-s", "0"], "--stage-um-s 0: outside"),
        (["--pixel-nm", "-2"], "--pixel-nm -2: outside"),
        (["--model", "magic"], "magic"),
    ],
)
def test_what_cannot_be_used_is_refused(
    nanoraster: Command, films: list[Path], tmp_path: Path, options: list[str], said: str
) -> None:
    out = tmp_path / "out"
    refused = nanoraster("video", films[0], "--out", out, *options)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not out.exists()
