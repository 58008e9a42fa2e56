"""A mosaic as OME-TIFF, read back with tifffile and compared with the Zarr."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from reconstruction.errors import InputError
from reconstruction.ome_tiff import write_ome_tiff
from reconstruction.restore import restorer
from reconstruction.worker import follow
from tests.reconstruction.test_worker import ignore, levels, small


def test_the_picture_and_its_scale_are_those_of_the_mosaic(tmp_path: Path) -> None:
    scene = small()
    scene.pixel_size_um = 0.05
    made = follow(scene, tmp_path, restorer("none"), ignore, live=False)
    write_ome_tiff(made.mosaic_path, "raw", tmp_path / "out.ome.tif")
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        assert tiff.is_ome
        series = tiff.series[0]
        expected = levels(made.mosaic_path, "raw")
        assert len(series.levels) == len(expected) > 1
        for found, level in zip(series.levels, expected, strict=True):
            assert np.array_equal(found.asarray(), level)
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"]) == (0.05, 0.05)
    assert pixels["PhysicalSizeXUnit"] == pixels["PhysicalSizeYUnit"] == "µm"
    assert pixels["Plane"]["PositionX"] == pytest.approx(made.canvas.x_px * 0.05)
    assert pixels["Plane"]["PositionY"] == pytest.approx(made.canvas.y_px * 0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mosaic.zarr", "out.ome.tif"]


def test_a_mosaic_of_unknown_scale_claims_none(tmp_path: Path) -> None:
    made = follow(small(), tmp_path, restorer("none"), ignore, live=False)
    write_ome_tiff(made.mosaic_path, "restored", tmp_path / "out.ome.tif")
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tiff:
        assert "PhysicalSize" not in tiff.ome_metadata


def test_an_unknown_layer_is_refused_by_name(tmp_path: Path) -> None:
    made = follow(small(), tmp_path, restorer("none"), ignore, live=False)
    with pytest.raises(InputError, match=r"no layer 'better'; its layers are raw, restored"):
        write_ome_tiff(made.mosaic_path, "better", tmp_path / "out.ome.tif")
    with pytest.raises(InputError, match="there is no mosaic"):
        write_ome_tiff(tmp_path / "nowhere", "raw", tmp_path / "out.ome.tif")
    assert not (tmp_path / "out.ome.tif").exists()
