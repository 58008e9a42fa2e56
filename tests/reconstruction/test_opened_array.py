"""Wherever a path leads, a mosaic is made there and read back."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from reconstruction.mosaic_tiles import tile
from reconstruction.ome_tiff import write_ome_tiff
from reconstruction.opened_array import opened_array
from reconstruction.preview import overview, preview
from reconstruction.restore import restorer
from reconstruction.worker import follow
from tests.reconstruction.test_worker import ignore, levels, small


@pytest.mark.parametrize("way", ["../beside/out", "link/../out"])
def test_a_mosaic_is_made_and_read_where_a_path_leads(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here/there", "beside", "far/away"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far" / "away")  # of which .. is `far`
    monkeypatch.chdir(tmp_path / "here")
    made = follow(small(), Path(way), restorer("none"), ignore)
    truth = levels(made.mosaic_path, "raw")[0]
    assert truth.any()
    assert np.array_equal(opened_array(made.mosaic_path / "raw" / "0").read().result(), truth)
    found = tile(made.mosaic_path, "raw", 0, 0, 0)
    assert found is not None
    assert np.array_equal(found, truth[: found.shape[0], : found.shape[1]])
    shown = overview(made.mosaic_path)
    assert shown is not None
    assert shown.shape == preview(made).shape
    write_ome_tiff(made.mosaic_path, "raw", Path("out.tif"))
    assert np.array_equal(tifffile.imread("out.tif"), truth)
