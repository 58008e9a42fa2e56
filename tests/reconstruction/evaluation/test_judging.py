"""The table: what stands in it is what was measured, and no method has seen what it is judged on."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.baselines import FAMILIES, best_of
from reconstruction.errors import InputError
from reconstruction.evaluation.data import Case, DataSet
from reconstruction.evaluation.files import write_files
from reconstruction.evaluation.intervals import mean_with_interval
from reconstruction.evaluation.judging import Evaluation, evaluate
from reconstruction.evaluation.methods import methods_for
from reconstruction.evaluation.pictures import write_pictures
from reconstruction.evaluation.stitching import acceptance, second_exposure
from reconstruction.metrics.psnr import psnr_db
from reconstruction.restore import deviation_steps
from tests.reconstruction.evaluation.pairs import noisy_pair


class Halved:
    """Makes everything half as bright, as a model would that is wrong."""

    name = "halved"
    sha256 = "0" * 64
    halo_px = 0
    scale = 1

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        return frame // 2


def data_set(seeds: tuple[int, ...] = (1, 2, 3), side: int = 200, truth: bool = True) -> DataSet:
    pairs = [noisy_pair(seed, side) for seed in seeds]
    cases = [Case(f"{i}.png", low, high.astype(np.float32) if truth else None) for i, (low, high) in enumerate(pairs)]
    return DataSet("grains", tuple(cases), 255.0, 4.0)


@pytest.fixture(scope="module")
def made() -> Evaluation:
    data = data_set(side=160)
    return evaluate(data, methods_for(data, [Halved()]), border_px=10)


def test_a_value_is_that_of_the_image_without_its_border(made: Evaluation) -> None:
    frame, truth = noisy_pair(2, 160)
    inside = slice(10, -10), slice(10, -10)
    assert made.values["input"]["psnr_db"][1] == pytest.approx(psnr_db(truth[inside], frame[inside], 255))
    assert made.values["halved"]["psnr_db"][1] == pytest.approx(psnr_db(truth[inside], frame[inside] // 2, 255))
    assert made.values["input"]["rsp"] == pytest.approx([1, 1, 1])


def test_what_another_exposure_changes_is_the_noise_that_is_left(made: Evaluation) -> None:
    noise = [made.inside(case.frame - case.truth).std() for case in made.data.cases if case.truth is not None]
    assert made.values["input"]["repeat_rms"] == pytest.approx(noise, rel=0.05)
    assert made.mean("halved", "repeat_rms").mean == pytest.approx(np.mean(noise) / 2, rel=0.05)  # all else is bias
    assert made.values["halved"]["psnr_db"][0] < made.values["input"]["psnr_db"][0]


def test_a_parameter_was_chosen_on_the_other_half(made: Evaluation) -> None:
    cases = made.data.cases
    others = [(case.frame, case.truth) for case in cases[1::2]]
    expected = best_of(FAMILIES["gaussian"], others, lambda truth, image: psnr_db(truth, image, 255))
    (method,) = [method for method in made.methods if method.name == "gaussian"]
    assert method.restorers[0] == method.restorers[2] == expected
    assert method.chosen == "on the other half of the pairs"
    single = methods_for(data_set((1,)), [])
    assert {method.chosen for method in single} == {"fixed", "the middle of its grid: no other pair to choose on"}


def test_files_hold_means_intervals_and_gains(made: Evaluation, tmp_path: Path) -> None:
    found = write_files(made, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == found
    by_name = {method["name"]: method for method in found["methods"]}
    values = made.values["gaussian"]["psnr_db"]
    mean = by_name["gaussian"]["mean"]["psnr_db"]
    assert mean["mean"] == pytest.approx(np.mean(values))
    assert min(values) <= mean["low_95"] <= mean["mean"] <= mean["high_95"] <= max(values)
    gain = by_name["gaussian"]["over_input"]["psnr_db"]["mean"]
    assert gain == pytest.approx(np.mean(values) - np.mean(made.values["input"]["psnr_db"]))
    assert gain > 3
    assert by_name[found["best_classical"]]["over_best_classical"]["psnr_db"]["mean"] == 0
    assert (by_name["halved"]["kind"], by_name["halved"]["sha256"]) == ("model", ["0" * 64])
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found["methods"]) * len(found["metrics"])
    (row,) = [row for row in rows if (row["method"], row["metric"]) == ("gaussian", "psnr_db")]
    assert float(row["mean"]) == pytest.approx(mean["mean"], rel=1e-5)
    with (tmp_path / "images.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3 * len(found["methods"])


def test_without_a_truth_there_are_metrics_that_need_none(tmp_path: Path) -> None:
    data = data_set((1, 2), side=128, truth=False)
    made = evaluate(data, methods_for(data, []), border_px=4)
    found = write_files(made, tmp_path)
    assert set(found["metrics"]) == {"rsp", "rse", "decorrelation_px", "sem_niqe"}
    assert found["best_classical"] is None
    assert made.mean("gaussian", "sem_niqe").images == 2


def test_what_an_image_is_too_small_for_is_remarked_and_left_out() -> None:
    data = data_set((1,), side=80)
    made = evaluate(data, methods_for(data, [], baselines=False), border_px=0)
    assert any("sem_niqe: 0.png: image: 100 x 80 px" in remark for remark in made.remarks)
    assert made.mean("input", "sem_niqe").mean is None
    assert made.mean("input", "stitch_accepted_pct").images == 0


class HalvedAgain(Halved):
    sha256 = "1" * 64


def test_models_of_one_name_are_told_apart_by_their_hashes() -> None:
    methods = methods_for(data_set((1,)), [Halved(), HalvedAgain()], baselines=False)
    assert [method.name for method in methods] == ["input", "halved 00000000", "halved 11111111"]


class Sure(Halved):
    """Knows the frame, and says that it is off by two grey values everywhere."""

    name = "sure"

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        return frame

    def restore_with_deviation(self, frame: NDArray[Any]) -> NDArray[Any]:
        return np.stack([frame, np.full_like(frame, 2 * deviation_steps(frame.dtype))])


def test_a_model_that_says_how_far_it_is_off_is_held_to_it(tmp_path: Path) -> None:
    data = data_set((1,), side=128)
    made = evaluate(data, methods_for(data, [Sure()], baselines=False))
    truth = data.cases[0].truth
    assert truth is not None
    error = made.inside(data.cases[0].frame - truth)
    assert made.values["sure"]["deviation_ratio"] == [pytest.approx(np.sqrt(np.square(error).mean()) / 2)]
    assert made.values["sure"]["deviation_coverage_pct"] == [pytest.approx(100 * (np.abs(error) <= 4).mean())]
    assert made.mean("input", "deviation_ratio").mean is None
    assert [remark.split(":")[0] for remark in made.remarks] == ["ms_ssim"]  # of 96 px are too few
    assert "calibration" in write_pictures(made, tmp_path)


class Doubled(Halved):
    """Makes four pixels of one, whose mean it is."""

    name = "doubled"
    scale = 2

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        pattern = np.tile(np.array([[3, -3], [-3, 3]]), frame.shape)
        return np.clip(np.kron(frame, np.ones((2, 2))) + pattern, 0, 255).astype(frame.dtype)


def test_a_model_that_makes_more_pixels_is_averaged_back() -> None:
    data = data_set((1,), side=128)
    method = methods_for(data, [Doubled()], baselines=False)[1]
    assert (method.name, method.chosen) == ("doubled", "averaged over 2 x 2 px")
    frame = data.cases[0].frame.clip(3, 252)
    assert np.array_equal(method.restorers[0].restore(frame), frame)
    made = evaluate(data, [*methods_for(data, [], baselines=False), method])
    assert made.values["doubled"]["psnr_db"] == pytest.approx(made.values["input"]["psnr_db"], abs=0.1)


def test_what_cannot_be_compared_is_refused() -> None:
    data = data_set((1,))
    with pytest.raises(InputError, match="halved 00000000: given twice"):
        evaluate(data, methods_for(data, [Halved(), Halved()], baselines=False))
    with pytest.raises(InputError, match=r"border_px: 90 is outside 0..84"):
        evaluate(data, methods_for(data, [], baselines=False), border_px=90)
    unscaled = DataSet("a", data.cases, 255.0, None)
    with pytest.raises(InputError, match="size of a pixel"):
        evaluate(unscaled, methods_for(data, [], baselines=False), lines=True)


def test_tiles_are_stitched_by_what_they_show_not_by_their_noise() -> None:
    frame, truth = noisy_pair(4, 300)
    case = Case("a", frame, truth.astype(np.float32))
    again = second_exposure(case)
    noise, other = frame - case.truth, again - case.truth
    assert other.std() == pytest.approx(noise.std(), rel=0.1)
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.02
    bright = truth > np.median(truth)
    assert other[bright].std() == pytest.approx(noise[bright].std(), rel=0.1)
    good = acceptance(frame, again)
    assert (good.pairs, good.accepted, good.wrong) == (24, 24, 0)
    assert good.error_px < 0.3
    empty = np.random.default_rng(0).normal(128, 20, (2, 300, 320)).clip(0, 255).astype(np.uint8)
    assert acceptance(empty[0], empty[1]).accepted == 0
    assert acceptance(frame[:100], again[:100]).pairs == 0


def test_an_interval_covers_the_mean_and_needs_two_images() -> None:
    values = np.random.default_rng(0).normal(10, 2, 400)
    mean = mean_with_interval(values.tolist())
    assert mean.mean == pytest.approx(values.mean())
    assert mean.high is not None
    assert mean.low is not None
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)  # as for a normal mean
    assert mean_with_interval([3.0, np.nan]) == (3.0, None, None, 1)
    assert mean_with_interval([np.inf]) == (None, None, None, 0)


def test_lines_are_not_measured_where_there_are_none() -> None:
    data = replace(data_set((1,), side=128), pixel_nm=5.0)
    with pytest.raises(InputError, match=r"lines: no truth shows any: .*no lines along y"):
        evaluate(data, methods_for(data, [], baselines=False), lines=True)
    blind = replace(data, cases=tuple(replace(case, truth=None) for case in data.cases))
    with pytest.raises(InputError, match=r"lines: .* held against a truth, and there is none"):
        evaluate(blind, methods_for(blind, [], baselines=False), lines=True)


def test_of_equal_images_no_psnr_counts_and_a_warning_says_so() -> None:
    one, other = data_set((1, 2)).cases
    assert one.truth is not None
    data = DataSet("grains", (replace(one, frame=one.truth.astype(np.uint8)), other), 255.0, 4.0)
    made = evaluate(data, [method for method in methods_for(data, []) if method.name == "input"])
    for name in ("psnr_db", "psnr_gain_fitted_db", "psnr_shift_fitted_db"):
        assert made.mean("input", name).images == 1
        assert f"{name}: 0.png: infinite, the images are equal; left out of the mean" in made.remarks
    assert not any(remark.startswith("psnr") for remark in made.remarks if "0.png" not in remark)
