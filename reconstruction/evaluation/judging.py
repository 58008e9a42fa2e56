"""Restore every case by every method, and measure what came of it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.evaluation.data import Case, DataSet
from reconstruction.evaluation.intervals import Mean, mean_with_interval
from reconstruction.evaluation.methods import Method
from reconstruction.evaluation.stitching import acceptance, second_exposure
from reconstruction.metrics.line_edges import line_edges
from reconstruction.metrics.registry import Judged, Metric, metrics_for
from reconstruction.restore import Restorer, UncertainRestorer, deviation_steps

BORDER_PX = 16
LEAST_INSIDE_PX = 32
EQUAL = "infinite, the images are equal; left out of the mean"
KEPT = 8  # cases whose images are kept for pictures


@dataclass(frozen=True)
class Column:
    """A metric as it stands in the table."""

    name: str
    unit: str
    better: str
    meaning: str


AGAIN = (
    Column("repeat_rms", "grey values", "lower", "what another exposure changes, over sqrt(2); other errors are bias"),
    Column("stitch_accepted_pct", "%", "higher", "tiles of 128 px, overlap 25 %: shifts that registration believes"),
    Column("stitch_wrong_pct", "%", "lower", "of all shifts, those believed though off by more than 1 px"),
    Column("stitch_error_px", "px", "lower", "rms distance of the others from the truth"),
)
"""Of what was restored of two exposures of a field, both with the noise of the first: see `stitching`."""


@dataclass(eq=False)
class Evaluation:
    """Values by method, metric and case; NaN where one could not be computed, which `remarks` tells.

    `restored`: images (y, x) by method, of the first cases; `deviations`: how far those may be off, of methods that
    say so.
    """

    data: DataSet
    methods: list[Method]
    columns: list[Column]
    border_px: int
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    restored: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    deviations: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    cpu_s_per_mpx: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def pictured(self) -> tuple[Case, ...]:
        """Cases of which images are kept."""
        return self.data.cases[:KEPT]

    def mean(self, method: str, metric: str) -> Mean:
        """Over cases, with its interval."""
        return mean_with_interval(self.values[method][metric])

    def over(self, method: str, other: str, metric: str) -> Mean:
        """Mean difference of a method from another one on the same cases, with its interval."""
        both = zip(self.values[method][metric], self.values[other][metric], strict=True)
        return mean_with_interval([one - another for one, another in both])

    def best_classical(self) -> str | None:
        """The classical denoiser with the greatest mean PSNR; None without a truth, or where none was run."""
        names = [method.name for method in self.methods if method.kind == "classical"]
        if not names or not self.data.has_truth:
            return None
        return max(names, key=lambda name: self.mean(name, "psnr_db").mean or -math.inf)

    def inside(self, image: NDArray[Any]) -> NDArray[Any]:
        """What is left of an image (y, x) without the border that nobody is judged on."""
        rim = self.border_px
        return image[rim : image.shape[0] - rim, rim : image.shape[1] - rim]


def evaluate(
    data: DataSet,
    methods: Sequence[Method],
    border_px: int = BORDER_PX,
    lines: bool = False,
    heard: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Judge all methods on all cases, each without the same border.

    Args:
        lines: whether the images show printed lines along y, whose width and roughness count.
        heard: hears how many of how many images were restored and judged.

    Raises:
        InputError: two methods of one name, a border that leaves nothing, or lines without a pixel size, a truth, or
            any in it.
    """
    names = [method.name for method in methods]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"model {twice}: given twice")
    least = min(min(case.frame.shape) for case in data.cases)
    if not 0 <= border_px <= (least - LEAST_INSIDE_PX) // 2:
        raise InputError(f"border_px: {border_px} is outside 0..{(least - LEAST_INSIDE_PX) // 2}")
    if lines:
        _refuse_without_lines(data)
    uncertain = any(isinstance(method.restorers[0], UncertainRestorer) for method in methods)
    metrics = metrics_for(data.has_truth, lines, uncertain)
    made = Evaluation(data, list(methods), _columns(metrics, data.has_truth), border_px)
    for method in methods:
        made.values[method.name] = {column.name: [] for column in made.columns}
        made.restored[method.name] = []
        made.cpu_s_per_mpx[method.name] = 0.0
    for number, case in enumerate(data.cases):
        again = second_exposure(case) if data.has_truth else None
        for done, method in enumerate(methods):
            _judge(made, method, number, case, again, metrics)
            heard(number * len(methods) + done + 1, len(data.cases) * len(methods))
    return made


