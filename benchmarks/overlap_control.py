"""Overlap row by row, as the twin's world saw it, on a rig whose pixel size and rotation were calibrated wrongly.

    python -m benchmarks.overlap_control [--world lab] [--specimen chip] [--seed 1] [--json]

Each case is a scan by the real engine and worker. The rig file says that a pixel is 5 % larger or smaller than it is,
and that the camera is upright, while it is turned by a degree. `measured` is the mean overlap of a row's tiles by the
world's true places and its true matrix, `planned` that of the layout as the run knew it, `uncorrected` what the first
layout would have given. Target: after the second row, measured and planned are within 0.01 of a field of each other.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.layout import layout
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from api.scan import Watcher, scan
from api.twin import Twin, running_twin
from devices.rig import RigSettings

CASES = ((1.05, 1.0), (1.05, -1.0), (0.95, 1.0), (0.95, -1.0))
"""By which factor the calibrated pixel is too large, and by how many degrees the camera is turned."""
REGION_UM = (10.0, 90.0)
OVERLAP, BAND = 0.2, (0.1, 0.4)
TARGET = 0.01
TRUSTED_FROM_ROW = 2
Places = Mapping[tuple[int, int], NDArray[np.float64]]  # (row, column) to x, y


@dataclass(frozen=True)
class Seen:
    """Mean overlap of one row, parts of a field: with its own tiles, with the row before, and how far askew it is."""

    across: float
    down: float | None
    askew: float

    def misses(self, other: "Seen") -> float:
        """The greatest difference."""
        down = abs(self.down - other.down) if self.down is not None and other.down is not None else 0.0
        return max(abs(self.across - other.across), abs(self.askew - other.askew), down)


@dataclass(frozen=True)
class Line:
    """One row of one case."""

    scale: float
    turned_deg: float
    row: int
    tiles: int
    planned: Seen
    measured: Seen
    uncorrected: Seen | None

    @property
    def off(self) -> float:
        return self.measured.misses(self.planned)


def run_case(scale: float, turned_deg: float, options: argparse.Namespace, folder: Path) -> list[Line]:
    """Scan with a wrong calibration, and compare."""
    world = folder / "world.toml"
    world.write_text(f'base = "{options.world}"\n[camera]\nrotation_deg = {turned_deg}\n')
    asked = ["--world", str(world), "--specimen", options.specimen, "--seed", str(options.seed)]
    with running_twin(asked) as twin:
        true = Field.calibrated(RigSettings.load(twin.rig).calibration)
        settings = RigSettings.load(miscalibrated(twin, scale, folder / "rig.toml"))
        region = {"x_um": REGION_UM, "y_um": REGION_UM}
        plan = Plan.model_validate({"region": region, "tiles": {"overlap": OVERLAP, "overlap_band": BAND}})
        outcome, _ = scan(plan, settings, folder / "run", Instructions(), Watcher(), options.seed)
        if outcome is not Outcome.COMPLETED:
            raise SystemExit(f"the scan {outcome}")
        with closing(RunStore(folder / "run")) as store:
            return compared(scale, turned_deg, store, true, twin)


def miscalibrated(twin: Twin, scale: float, path: Path) -> Path:
    """Write the twin's rig file with another pixel size and an upright camera."""
    text = re.sub(r"camera_to_stage_um.*\n", "", twin.rig.read_text())
    path.write_text(re.sub(r"pixel_size_um = (\S+)", lambda found: f"pixel_size_um = {float(found[1]) * scale}", text))
    return path


def compared(scale: float, turned_deg: float, store: RunStore, true: Field, twin: Twin) -> list[Line]:
    """Look at the overlaps of every row as they were planned, as they are, and as they would have been."""
    exposed = {int(one["number"]): np.array([one["x_um"], one["y_um"]]) for one in twin.world.exposures()}
    taken = {
        (attempt.row, attempt.col): exposed[attempt.camera_frame]
        for _, attempt in store.journal.attempts()
        if attempt.frame is not None and attempt.camera_frame is not None
    }
    planned = {(tile.row, tile.col): np.array([tile.x_um, tile.y_um]) for tile in store.tiles()}
    first = {(tile.row, tile.col): np.array([tile.x_um, tile.y_um]) for tile in layout(store.plan, store.field)}
    known, last_of_first = store.field_as_measured(), max(row for row, _ in first)
    return [
        Line(
            scale=scale,
            turned_deg=turned_deg,
            row=row,
            tiles=sum(place[0] == row for place in taken),
            planned=seen(planned, row, known),
            measured=seen(taken, row, true),
            uncorrected=seen(first, row, true) if row <= last_of_first else None,
        )
        for row in sorted({row for row, _ in taken})
    ]


def seen(places: Places, row: int, field: Field) -> Seen:
    """Mean overlaps of a row through a camera."""
    rows, columns = field.shape_px
    centres = {place: field.to_px(at_um) for place, at_um in places.items()}
    beside = np.array([centres[r, c + 1] - at for (r, c), at in centres.items() if r == row and (r, c + 1) in centres])
    above = [at for (r, _), at in centres.items() if r == row - 1]
    steps = [
        min((at - other for other in above), key=lambda step: abs(float(step[0])))
        for (r, _), at in centres.items()
        if r == row and above
    ]
    return Seen(
        across=float(np.mean(1 - np.abs(beside[:, 0]) / columns)),
        down=float(np.mean(1 - np.abs(np.array(steps)[:, 1]) / rows)) if steps else None,
        askew=float(np.mean(beside[:, 1]) / rows),
    )


def table(lines: list[Line]) -> str:
    """One line a row: across / down / askew."""

    def shown(one: Seen | None) -> str:
        if one is None:
            return f"{'-':>22}"
        down = f"{one.down:.3f}" if one.down is not None else "  -  "
        return f"{one.across:.3f} / {down} / {one.askew:+.3f}"

    head = f"{'pixel':>6} {'turned':>6} {'row':>3} {'tiles':>5}"
    head += "".join(f"  {name:>22}" for name in ("planned", "measured", "uncorrected")) + "   off"
    text = [f"overlap across / down / askew, parts of a field; asked for: {OVERLAP:.3f}", head]
    for line in lines:
        parts = (shown(line.planned), shown(line.measured), shown(line.uncorrected))
        case = f"{line.scale:>6.2f} {line.turned_deg:>+6.1f} {line.row:>3} {line.tiles:>5}"
        text.append(f"{case}  {'  '.join(parts)}  {line.off:.3f}")
    return "\n".join(text)


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="lab", help="lab (default), still")
    parser.add_argument("--specimen", default="chip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    lines: list[Line] = []
    for scale, turned_deg in CASES:
        with tempfile.TemporaryDirectory() as folder:
            lines += run_case(scale, turned_deg, options, Path(folder))
    worst = max(line.off for line in lines if line.row >= TRUSTED_FROM_ROW)
    if options.json:
        rows = [asdict(line) | {"off": line.off} for line in lines]
        print(json.dumps({"rows": rows, "worst_after_second_row": worst, "target": TARGET}))
    else:
        print(table(lines))
        print(f"after the second row measured and planned differ by at most {worst:.4f}; target {TARGET:g}")
    return 0 if worst <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
