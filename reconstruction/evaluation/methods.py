"""Which restorers are compared, and with which parameters: never with ones chosen on the image that is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reconstruction.baselines import FAMILIES, Classical, best_of, middle_of
from reconstruction.evaluation.averaged import Averaged
from reconstruction.evaluation.data import Case, DataSet
from reconstruction.metrics.psnr import psnr_db
from reconstruction.restore import NonLocalMeans, NoRestorer, Restorer

TUNED_ON = 4  # pairs at most
TUNED_PX = 256  # of their middle, along each axis

Kind = Literal["input", "model", "classical"]


@dataclass(frozen=True)
class Method:
    """What stands in a row of the table; `restorers`: one for each case. `chosen`: how their parameters were."""

    name: str
    kind: Kind
    restorers: tuple[Restorer, ...]
    chosen: str

    def parameters(self) -> list[dict[str, float]]:
        """Those in use, each once."""
        found: list[dict[str, float]] = []
        for one in self.restorers:
            parameters = one.parameters() if hasattr(one, "parameters") else {}
            if parameters and parameters not in found:
                found.append(parameters)
        return found


def methods_for(data: DataSet, models: Sequence[Restorer], baselines: bool = True) -> list[Method]:
    """The frames as they came, the models, and the classical denoisers.

    Those with a parameter are tuned twice, on every other pair each: a pair is judged with what the other half chose.
    A model that makes more pixels is averaged back to those of the frame.
    """
    count = len(data.cases)
    fixed: list[tuple[Restorer, Kind]] = [(NoRestorer(), "input")]
    equal = [model if model.scale == 1 else Averaged(model) for model in models]
    fixed += [(model, "model") for model in equal if model.name != NoRestorer.name]
    if baselines and all(model.name != NonLocalMeans.name for model in models):
        fixed.append((NonLocalMeans(), "classical"))
    names = [one.name for one, _ in fixed]
    how = {model.name: f"averaged over {model.scale} x {model.scale} px" for model in models if model.scale > 1}
    methods = [Method(_row(one, kind, names), kind, (one,) * count, how.get(one.name, "fixed")) for one, kind in fixed]
    return methods + ([_tuned(name, data) for name in FAMILIES] if baselines else [])


def _row(one: Restorer, kind: Kind, names: Sequence[str]) -> str:
    """Name a row; models of one name are told apart by their hashes."""
    if kind == "input":
        return "input"
    return one.name if names.count(one.name) == 1 else f"{one.name} {(one.sha256 or '')[:8]}"


def _tuned(name: str, data: DataSet) -> Method:
    candidates = FAMILIES[name]
    if not data.has_truth or len(data.cases) < 2:
        one = middle_of(candidates)
        return Method(name, "classical", (one,) * len(data.cases), "the middle of its grid: no other pair to choose on")
    chosen = [_best(candidates, data, data.cases[1 - half :: 2]) for half in (0, 1)]
    restorers = tuple(chosen[number % 2] for number in range(len(data.cases)))
    return Method(name, "classical", restorers, "on the other half of the pairs")


def _best(candidates: Sequence[Classical], data: DataSet, cases: Sequence[Case]) -> Classical:
    pairs = [_middle(case) for case in cases[:TUNED_ON]]
    return best_of(candidates, pairs, lambda truth, image: psnr_db(truth, image, data.data_range))


def _middle(case: Case) -> tuple[NDArray[Any], NDArray[np.float32]]:
    assert case.truth is not None
    starts = [max((size - TUNED_PX) // 2, 0) for size in case.frame.shape]
    part = tuple(slice(start, start + TUNED_PX) for start in starts)
    return case.frame[part], case.truth[part]
