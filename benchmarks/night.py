"""A night on the twin: thousands of tiles, hours of its clock, one operation in a hundred spoilt, and nobody there.

    python -m benchmarks.night [--hours 10] [--tiles 2000] [--speed 100] [--seed 1] [--out DIR] [--json]

Asked are the world (which faults befell which device and when, where each exposure really was), the journal (where it
tells of each of them), the mosaic, and the memory of the processes.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import zarr
from numpy.typing import NDArray

from acquisition.journal import Attempt, Event
from acquisition.run_store import RunStore
from api.twin import Twin, World, running_twin
from benchmarks.night_faults import UNTOLD, Told, WorldClock, account
from reconstruction.worker import MOSAIC_NAME

NANORASTER = Path(sys.executable).parent / "nanoraster"
FIELD_PX, PIXEL_NM, OVERLAP = 120, 20.0, 0.4
"""The overlap is wider than two drift bursts (36 px), for the tiles that are taken before they are noticed."""
MARGIN_UM = 12.0
"""On all sides: drift bursts all go the same way, 0.36 um each, and targets follow them."""
GRAIN_PX, SPECIMEN_NM = 2.0, 20.0
"""Of the specimen: grain of some 0.1 um everywhere, so that every overlap can be told from every other."""
RIM_PX = 60
"""Of the mosaic, which a drift burst may leave ragged."""
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
shortest_s = 2.0
longest_s = 4.0
"""
LEAST_TILE_S = 0.04
"""Of the wall's time, which a tile takes at least beside its dwell; so the night is no shorter than it was told."""
SAMPLE_S = 1.0
GROWTH = 0.05
MISPLACED_PX = 3.0
"""Of a tile in the mosaic; the stage lands 3 px off rms, but neighbours tell its place to a fraction of a pixel."""


@dataclass(frozen=True)
class Watched:
    """How the scan ended, and its resident memory and that of its worker, every `SAMPLE_S`."""

    exit_code: int
    wall_s: float
    service_bytes: list[int]
    worker_bytes: list[int]


@dataclass(frozen=True)
class Night:
    """What became of it."""

    outcome: str
    exit_code: int
    hours: float
    wall_s: float
    tiles: int
    ok: int
    retried: int
    skipped: int
    attempts_that_failed: int
    faults: int
    told_as: dict[str, int]
    untold: list[str]
    placed_by_stage: int
    edges: int
    edges_accepted: int
    position_error_px_rms: float
    position_error_px_max: float
    holes_px: int
    rss_mb_service: tuple[float, float]
    rss_mb_worker: tuple[float, float]
    rss_growth_service: float
    rss_growth_worker: float

    @property
    def met(self) -> bool:
        flat = self.rss_growth_service < GROWTH and self.rss_growth_worker < GROWTH
        return self.finished and flat

    @property
    def finished(self) -> bool:
        """Whether it came to its end with every tile, every fault told of, and a whole mosaic."""
        taken = self.outcome == "completed" and self.exit_code == 0 and self.ok == self.tiles
        whole = self.holes_px == 0 and self.position_error_px_max < MISPLACED_PX
        return taken and whole and not self.untold


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
        night, told = simulate(options.hours, options.tiles, options.speed, options.seed, options.out or Path(folder))
    if options.json:
        print(json.dumps({**asdict(night), "told": [asdict(each) for each in told], "met": night.met}))
    else:
        report(night, told)
    return 0 if night.met else 1


def report(night: Night, told: list[Told]) -> None:
    for each in told:
        print(f"{each.time_s:9.1f} s  {each.device:8} {each.name:17} {each.kind:15} {each.words}")
    for name, value in asdict(night).items():
        print(f"{name:22} {value}")
    print("met" if night.met else "MISSED")


def simulate(hours: float, tiles: int, speed: float, seed: int, folder: Path) -> tuple[Night, list[Told]]:
    """Scan a square of at least so many tiles in at least so many hours of the world's clock."""
    folder.mkdir(parents=True, exist_ok=True)
    world, plan, specimen, run = (folder / name for name in ("world.toml", "plan.toml", "specimen.png", "run"))
    world.write_text(WORLD)
    cv2.imwrite(str(specimen), grainy(length_um(tiles) + 2 * MARGIN_UM, seed))
    plan.write_text(plan_text(hours, tiles, speed))
    shown = ["--world", str(world), "--specimen", str(specimen), "--pixel-nm", str(SPECIMEN_NM)]
    with running_twin([*shown, "--seed", str(seed), "--speed", str(speed), "--faults", "night"]) as twin:
        watched = watch([str(NANORASTER), "scan", str(plan), "--rig", str(twin.rig), "--out", str(run)])
        return judge(run, twin, speed, watched)


