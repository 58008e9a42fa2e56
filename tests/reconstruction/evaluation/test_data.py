"""What can be evaluated on, and how clearly the rest is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reconstruction.errors import InputError
from reconstruction.evaluation.data import Case, grey_range, read_data
from reconstruction.evaluation.specimen import exposures
from tests.reconstruction.evaluation.pairs import noisy_pair, pair_folder, write
from tests.reconstruction.scenes import texture


def test_pairs_are_found_by_name_or_listed(tmp_path: Path) -> None:
    folder = pair_folder(tmp_path / "named", (1, 2))
    named = read_data(folder, pixel_nm=5.0, align=False)
    (folder / "pairs.csv").write_text("low,high\nlow/2.png,high/2.png\n")
    listed = read_data(folder, align=False)
    assert [case.name for case in named.cases] == ["1.png", "2.png"]
    assert [case.name for case in listed.cases] == ["2.png"]
    assert (named.data_range, named.pixel_nm, listed.pixel_nm) == (255.0, 5.0, None)
    frame, truth = noisy_pair(2)
    assert np.array_equal(listed.cases[0].frame, frame)
    assert np.array_equal(listed.cases[0].truth, truth)


def test_a_truth_is_laid_on_its_frame(tmp_path: Path) -> None:
    frame, truth = noisy_pair(5, 260)
    write(tmp_path / "low" / "a.png", frame[5:205, 4:214])
    write(tmp_path / "high" / "a.png", truth[4:204, 6:216])
    (case,) = read_data(tmp_path).cases
    assert case.truth is not None
    assert case.residual_px is not None
    assert case.residual_px < 0.25
    rim = (200 - case.frame.shape[0]) // 2
    inside = truth[5 + rim : 205 - rim, 4 + rim : 214 - rim]
    assert np.array_equal(case.frame, frame[5 + rim : 205 - rim, 4 + rim : 214 - rim])
    assert np.abs(case.truth - inside).mean() < 3  # grey levels; a shift by a pixel would make it 10


def test_laying_a_truth_on_its_frame_leaves_its_range(tmp_path: Path) -> None:
    frame, truth = (np.clip(image.astype(np.uint16) * 19, 0, 4095).astype(np.uint16) for image in noisy_pair(5, 260))
    write(tmp_path / "low" / "a.png", frame[5:205, 4:214])
    write(tmp_path / "high" / "a.png", truth[4:204, 6:216])
    assert read_data(tmp_path, align=True).data_range == read_data(tmp_path, align=False).data_range == 4095.0


def test_single_images_have_no_truth(tmp_path: Path) -> None:
    write(tmp_path / "b.png", noisy_pair(1)[0])
    (tmp_path / "notes.txt").write_text("not an image")
    data = read_data(tmp_path)
    assert not data.has_truth
    assert [case.name for case in data.cases] == ["b.png"]


def test_decibels_count_from_the_bits_in_use() -> None:
    def of(most: int, dtype: type) -> float:
        return grey_range([Case("a", np.full((64, 64), most, dtype), None)])

    assert (of(30, np.uint8), of(30, np.uint16), of(3000, np.uint16), of(60000, np.uint16)) == (255, 255, 4095, 65535)


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def listing(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "pairs.csv").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without("high/2.png"), "high: no 2.png"),
        (without("low/1.png"), "low: no 1.png"),
        (listing("a,b\n1,2\n"), "header low,high"),
        (listing("low,high\nlow/1.png,high/9.png\n"), "line 2: high: 'high/9.png'"),
        (lambda folder: write(folder / "high" / "1.png", noisy_pair(1)[1][:-8]), "220 x 200 .* 220 x 192 .* not pair"),
        (
            lambda folder: write(folder / "high" / "1.png", noisy_pair(1)[1].astype(np.uint16)),
            "uint16: they do not pair",
        ),
        (lambda folder: write(folder / "high" / "1.png", noisy_pair(7)[1]), "do not show the same field"),
        (lambda folder: (folder / "low" / "1.png").write_text("no image"), "not a readable image"),
        (lambda folder: write(folder / "low" / "1.png", np.zeros((20, 30), np.uint8)), "30 x 20 px"),
    ],
)
def test_pairs_that_do_not_pair_are_refused(tmp_path: Path, spoil: Callable[[Path], object], words: str) -> None:
    folder = pair_folder(tmp_path / "data", (1, 2))
    spoil(folder)
    with pytest.raises(InputError, match=words):
        read_data(folder)


def test_folders_without_anything_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_data(tmp_path / "absent")
    with pytest.raises(InputError, match=r"no pairs.csv, no low/ with high/, and no image"):
        read_data(tmp_path)
    write(tmp_path / "a.png", np.zeros((64, 64), np.uint8))
    write(tmp_path / "b.png", np.zeros((64, 64), np.uint16))
    with pytest.raises(InputError, match="uint16 and uint8"):
        read_data(tmp_path)


def test_a_specimen_is_photographed_with_its_dose() -> None:
    specimen = texture("lamellae", (800, 1200), 1)
    data = exposures(specimen, "lamellae", 80.0, 30.0, seed=1, frames=3)
    assert [case.name for case in data.cases] == ["row 0, column 0", "row 0, column 2", "row 1, column 2"]
    for case in data.cases:
        assert case.truth is not None
        brightness = (case.truth - 10) / 235  # of black and white
        assert (case.frame - case.truth).mean() == pytest.approx(0, abs=0.6)  # some is cut off at 255
        expected = brightness.mean() / 30 * 235**2  # Poisson
        assert (case.frame - case.truth).var() == pytest.approx(expected, rel=0.1)
    again = exposures(specimen, "lamellae", 80.0, 30.0, seed=1, frames=3)
    assert np.array_equal(again.cases[0].frame, data.cases[0].frame)
    for change, words in (({"quanta": 0.0}, "electrons: 0"), ({"frames": 7}, r"images: 7 is outside 1..6")):
        with pytest.raises(InputError, match=words):
            exposures(specimen, "lamellae", 80.0, **{"quanta": 30.0, "seed": 1, "frames": 1, **change})
