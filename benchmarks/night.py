"""A night on the twin: thousands of tiles, hours of its clock, one operation in a hundred spoilt, and nobody there.

    python -m benchmarks.night [--hours 10] [--tiles 2000] [--speed 100] [--seed 1] [--out DIR] [--json]

Asked are the world (which faults befell which device, where each exposure really was), the journal, and the memory of
the processes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from acquisition.journal import Attempt
from acquisition.run_store import RunStore
from api.twin import Twin, running_twin

NANORASTER = Path(sys.executable).parent / "nanoraster"
FIELD_PX, PIXEL_NM, OVERLAP = 256, 10.0, 0.15
WORLD = f"""
base = "lab"
[camera]
frame_shape_px = [{FIELD_PX}, {FIELD_PX}]
pixel_nm = {PIXEL_NM}
"""
PLAN = """
name = "night"
[region]
x_um = [{low}, {high}]
y_um = [{low}, {high}]
[tiles]
overlap = {overlap}
dwell_s = {dwell_s}
[camera]
exposure_ms = 20
[drift]
policy = "anchor"
tolerance_px = 5
shortest_s = 5.0
"""
SAMPLE_S = 2.0
GROWTH = 0.05
TILE_S = 0.12
"""Of the wall's time, what a tile takes beside its dwell on two busy cores with faults; a guess that sets the dwell."""


@dataclass(frozen=True)
class Night:
    """What became of it."""

    hours: float
    tiles: int
    ok: int
    retried: int
    skipped: int
    faults: int
    faults_by_name: dict[str, int]
    attempts_that_failed: int
    rss_growth_service: float
    rss_growth_worker: float
    mosaic_edges: int
    mosaic_accepted: int
    outcome: str

    @property
    def met(self) -> bool:
        flat = self.rss_growth_service < GROWTH and self.rss_growth_worker < GROWTH
        return self.ok == self.tiles and self.outcome == "completed" and flat


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.night")
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--tiles", type=int, default=2000)
    parser.add_argument("--speed", type=float, default=100.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="night-") as folder:
        night = simulate(options.hours, options.tiles, options.speed, options.seed, options.out or Path(folder))
    if options.json:
        print(json.dumps({**asdict(night), "met": night.met}))
    else:
        for name, value in asdict(night).items():
            print(f"{name:22} {value}")
        print("met" if night.met else "MISSED")
    return 0 if night.met else 1


def simulate(hours: float, tiles: int, speed: float, seed: int, folder: Path) -> Night:
    """Scan a square of so many tiles in so many hours of the world's clock."""
    folder.mkdir(parents=True, exist_ok=True)
    world, plan, run = folder / "world.toml", folder / "plan.toml", folder / "run"
    world.write_text(WORLD)
    plan.write_text(plan_text(hours, tiles, speed))
    twin_options = ["--world", str(world), "--seed", str(seed), "--speed", str(speed), "--faults", "night"]
    with running_twin(twin_options) as twin:
        memory = watch([str(NANORASTER), "scan", str(plan), "--rig", str(twin.rig), "--out", str(run)])
        return judge(run, twin, memory)


def plan_text(hours: float, tiles: int, speed: float) -> str:
    side = round(tiles**0.5)
    field_um = FIELD_PX * PIXEL_NM / 1000
    length_um = field_um * (1 + (side - 1) * (1 - OVERLAP)) * (1 - 1e-6)
    low = (100.0 - length_um) / 2
    dwell_s = max(hours * 3600 / speed / side**2 - TILE_S, 0.0)
    return PLAN.format(low=low, high=low + length_um, overlap=OVERLAP, dwell_s=dwell_s)


def watch(command: list[str]) -> dict[str, list[float]]:
    """Run a command to its end; the resident memory of it and of its worker, in bytes, every `SAMPLE_S`."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    memory: dict[str, list[float]] = {"service": [], "worker": []}
    service = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            memory["service"].append(service.memory_info().rss)
            for child in service.children():
                if "api.worker" in child.cmdline():
                    memory["worker"].append(child.memory_info().rss)
        except psutil.NoSuchProcess:
            pass
        time.sleep(SAMPLE_S)
    return memory


def judge(run: Path, twin: Twin, memory: dict[str, list[float]]) -> Night:
    summary: dict[str, Any] = json.loads((run / "report" / "summary.json").read_text())
    faults = twin.world.faults()
    exposures = twin.world.exposures()
    with closing(RunStore(run)) as store:
        attempts: list[Attempt] = [attempt for _, attempt in store.journal.attempts()]
    return Night(
        hours=(exposures[-1]["end_s"] - exposures[0]["start_s"]) / 3600,
        tiles=summary["tiles"]["planned"],
        ok=summary["tiles"]["ok"],
        retried=summary["tiles"]["retried"],
        skipped=summary["tiles"]["skipped"],
        faults=len(faults),
        faults_by_name=dict(Counter(f"{fault['device']} {fault['name']}" for fault in faults)),
        attempts_that_failed=sum(attempt.verdict != "ok" for attempt in attempts),
        rss_growth_service=growth(memory["service"]),
        rss_growth_worker=growth(memory["worker"]),
        mosaic_edges=summary["stitch"]["edges"],
        mosaic_accepted=summary["stitch"]["accepted"],
        outcome=str(summary["outcome"]),
    )


def growth(bytes_: list[float]) -> float:
    """By how much the last tenth is above the second, as a part; the first is start-up."""
    tenth = max(len(bytes_) // 10, 1)
    before, after = np.median(bytes_[tenth : 2 * tenth]), np.median(bytes_[-tenth:])
    return float(after / before - 1)


if __name__ == "__main__":
    sys.exit(main())
