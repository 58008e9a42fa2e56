"""The table of an evaluation as files: one JSON object, and two CSV for spreadsheets."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from reconstruction.evaluation.intervals import Mean
from reconstruction.evaluation.judging import Evaluation
from reconstruction.evaluation.methods import Method

RESULTS, TABLE, IMAGES = "results.json", "table.csv", "images.csv"


def results(made: Evaluation) -> dict[str, Any]:
    """Everything that was measured; null stands for what could not be computed or is infinite."""
    data = made.data
    return {
        "data": {
            "name": data.name,
            "images": [
                {"name": case.name, "shape": list(case.frame.shape), "residual_px": case.residual_px}
                for case in data.cases
            ],
            "has_truth": data.has_truth,
            "data_range": data.data_range,
            "pixel_nm": data.pixel_nm,
            "border_px": made.border_px,
        },
        "metrics": {column.name: _without_name(vars(column)) for column in made.columns},
        "methods": [_facts(made, method) for method in made.methods],
        "best_classical": made.best_classical(),
        "images": [
            {"image": case.name, "method": method.name, **_row(made, method.name, number)}
            for number, case in enumerate(data.cases)
            for method in made.methods
        ],
        "remarks": made.remarks,
    }


def write_files(made: Evaluation, out: Path) -> dict[str, Any]:
    """Write `results.json`, `table.csv` (a row for a method and a metric) and `images.csv` into a folder."""
    found = results(made)
    (out / RESULTS).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    with (out / TABLE).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["method", "metric", "unit", "better", "mean", "low_95", "high_95", "images"])
        for method in made.methods:
            for column in made.columns:
                mean = made.mean(method.name, column.name)
                numbers = [_short(value) for value in mean[:3]]
                rows.writerow([method.name, column.name, column.unit, column.better, *numbers, mean.images])
    with (out / IMAGES).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "method", *(column.name for column in made.columns)])
        for row in found["images"]:
            rows.writerow([row["image"], row["method"], *(_short(row[column.name]) for column in made.columns)])
    return found


def _facts(made: Evaluation, method: Method) -> dict[str, Any]:
    """One method: what it is, its means, and how far it is from the input and from the best classical one."""
    best = made.best_classical()
    facts = {
        "name": method.name,
        "kind": method.kind,
        "sha256": sorted({one.sha256 for one in method.restorers if one.sha256}),
        "parameters": method.parameters(),
        "chosen": method.chosen,
        "cpu_s_per_mpx": made.cpu_s_per_mpx[method.name],
        "mean": {column.name: _mean(made.mean(method.name, column.name)) for column in made.columns},
        "over_input": _over(made, method.name, made.methods[0].name),
    }
    return facts if best is None else {**facts, "over_best_classical": _over(made, method.name, best)}


def _over(made: Evaluation, name: str, other: str) -> dict[str, Any]:
    return {column.name: _mean(made.over(name, other, column.name)) for column in made.columns}


def _mean(mean: Mean) -> dict[str, float | int | None]:
    return {"mean": mean.mean, "low_95": mean.low, "high_95": mean.high, "images": mean.images}


def _row(made: Evaluation, method: str, number: int) -> dict[str, float | None]:
    values = {column.name: made.values[method][column.name][number] for column in made.columns}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _without_name(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != "name"}


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
