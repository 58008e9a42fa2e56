"""Where tiles really lie when the specimen drifts by 20 nm a minute for hours, with drift correction and without.

A twin at raised speed drifts, `nanoraster scan` takes a plan of that length with `drift.policy = "anchor"`, and the
world tells where each exposure really looked. The stage's own errors of landing, play and linearity are switched off,
for they are none of drift's; its noise is not. Without correction a tile would have missed by what was seen beside its
target, offset and all.
"""

import argparse
import json
import math
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquisition.instructions import Instructions
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from api.scan import Watcher, scan
from api.twin import running_twin
from devices.rig import RigSettings

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
FIELD_UM = 256 * PIXEL_UM
OVERLAP = 0.1
LOW_UM, HIGH_UM = 10.0, 90.0
SHORTEST_S, LONGEST_S = 10.0, 60.0
"""Of world time, between visits."""
LEAST_TILE_S = 0.03
"""Of the wall's time, which a tile takes beside its dwell."""


def measure(hours: float, speed: float, nm_per_min: float, seed: int) -> dict[str, Any]:
    """Take a region in so long; how far each tile lies from its place, counted from the first one."""
    with tempfile.TemporaryDirectory() as folder:
        world, run = Path(folder) / "world.toml", Path(folder) / "run"
        world.write_text(WORLD.format(nm_per_min=nm_per_min))
        options = ["--world", str(world), "--speed", str(speed), "--seed", str(seed)]
        with running_twin(options) as twin:
            scan(plan(hours, speed), RigSettings.load(twin.rig), run, Instructions(attended=False), Watcher())
            true_um = {int(at["number"]): (at["x_um"], at["y_um"]) for at in twin.world.exposures()}
        with closing(RunStore(run)) as store:
            taken = [attempt for _, attempt in store.journal.attempts() if attempt.frame is not None]
            kinds = [event.kind for event in store.journal.events()]
    moved_px = np.array([(tile.drift_x_um, tile.drift_y_um) for tile in taken]) / PIXEL_UM
    targets_px = np.array([(tile.target_x_um, tile.target_y_um) for tile in taken]) / PIXEL_UM
    looked_px = np.array([true_um[tile.camera_frame or 0] for tile in taken]) / PIXEL_UM
    return {
        "tiles": len(taken),
        "world_hours": speed * sum(tile.total_s for tile in taken) / 3600.0,
        "visits": kinds.count("drift_measured"),
        "refused": kinds.count("drift_refused"),
        "with": facts_of(looked_px - (targets_px - moved_px)),
        "without": facts_of(looked_px - targets_px),
        "target_px": TARGET_PX,
        "met": facts_of(looked_px - (targets_px - moved_px))["max_px"] <= TARGET_PX,
    }


def plan(hours: float, speed: float) -> Plan:
    """A square of tiles that takes so long, each waiting as for its force or its light."""
    across = math.ceil((HIGH_UM - LOW_UM - FIELD_UM) / (FIELD_UM * (1 - OVERLAP))) + 1
    tile_s = hours * 3600.0 / speed / across**2
    return Plan.model_validate(
        {
            "region": {"x_um": (LOW_UM, HIGH_UM), "y_um": (LOW_UM, HIGH_UM)},
            "tiles": {"overlap": OVERLAP, "dwell_s": max(tile_s - LEAST_TILE_S, 0.0)},
            "drift": {
                "policy": "anchor",
                "shortest_s": max(SHORTEST_S / speed, 0.1),
                "longest_s": max(LONGEST_S / speed, 0.1),
            },
        }
    )


def facts_of(missed_px: NDArray[np.float64]) -> dict[str, float]:
    """Sum up how far (tiles, 2) each lies from where the first one says that it should."""
    away_px = np.hypot(*(missed_px - missed_px[0]).T)
    return {"max_px": float(away_px.max()), "rms_px": float(np.sqrt(np.mean(np.square(away_px))))}


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
        print(f"{result['tiles']} tiles in {result['world_hours']:.2f} h, {result['visits']} visits to the anchor")
        for name in ("with", "without"):
            row = result[name]
            print(f"{name + ' correction':20} {row['max_px']:8.2f} px (max) {row['rms_px']:8.2f} px (rms)")
        print(f"target {TARGET_PX:g} px of {PIXEL_UM * 1000:g} nm: {'met' if result['met'] else 'missed'}")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