def grainy(side_um: float, seed: int) -> NDArray[np.uint8]:
    """Draw noise (y, x) with the grain of the specimen."""
    side_px = math.ceil(side_um * 1000 / SPECIMEN_NM)
    noise = np.random.default_rng(seed).standard_normal((side_px, side_px), dtype=np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), GRAIN_PX)
    return np.asarray(np.clip(128 + 50 * blurred / blurred.std(), 0, 255), dtype=np.uint8)


def plan_text(hours: float, tiles: int, speed: float) -> str:
    dwell_s = max(hours * 3600 / speed / side(tiles) ** 2 - LEAST_TILE_S, 0.0)
    return PLAN.format(low=MARGIN_UM, high=MARGIN_UM + length_um(tiles), overlap=OVERLAP, dwell_s=dwell_s)


def length_um(tiles: int) -> float:
    """Side of the region."""
    return FIELD_PX * PIXEL_NM / 1000 * (1 + (side(tiles) - 1) * (1 - OVERLAP)) * (1 - 1e-6)


def side(tiles: int) -> int:
    """Tiles in a row, and rows."""
    return math.ceil(math.sqrt(tiles))


def watch(command: list[str]) -> Watched:
    """Run a command to its end."""
    began_s = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    service, service_bytes, worker_bytes = psutil.Process(process.pid), [], []
    while True:
        with suppress(psutil.NoSuchProcess):  # the worker ends, and then the service
            service_bytes.append(service.memory_info().rss)
            worker_bytes += [child.memory_info().rss for child in service.children() if "api.worker" in child.cmdline()]
        with suppress(subprocess.TimeoutExpired):
            return Watched(process.wait(SAMPLE_S), time.monotonic() - began_s, service_bytes, worker_bytes)


def judge(run: Path, twin: Twin, speed: float, watched: Watched) -> tuple[Night, list[Told]]:
    """Ask the world and the journal; a second worker compares the mosaic with the truth."""
    clock = world_clock(twin.world, speed)
    faults, exposures = twin.world.faults(), twin.world.exposures()
    command = [sys.executable, "-m", "api.worker", str(run), "--world", twin.world.url]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    summary: dict[str, Any] = json.loads((run / "report" / "summary.json").read_text())
    with closing(RunStore(run)) as store:
        attempts: list[Attempt] = [attempt for _, attempt in store.journal.attempts()]
        events: list[Event] = store.journal.events()
    told = account(faults, attempts, events, clock)
    night = Night(
        outcome=str(summary["outcome"]),
        hours=(exposures[-1]["end_s"] - exposures[0]["start_s"]) / 3600,
        exit_code=watched.exit_code,
        wall_s=watched.wall_s,
        tiles=summary["tiles"]["planned"],
        ok=summary["tiles"]["ok"],
        retried=summary["tiles"]["retried"],
        skipped=summary["tiles"]["skipped"],
        attempts_that_failed=sum(attempt.verdict != "ok" for attempt in attempts),
        faults=len(faults),
        told_as=dict(Counter(each.kind for each in told)),
        untold=[f"{each.device} {each.name} at {each.time_s:.1f} s" for each in told if each.kind == UNTOLD],
        placed_by_stage=summary["tiles"]["placed_by_stage"],
        edges=summary["stitch"]["edges"],
        edges_accepted=summary["stitch"]["accepted"],
        position_error_px_rms=summary["truth"]["position_error_px_rms"],
        position_error_px_max=summary["truth"]["position_error_px_max"],
        holes_px=holes_px(run),
        rss_mb_service=around(watched.service_bytes),
        rss_mb_worker=around(watched.worker_bytes),
        rss_growth_service=growth(watched.service_bytes),
        rss_growth_worker=growth(watched.worker_bytes),
    )
    return night, told


def holes_px(run: Path) -> int:
    """How many pixels within the rim of the mosaic no tile covers: they are 0, which no camera tells."""
    mosaic = np.asarray(zarr.open_array(run / MOSAIC_NAME / "raw" / "0", mode="r")[:])
    return int(np.count_nonzero(mosaic[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] == 0))


def world_clock(world: World, speed: float) -> WorldClock:
    asked_s = time.time()
    world_s = world.now_s()
    return WorldClock((asked_s + time.time()) / 2, world_s, speed)


def around(bytes_: list[int]) -> tuple[float, float]:
    """Median of the second tenth and of the last, in MB; the first tenth is start-up."""
    tenth = max(len(bytes_) // 10, 1)
    return float(np.median(bytes_[tenth : 2 * tenth])) / 1e6, float(np.median(bytes_[-tenth:])) / 1e6


def growth(bytes_: list[int]) -> float:
    """By how much the last tenth is above the second, as a part."""
    before, after = around(bytes_)
    return after / before - 1


if __name__ == "__main__":
    sys.exit(main())
