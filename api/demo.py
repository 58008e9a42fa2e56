"""`demo`: the twin, one scan of it, and what the truth says about the mosaic."""

import itertools
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from acquisition.instructions import Instructions
from acquisition.plan import Plan, PlanError
from acquisition.states import Outcome
from api.errors import UsageError
from api.scan import limits_of, scan
from api.show import Bars
from api.twin import Twin, running_twin
from devices.model import reasons
from devices.rig import RigSettings
from reconstruction.restore import check

DEFAULT_REGION_UM = 60.0, 48.0


@dataclass(frozen=True)
class Demo:
    """What was asked for, word for word."""

    out: Path
    specimen: str
    pixel_nm: float
    region_um: str | None
    overlap: float
    seed: int
    speed: float
    faults: str
    world: str
    model: str


def run_demo(asked: Demo, told: Instructions, shown: Bars) -> tuple[Path, Outcome, dict[str, Any]]:
    """Scan the middle of the specimen; the run directory, how the run ended, its summary.

    Raises:
        UsageError, PlanError, InputError: an argument cannot be used; nothing was moved or written.
    """
    check(asked.model)
    options = ["--world", asked.world, "--specimen", asked.specimen, "--pixel-nm", str(asked.pixel_nm)]
    options += ["--seed", str(asked.seed), "--speed", str(asked.speed), "--faults", asked.faults]
    size_um = _region_size_um(asked.region_um)
    with running_twin(options) as twin:
        settings = RigSettings.load(twin.rig)
        plan = _plan(asked, _region_um(size_um, _reachable_um(twin, settings)))
        run = _new_folder(asked.out)
        outcome, summary = scan(plan, settings, run, told, shown.watcher(told), asked.seed, twin.world.url)
    return run, outcome, summary


def _region_size_um(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d*\.?\d+)x(\d*\.?\d+)", text)
    if not match or not all(float(side) > 0 for side in match.groups()):
        raise UsageError(f"--region-um {text}: should be WIDTHxHEIGHT in micrometre, both above 0, like 30x24")
    return float(match[1]), float(match[2])


def _reachable_um(twin: Twin, settings: RigSettings) -> tuple[float, float]:
    """Width and height of the specimen, as far as the scanner reaches."""
    limits_um = limits_of(settings)
    width_um, height_um = twin.specimen_um
    return min(width_um, limits_um["x"][1]), min(height_um, limits_um["y"][1])


def _region_um(
    size_um: tuple[float, float] | None, reachable_um: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """The region asked for, or as much of the default as there is, in the middle of what can be reached."""
    if size_um is None:
        size_um = min(DEFAULT_REGION_UM[0], reachable_um[0]), min(DEFAULT_REGION_UM[1], reachable_um[1])
    for name, side_um, most_um in zip(("width", "height"), size_um, reachable_um, strict=True):
        if side_um > most_um:
            raise UsageError(f"--region-um: {name} {side_um:g} um is outside 0..{most_um:g} um, what can be reached")
    spans = [((most - side) / 2, (most + side) / 2) for side, most in zip(size_um, reachable_um, strict=True)]
    return {"x_um": spans[0], "y_um": spans[1]}


def _plan(asked: Demo, region_um: dict[str, tuple[float, float]]) -> Plan:
    wanted = {"name": "demo", "region": region_um, "tiles": {"overlap": asked.overlap}}
    try:
        return Plan.model_validate(wanted | {"reconstruction": {"model": asked.model}})
    except ValidationError as error:
        raise PlanError(reasons(error)) from error


def _new_folder(parent: Path) -> Path:
    """A name that no run has yet."""
    stamp = time.strftime("demo-%Y%m%d-%H%M%S")
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    return next(parent / name for name in names if not (parent / name).exists())