def _refuse_without_lines(data: DataSet) -> None:
    """Refuse to measure lines where there are none; where some images have none, remarks will tell."""
    if data.pixel_nm is None:
        raise InputError("lines: the size of a pixel is not known, which their widths need")
    if not data.has_truth:
        raise InputError("lines: their width and roughness are held against a truth, and there is none")
    said = ""
    for case in data.cases:
        assert case.truth is not None
        try:
            line_edges(case.truth)
        except InputError as error:
            said = said or f"{case.name}: {error}"
        else:
            return
    raise InputError(f"lines: no truth shows any: {said}")


def _judge(
    made: Evaluation,
    method: Method,
    number: int,
    case: Case,
    again: NDArray[Any] | None,
    metrics: Sequence[Metric],
) -> None:
    restorer = method.restorers[number]
    begun_s = time.process_time()
    image, deviation = _restored(restorer, case.frame)
    made.cpu_s_per_mpx[method.name] += (time.process_time() - begun_s) / (case.frame.size / 1e6) / len(made.data.cases)
    if number < KEPT:
        made.restored[method.name].append(image)
        if deviation is not None:
            made.deviations.setdefault(method.name, []).append(deviation)
    truth, off = (None if each is None else made.inside(each) for each in (case.truth, deviation))
    judged = Judged(made.inside(image), made.inside(case.frame), truth, made.data.data_range, made.data.pixel_nm, off)
    values = made.values[method.name]
    for metric in metrics:
        unsaid = metric.needs == "deviation" and deviation is None
        values[metric.name].append(math.nan if unsaid else _value(made, metric, judged, case))
    if again is not None:
        for column, value in zip(AGAIN, _again(made, image, restorer.restore(again)), strict=True):
            values[column.name].append(value)


def _again(made: Evaluation, first: NDArray[Any], second: NDArray[Any]) -> tuple[float, float, float, float]:
    """Values of the columns `AGAIN` for what was restored of two exposures."""
    away = made.inside(first).astype(np.float64) - made.inside(second)
    found = acceptance(first, second)
    share = 100 / found.pairs if found.pairs else math.nan
    return float(np.sqrt(np.square(away).mean() / 2)), share * found.accepted, share * found.wrong, found.error_px


def _restored(restorer: Restorer, frame: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Restore a frame (y, x); and how far that may be off in grey values, where the restorer says so."""
    if not isinstance(restorer, UncertainRestorer):
        return restorer.restore(frame), None
    image, deviation = restorer.restore_with_deviation(frame)
    return image, deviation.astype(np.float32) / np.float32(deviation_steps(frame.dtype))


def _value(made: Evaluation, metric: Metric, judged: Judged, case: Case) -> float:
    try:
        value = metric.compute(judged)
        why = EQUAL if metric.unit == "dB" and value == math.inf else ""
    except InputError as error:
        value, why = math.nan, str(error)
    remark = f"{metric.name}: {case.name}: {why}"
    if why and remark not in made.remarks:
        made.remarks.append(remark)
    return value


def _columns(metrics: Sequence[Metric], has_truth: bool) -> list[Column]:
    columns = [Column(metric.name, metric.unit, metric.better, metric.meaning) for metric in metrics]
    return columns + list(AGAIN if has_truth else ())
