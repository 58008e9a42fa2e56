"""`reconstruct` with its corrections, and `export`, as a user has them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from api.errors import UsageError
from api.export import export
from tests.api.conftest import told

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiles of noise, the second 2 px further right than it is said to be and 10 % brighter."""
    folder = tmp_path_factory.mktemp("tiles")
    specimen = np.random.default_rng(1).integers(20000, 40000, (200, 400))
    tifffile.imwrite(folder / "a.tif", specimen[:, :250].astype(np.uint16))
    tifffile.imwrite(folder / "b.tif", (specimen[:, 150:] * 1.1).astype(np.uint16))
    (folder / "tiles.csv").write_text("file,x_px,y_px\na.tif,0,0\nb.tif,148,0\n")
    return folder


def test_a_mosaic_and_its_places_are_exported(nanoraster: Command, tiles: Path, tmp_path: Path) -> None:
    made, tiff, places = tmp_path / "made", tmp_path / "out.ome.tif", tmp_path / "TileConfiguration.txt"
    summary = told(nanoraster("reconstruct", tiles, "--out", made, "--pixel-nm", 20, "--json"))["summary"]
    assert summary["fusion"]["exposure_range"] == pytest.approx(0.095, abs=0.02)
    done = told(nanoraster("export", made, "--out", tiff, "--tile-configuration", places, "--json"))
    assert done == {"picture": str(tiff), "places": str(places)}
    assert np.array_equal(tifffile.imread(tiff), zarr.open_array(made / "mosaic.zarr/raw/0", mode="r")[:])
    lines = places.read_text().splitlines()
    assert "dim = 2" in lines
    assert [line.split(";")[0] for line in lines[-2:]] == ["a.tif", "b.tif"]
    again = nanoraster("export", made, "--out", tiff)
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_without_corrections_pixels_are_copied(nanoraster: Command, tiles: Path, tmp_path: Path) -> None:
    options = ["--blend", "feather", "--no-flat-field", "--no-exposure", "--whole-pixel", "--json"]
    done = told(nanoraster("reconstruct", tiles, "--out", tmp_path / "made", *options))
    assert done["summary"]["fusion"] == {
        "blend": "feather",
        "flat_field": False,
        "exposure": False,
        "sub_pixel": False,
        "exposure_range": 0,
        "shading_range": 0,
    }
    origin = done["summary"]["mosaic"]["origin_px"]
    image = np.asarray(zarr.open_array(tmp_path / "made/mosaic.zarr/raw/0", mode="r")[:])
    places = (tmp_path / "made/positions.csv").read_text().splitlines()[1].split(",")
    left, top = round(float(places[1])) - origin[0], round(float(places[2])) - origin[1]
    assert np.array_equal(image[top : top + 200, left : left + 140], tifffile.imread(tiles / "a.tif")[:, :140])
    group = json.loads((tmp_path / "made/mosaic.zarr/raw/zarr.json").read_text())["attributes"]
    assert group["nanoraster"]["fusion"]["blend"] == "feather"


def test_what_cannot_be_exported_is_refused(nanoraster: Command, tiles: Path, tmp_path: Path) -> None:
    blend = nanoraster("reconstruct", tiles, "--out", tmp_path / "made", "--blend", "best")
    assert blend.returncode == 2
    assert "blend: 'best' is not one of feather, bands" in blend.stderr
    assert not (tmp_path / "made").exists()
    with pytest.raises(UsageError, match="none of --out"):
        export(tmp_path, None, "raw", None)
    with pytest.raises(UsageError, match="there is no folder"):
        export(tmp_path, tmp_path / "nowhere" / "out.tif", "raw", None)
    with pytest.raises(UsageError, match="positions are written at the end"):
        export(tmp_path, None, "raw", tmp_path / "TileConfiguration.txt")
    (tmp_path / "positions.csv").write_text("file,x_px,y_px,placed_by,score\n")
    with pytest.raises(UsageError, match="is no run"):
        export(tmp_path, None, "raw", None, tmp_path / "tiles")
