"""Fast and slow images of one field from a real microscope: what classical denoisers are worth there."""

from pathlib import Path

import pytest

from reconstruction.evaluation.data import read_data
from reconstruction.evaluation.methods import methods_for
from reconstruction.metrics.psnr import psnr_db
from tests.reconstruction.scenes import DATA

PAIRS = DATA / "sem_noise_pairs"

pytestmark = pytest.mark.skipif(not PAIRS.is_dir(), reason="the folder of real recordings is not beside the repository")


def test_denoisers_gain_on_real_pairs_what_was_measured(tmp_path: Path) -> None:
    rows = [f"{PAIRS}/Line_off_{n}.tif,{PAIRS}/Line_50x_{n}.tif" for n in ("003", "021")]
    (tmp_path / "pairs.csv").write_text("\n".join(["low,high", *rows]))
    data = read_data(tmp_path)
    assert data.pixel_nm == pytest.approx(5.828, abs=0.001)
    assert all(case.residual_px is not None and case.residual_px < 0.1 for case in data.cases)
    found = {}
    for method in methods_for(data, []):
        found[method.name] = sum(
            psnr_db(case.truth, one.restore(case.frame), 255) / len(data.cases)
            for case, one in zip(data.cases, method.restorers, strict=True)
            if case.truth is not None
        )
    assert found["input"] == pytest.approx(22.8, abs=0.2)
    assert found["nlm"] > found["input"] + 3.5
    assert found["nlm_tuned"] > found["input"] + 7.5  # the noise of scanned lines is stronger than it seems to nlm
    assert max(found, key=lambda name: found[name]) == "nlm_tuned"
