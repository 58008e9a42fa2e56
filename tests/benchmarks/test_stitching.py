"""The benchmark of stitchers: its scores and verdicts say what they should; a stitcher that fails is named."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.real_sets import link_tiles
from benchmarks.stitching import Given, Row, drift_px, left, missed
from benchmarks.stitching_peers import Spent, Unable, stitch
from benchmarks.stitching_scores import Known, KnownSeam, Scores, generated, read_places, scored
from benchmarks.tile_sets import SETS, TileSet, write_tiles, write_truth

TRUE = {"a": (0.0, 0.0), "b": (10.0, 0.0), "c": (20.0, 0.0)}


def seam(
    first: str, second: str, low: tuple[float, float], high: tuple[float, float], texture: float = 1.0
) -> KnownSeam:
    return KnownSeam(first, second, low, high, texture)


def test_a_common_translation_is_no_error() -> None:
    found = {name: (x + 7, y - 3) for name, (x, y) in TRUE.items()}
    scores = scored(found, Known(TRUE, [seam("a", "b", (10, 0), (10, 0))]))
    assert scores == Scores(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_one_tile_off_counts_as_such() -> None:
    seams = [seam("a", "b", (10, 0), (10, 0)), seam("b", "c", (10, 0), (10, 0), texture=0.0)]
    scores = scored(TRUE | {"c": (23.0, 4.0)}, Known(TRUE, seams))
    assert scores.max_px == pytest.approx(5)
    assert scores.rms_px == pytest.approx(5 / 3**0.5)
    assert scores.off == pytest.approx(1 / 3)
    assert scores.seam_px == pytest.approx(5 / 2**0.5)
    assert scores.textured_seam_px == 0


def test_a_step_within_its_known_range_is_no_error() -> None:
    known = Known({}, [seam("a", "b", (9, -1), (11, 1)), seam("b", "c", (12, -1), (14, 1))])
    scores = scored(TRUE, known)
    assert (scores.rms_px, scores.off) == (None, None)
    assert scores.seam_max_px == pytest.approx(2)


def test_drift_is_the_greatest_change_within_a_hundred_frames() -> None:
    true = {str(index): (float(index), 0.0) for index in range(301)}
    found = {name: (x * 1.01, y) for name, (x, y) in true.items()}
    assert drift_px(found, true) == pytest.approx(1.0)


def test_a_target_that_nobody_measured_is_missed() -> None:
    scores = Scores(0.05, 0.1, 0.0, 0.05, 0.05, 0.1)
    found = missed([Row("A", "nanoraster", scores), Row("C", "nanoraster", unable="no"), Row("A", "ashlar")])
    assert {key: met for key, (_, _, met) in found["A"].items()} == {"rms_px": True, "seam_px": True}
    assert not any(met for _, _, met in found["C"].values())


def test_a_stitcher_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Unable, match="ValueError: no tiles"):
        stitch([sys.executable, "-c", "raise ValueError('no tiles')"], tmp_path)


def test_tells_what_a_command_spent(tmp_path: Path) -> None:
    spent = stitch([sys.executable, "-c", "b = bytearray(200_000_000); import time; time.sleep(0.3)"], tmp_path)
    assert isinstance(spent, Spent)
    assert spent.wall_s > 0.3
    assert 200 < spent.peak_mb < 300  # an interpreter takes 10


def test_nothing_is_left_in_the_seams_of_the_truth(tmp_path: Path) -> None:
    tiles = TileSet(replace(SETS["A"], grid=(2, 3), tile_px=(256, 256), overlap=0.25), 1)
    write_tiles(tiles, tmp_path / "tiles")
    write_truth(tiles, tmp_path / "truth")
    known = generated(tmp_path / "truth")
    given = Given("A", tmp_path / "tiles", known)
    assert scored(read_places(tmp_path / "truth" / "truth.csv"), known).seam_max_px < 1e-5
    assert left(given, known.places)["seam_shift_px_median"] < 0.05
    assert left(given, read_places(tmp_path / "tiles" / "tiles.csv"))["seam_shift_px_median"] > 2


def test_a_real_set_is_linked_not_copied(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    link_tiles(tmp_path, {"a.png": (1.0, 2.0)}, tmp_path / "linked")
    assert os.path.islink(tmp_path / "linked" / "a.png")
    assert read_places(tmp_path / "linked" / "tiles.csv") == {"a.png": (1.0, 2.0)}
