"""Where tiles really lie when the specimen drifts by 20 nm a minute for hours, with drift correction and without.

A twin at raised speed drifts, a plan visits its tiles, and the world tells where each exposure really looked. The
stage's own errors of landing, play and linearity are switched off, for they are none of drift's; its noise is not.
What a tile would have missed without correction is its error less the offset that moved its target.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.drift import DriftControl
from acquisition.instructions import Instructions
from acquisition.plan import Plan
from api.twin import running_twin
from devices.rig import RigSettings, open_rig

TARGET_PX = 1.0
PIXEL_UM = 0.02
WORLD = """
[camera]
pixel_nm = 20.0
frame_shape_px = [256, 256]
[mechanics]
drift_nm_per_min = {nm_per_min}
position_error_px_rms = 0.0
backlash_px = 0.0
linearity_error = 0.0
"""
PLACES_UM = (20.0, 35.0, 50.0, 65.0, 80.0)
TILE_S = 10.0
"""Of world time, that each tile waits, as for its force or its light."""
SHORTEST_S = 10.0
"""Of world time, between visits."""


@dataclass(frozen=True)
class Taken:
    """A tile: the number of its exposure, the place it was to show, and the offset of its target (x, y), um."""

    exposure: int
    place_um: tuple[float, float]
    offset_um: tuple[float, float]


def measure(hours: float, speed: float, nm_per_min: float, seed: int) -> dict[str, Any]:
    """Take tiles for so long; how far each lies from its place, counted from the first one."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        (folder / "world.toml").write_text(WORLD.format(nm_per_min=nm_per_min))
        options = ["--world", str(folder / "world.toml"), "--speed", str(speed), "--seed", str(seed)]
        twin = opened.enter_context(running_twin(options))
        events: list[dict[str, Any]] = []
        taken = take_tiles(twin.rig, folder, hours * 3600.0 / speed, speed, events)
        true_um = {int(at["number"]): (at["x_um"], at["y_um"]) for at in twin.world.exposures()}
    missed_px = np.array([np.subtract(true_um[tile.exposure], tile.place_um) for tile in taken]) / PIXEL_UM
    moved_px = np.array([tile.offset_um for tile in taken]) / PIXEL_UM
    corrected = np.hypot(*(missed_px - missed_px[0]).T)
    uncorrected = np.hypot(*(missed_px - moved_px - (missed_px[0] - moved_px[0])).T)
    return {
        "tiles": len(taken),
        "visits": len(events),
        "refused": sum(event["kind"] == "drift_refused" for event in events),
        "with": {"max_px": float(corrected.max()), "rms_px": float(np.sqrt(np.mean(corrected**2)))},
        "without": {"max_px": float(uncorrected.max()), "rms_px": float(np.sqrt(np.mean(uncorrected**2)))},
        "target_px": TARGET_PX,
        "met": bool(corrected.max() <= TARGET_PX),
    }


def take_tiles(rig_file: Path, folder: Path, for_s: float, speed: float, events: list[dict[str, Any]]) -> list[Taken]:
    """Visit places in turn for so many seconds of the wall, and the anchor whenever it is due."""
    region = {"x_um": (PLACES_UM[0], PLACES_UM[-1]), "y_um": (PLACES_UM[0], PLACES_UM[-1])}
    plan = Plan.model_validate(
        {"region": region, "drift": {"policy": "anchor", "shortest_s": max(SHORTEST_S / speed, 0.1)}}
    )
    told, taken = Instructions(), list[Taken]()
    with open_rig(RigSettings.load(rig_file), leave_out=("video", "force")) as rig:
        rig.camera.set_exposure_s(plan.camera.exposure_s)
        fields_um = [(PLACES_UM[0], PLACES_UM[0])]
        drift = DriftControl(
            rig,
            plan,
            PIXEL_UM * np.eye(2),
            fields_um,
            told,
            lambda kind, **data: events.append({"kind": kind} | data),
            folder,
        )
        drift.prepare()
        ends_s = time.monotonic() + for_s
        for place_um in cycle([(x_um, y_um) for y_um in PLACES_UM for x_um in PLACES_UM]):
            if time.monotonic() > ends_s:
                return taken
            if drift.due():
                drift.measure()
            offset_um = drift.offset_um
            rig.scanner.move_to({"x": place_um[0] + offset_um[0], "y": place_um[1] + offset_um[1]})
            frame = rig.camera.snap()
            taken.append(Taken(frame.number, place_um, offset_um))
            told.wait(TILE_S / speed)
    return taken


def main() -> int:
    """Print both; exit code 1 if a tile with correction lies further from its place than the target."""
    parser = argparse.ArgumentParser(description="Position error of tiles on a drifting specimen.")
    parser.add_argument("--hours", type=float, default=3.0, help="of world time (default 3)")
    parser.add_argument("--speed", type=float, default=60.0, help="of the world's clock (default 60)")
    parser.add_argument("--nm-per-min", type=float, default=20.0, help="drift, rms (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the world (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if min(options.hours, options.speed) <= 0:
        parser.error(f"--hours, --speed: {options.hours:g}, {options.speed:g} are not both above 0")
    result = measure(options.hours, options.speed, options.nm_per_min, options.seed)
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{result['tiles']} tiles in {options.hours:g} h, {result['visits']} visits to the anchor")
        for name in ("with", "without"):
            row = result[name]
            print(f"{name + ' correction':20} {row['max_px']:8.2f} px (max) {row['rms_px']:8.2f} px (rms)")
        print(f"target {TARGET_PX:g} px of {PIXEL_UM * 1000:g} nm: {'met' if result['met'] else 'missed'}")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
