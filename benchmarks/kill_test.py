"""Kill a scan again and again, and see whether what it leaves is what an undisturbed one leaves, byte for byte.

    python -m benchmarks.kill_test [--kills 50] [--victim service] [--seed 1] [--json]
    python -m benchmarks.kill_test --victim worker --dwell-s 2.5     # or guardian: both take a second to start again

One plan on one still world: the first run is left alone, the second is killed (`kill -9`) at random moments and resumed
each time. Compared are all bytes of raw.zarr, the accepted positions, and the pixels of the mosaic. The world counts
the exposures: what was taken twice shows there.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import zarr

from acquisition.run_store import RunError, RunStore
from api.twin import running_twin

PLAN = """
name = "kill test"
[region]
x_um = [10.0, {x_um}]
y_um = [10.0, {x_um}]
[tiles]
dwell_s = {dwell_s}
[camera]
exposure_ms = 10
"""
NANORASTER = Path(sys.executable).parent / "nanoraster"
MODULES = {"worker": "api.worker", "guardian": "acquisition.guardian"}
LONGEST_S = 600.0
LOOK_S = 0.002


@dataclass(frozen=True)
class Result:
    """What came of it."""

    asked: int
    kills: int
    tiles: int
    taken_twice: int
    raw_equal: bool
    positions_equal: bool
    mosaic_equal: bool

    @property
    def met(self) -> bool:
        equal = self.raw_equal and self.positions_equal and self.mosaic_equal
        return equal and self.taken_twice <= self.kills and self.kills == self.asked


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_test", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--victim", choices=("service", "worker", "guardian"), default="service")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side-um", type=float, default=80.0)
    parser.add_argument("--dwell-s", type=float, default=0.0, help="time at each tile, for more kills in one run")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = kill_test(options.kills, options.victim, options.seed, options.side_um, options.dwell_s)
    if options.json:
        print(json.dumps({**vars(result), "met": result.met}))
    else:
        print(f"{result.kills} of {result.asked} kills of the {options.victim} over {result.tiles} tiles")
        print(f"tiles taken twice          {result.taken_twice} (at most {result.kills})")
        print(f"raw.zarr byte for byte     {'equal' if result.raw_equal else 'DIFFERENT'}")
        print(f"accepted positions         {'equal' if result.positions_equal else 'DIFFERENT'}")
        print(f"pixels of the mosaic       {'equal' if result.mosaic_equal else 'DIFFERENT'}")
    return 0 if result.met else 1


def kill_test(kills: int, victim: str, seed: int, side_um: float, dwell_s: float) -> Result:
    """Run one plan twice on one world, the second time under fire."""
    chance = random.Random(seed)
    with (
        tempfile.TemporaryDirectory(prefix="kill-test-") as folder,
        running_twin(["--world", "still", "--seed", str(seed)]) as twin,
    ):
        calm_plan, plan = Path(folder) / "calm.toml", Path(folder) / "plan.toml"
        calm_plan.write_text(PLAN.format(x_um=10.0 + side_um, dwell_s=0.0))
        plan.write_text(PLAN.format(x_um=10.0 + side_um, dwell_s=dwell_s))
        calm, killed = Path(folder) / "calm", Path(folder) / "killed"
        finish(scan(calm_plan, twin.rig, calm))
        tiles = len(positions(calm))
        before = len(twin.world.exposures())
        done, starts = under_fire(plan, twin.rig, killed, kills, victim, chance)
        trials = starts * (before - tiles)  # frames that the pre-flight check takes
        again = len(twin.world.exposures()) - before - trials
        return Result(
            asked=kills,
            kills=done,
            tiles=tiles,
            taken_twice=again - tiles,
            raw_equal=file_hashes(calm / "raw.zarr") == file_hashes(killed / "raw.zarr"),
            positions_equal=positions(calm) == positions(killed),
            mosaic_equal=mosaic_hash(calm) == mosaic_hash(killed),
        )


def under_fire(plan: Path, rig: Path, run: Path, kills: int, victim: str, chance: random.Random) -> tuple[int, int]:
    """Acquire a plan while the victim is killed; how often it was hit, and how often the run had to begin."""
    tiles = None
    process = scan(plan, rig, run)
    done, starts = 0, 1
    while done < kills:
        have = taken(run)
        tiles = tiles or planned(run)
        left = (tiles or 100) - have
        if not left and victim != "service":  # five in a row, with nothing left to wait for, are given up on purpose
            break
        wanted = have + chance.randint(0, max(1, 2 * left // (kills - done + 1)))
        hit = wait_and_kill(process, run, wanted, victim, chance)
        if not hit:
            break
        done += 1
        if victim == "service":
            process.wait()
            never_began = not (run / "run.json").exists()
            if never_began and run.exists():
                subprocess.run(["rm", "-r", str(run)], check=True)
            starts += never_began
            process = scan(plan, rig, run) if never_began else resume(run)
    finish(process)
    return done, starts


def wait_and_kill(
    process: "subprocess.Popen[bytes]", run: Path, tiles: int, victim: str, chance: random.Random
) -> bool:
    """Kill once that many tiles are stored, a random part of a tile later; False if the run ended before."""
    deadline = time.monotonic() + LONGEST_S
    hit_early = chance.random() < 0.1  # while it starts, connects, recovers
    early_s = chance.uniform(0.2, 3.0)
    began = time.monotonic()
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the run hangs")
        if taken(run) >= tiles or (hit_early and time.monotonic() > began + early_s):
            time.sleep(chance.uniform(0.0, 0.05))
            pid = pid_of(process.pid, victim)
            if pid is not None and process.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
        time.sleep(LOOK_S)
    return False


def scan(plan: Path, rig: Path, run: Path) -> "subprocess.Popen[bytes]":
    return command("scan", str(plan), "--rig", str(rig), "--out", str(run))


def resume(run: Path) -> "subprocess.Popen[bytes]":
    return command("resume", str(run))


def command(*words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(NANORASTER), *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    _, said = process.communicate(timeout=LONGEST_S)
    if process.returncode:
        raise RuntimeError(said.decode())


def with_store(run: Path, ask: Callable[[RunStore], Any], otherwise: Any) -> Any:
    try:
        with closing(RunStore(run)) as store:
            return ask(store)
    except RunError:
        return otherwise


def taken(run: Path) -> int:
    """How many tiles are stored."""
    return int(with_store(run, lambda store: len(store.journal.attempts()), 0))


def planned(run: Path) -> int | None:
    return with_store(run, lambda store: len(store.tiles()), None)  # type: ignore[no-any-return]


def pid_of(service: int, victim: str) -> int | None:
    """The victim's process: the service itself, or the child of it that runs this module."""
    if victim == "service":
        return service
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(service).children():
            with suppress(psutil.NoSuchProcess):
                if MODULES[victim] in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child.pid
    return None


def positions(run: Path) -> list[tuple[object, ...]]:
    """Every accepted frame: its tile, and where it was meant to be and was."""
    with closing(RunStore(run)) as store:
        return [
            (a.frame, a.tile, a.target_x_um, a.target_y_um, a.target_z_um, a.actual_x_um, a.actual_y_um, a.actual_z_um)
            for _, a in store.journal.attempts()
            if a.frame is not None
        ]


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def mosaic_hash(run: Path) -> str:
    image = zarr.open_array(run / "mosaic.zarr" / "raw" / "0", mode="r")[:]
    return hashlib.sha256(image.tobytes()).hexdigest()  # type: ignore[union-attr]


if __name__ == "__main__":
    sys.exit(main())
