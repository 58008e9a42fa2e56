"""Our stitching beside others', on the same files in one run: how exact, how fast, how much memory.

    python -m benchmarks.stitching --sets A B D --peers cv2+LSQ ashlar --seed 7 --data SHARED_DATA

Generated sets (see `tile_sets`) have exact truth; real ones (with `--data`) what their README knows. rms, max and off
(part of the tiles more than 2 px away) are of places after the median translation; seam is the rms error of the
displacements of neighbours, textured the same over seams with features in them. `stage` is what the stage claims. Each
peer runs in an environment of its own, made by pip under `--envs` on first use. Times cover what the last column names,
start of the interpreter and imports included. left is the median shift that is still measured on patches of the seams
(`reconstruction.seams`, for all alike; ours as its report has it, with the distortion that it found): it judges real
sets, whose reference may be wrong too.

Set cemi (3,902 frames, not among the default ones) takes 3 GB in `--work` while it runs. `drift` is there the greatest
change of the error of a place over any hundred successive frames of the scan.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_sets import REAL, link_tiles
from benchmarks.stitching_peers import MAKES, OURS, PEERS, Spent, Unable, environment, our_command, peer_command, stitch
from benchmarks.stitching_scores import Known, Place, Scores, generated, read_places, scored
from benchmarks.tile_sets import SETS
from reconstruction.placement import PlacedTile, Placement
from reconstruction.seams import seam_shifts
from reconstruction.sources import Tile
from reconstruction.tile_files import read_grey

DEFAULT_SETS = ("A", "B", "C", "D", "E", "F", "G", "H", "I", "P")
STAGE = "stage"
REACH_PX = 15.0  # that Ashlar is told to expect, its own default; told more, it accepts more wrong pairs
LOST_REACH_PX = 90.0
DRIFT_FRAMES = 100
TARGETS: dict[str, dict[str, float]] = {
    "A": {"rms_px": 0.10, "seam_px": 0.06},
    "B": {"rms_px": 0.07, "seam_px": 0.04},
    "C": {"rms_px": 0.10, "wall_s": 12.0, "peak_mb": 500.0},
    "D": {"rms_px": 0.30, "off": 0.0},
    "E": {"rms_px": 1.65, "textured_seam_px": 0.2},
    "F": {"rms_px": 0.08},
    "G": {"seam_px": 0.2},
    "cemi": {"wall_s": 150.0, "rejected": 0.005, "drift_px": 1.0},
    "lscm_metal_3x4": {"rms_px": 0.5},
}
"""What ours may have at most, from issue 5."""


@dataclass(frozen=True)
class Row:
    """What one stitcher made of one set; `unable` says why it made nothing."""

    tiles: str
    peer: str
    scores: Scores | None = None
    spent: Spent | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    unable: str = ""

    def figures(self) -> dict[str, float | None]:
        """Give all figures by name."""
        found: dict[str, float | None] = {}
        for part in (self.scores, self.spent):
            found |= asdict(part) if part else {}
        return found | dict(self.extra)


@dataclass(frozen=True)
class Given:
    """A set on the disk."""

    name: str
    tiles: Path
    known: Known
    reach_px: float = REACH_PX


def given(name: str, seed: int, data: Path | None, work: Path) -> Given:
    """Write a generated set, or link a real one."""
    if name in REAL:
        assert data is not None
        listed, known = REAL[name](data / name)
        link_tiles(data / name, listed, work / "tiles")
        return Given(name, work / "tiles", known)
    command = [sys.executable, "-m", "benchmarks.tile_sets", "--set", name, "--seed", str(seed), "--out", str(work)]
    subprocess.run(command, check=True)
    reach_px = LOST_REACH_PX if SETS[name].lost_steps_px else REACH_PX
    return Given(name, work / "tiles", generated(work / "truth"), reach_px)


def rows_of(these: Given, peers: list[str], envs: Path, work: Path) -> Iterator[Row]:
    """Stitch one set with everybody, ours first."""
    claimed = read_places(these.tiles / "tiles.csv")
    yield Row(these.name, STAGE, scored(claimed, these.known), extra=left(these, claimed))
    yield ours(these, work)
    for name in peers:
        out = work / name / "positions.csv"
        out.parent.mkdir()
        try:
            python = environment(name, envs)
            spent = stitch(peer_command(name, python, these.tiles, out, these.reach_px), out.parent)
            places = read_places(out)
            yield Row(these.name, name, scored(places, these.known), spent, left(these, places))
        except Unable as why:
            yield Row(these.name, name, unable=str(why))


def left(these: Given, places: Mapping[str, Place]) -> dict[str, float]:
    """Measure what others leave in the seams."""
    number = {name: index for index, name in enumerate(places)}
    tiles = {
        index: PlacedTile(Tile(index, name, *places[name]), *places[name], "registration", 1.0)
        for name, index in number.items()
    }
    pairs = frozenset((number[seam.first], number[seam.second]) for seam in these.known.seams)
    shifts = seam_shifts(Placement(tiles, pairs, 0.0, 0.0, 0.0), lambda tile: read_grey(these.tiles / tile.name))
    named = {"seam_shift_px_median": shifts.median_px, "seam_shift_px_p95": shifts.p95_px}
    return {name: value for name, value in named.items() if value is not None}


def ours(these: Given, work: Path) -> Row:
    """Run `nanoraster reconstruct` and read what it left."""
    out = work / OURS
    try:
        spent = stitch(our_command(these.tiles, out), work)
    except Unable as why:
        return Row(these.name, OURS, unable=str(why))
    places = read_places(out / "positions.csv")
    summary = json.loads((out / "report" / "summary.json").read_text())
    edges = summary["stitch"]
    extra = {"rejected": 1 - edges["accepted"] / edges["edges"], "frames_per_s": len(places) / spent.wall_s}
    extra |= {key: edges[key] for key in ("seam_shift_px_median", "seam_shift_px_p95") if edges.get(key) is not None}
    if these.name == "cemi":
        extra["drift_px"] = drift_px(places, these.known.places)
    return Row(these.name, OURS, scored(places, these.known), spent, extra)


def drift_px(found: Mapping[str, Place], true: Mapping[str, Place]) -> float:
    """Give the greatest change of the error over a hundred successive frames."""
    error = np.array([np.subtract(found[name], place) for name, place in true.items()])
    change = error[DRIFT_FRAMES:] - error[:-DRIFT_FRAMES]
    return float(np.hypot(*change.T).max())


def missed(rows: list[Row]) -> dict[str, dict[str, tuple[float | None, float, bool]]]:
    """Hold our figures against the targets: figure, target, met; by set and name."""
    return {
        row.tiles: {
            name: (row.figures().get(name), most, _within(row.figures().get(name), most))
            for name, most in TARGETS[row.tiles].items()
        }
        for row in rows
        if row.peer == OURS and row.tiles in TARGETS
    }


def _within(value: float | None, most: float) -> bool:
    return value is not None and value <= most


COLUMNS = (
    ("rms_px", "rms", "{:.3f}"),
    ("max_px", "max", "{:.2f}"),
    ("off", "off", "{:.0%}"),
    ("seam_px", "seam", "{:.3f}"),
    ("textured_seam_px", "textured", "{:.3f}"),
    ("seam_shift_px_median", "left", "{:.3f}"),
    ("wall_s", "wall s", "{:.1f}"),
    ("cpu_s", "CPU s", "{:.1f}"),
    ("peak_mb", "MB", "{:.0f}"),
)


def line(row: Row, best: Row | None) -> str:
    """One line of the table; `best` is ours on the same set."""
    figures = row.figures()
    cells = ["-" if figures.get(key) is None else form.format(figures[key]) for key, _, form in COLUMNS]
    text = f"{row.tiles:20}{row.peer:12}" + "".join(f"{cell:>10}" for cell in cells)
    if row.unable:
        return f"{text}   {row.unable}"
    if best is not None and row.peer not in (OURS, STAGE):
        ratios = [_over(best, row, key) for key in ("rms_px", "seam_px", "wall_s", "cpu_s")]
        text += "   ours/it: " + ", ".join(ratios)
    return text + (f"   {MAKES[row.peer]}" if row.peer in MAKES else "")


def _over(ours: Row, other: Row, key: str) -> str:
    mine, its = ours.figures().get(key), other.figures().get(key)
    return f"{key.partition('_')[0]} " + ("-" if mine is None or not its else f"{mine / its:.2f}")


def default_envs() -> Path:
    """Give the folder of environments in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / OURS / "peers"


def options() -> argparse.Namespace:
    """Take the command line apart."""
    parser = argparse.ArgumentParser(description="Stitchers beside each other.")
    parser.add_argument(
        "--sets", nargs="+", choices=[*SETS, *REAL], help="default: all but cemi; real ones with --data"
    )
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="default: all")
    parser.add_argument("--seed", type=int, default=1, help="of the generated sets, 0 or more (default 1)")
    parser.add_argument("--data", type=Path, help="folder of the real sets")
    parser.add_argument("--envs", type=Path, default=default_envs(), help="where the peers' environments are kept")
    parser.add_argument("--work", type=Path, help="where sets are written for a while (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, the table on stderr")
    found = parser.parse_args()
    if found.seed < 0:
        parser.error(f"--seed: {found.seed} is below 0")
    if found.sets is None:
        found.sets = [*DEFAULT_SETS, *(REAL if found.data else ())]
    for name in found.sets:
        if name in REAL and (found.data is None or not (found.data / name).is_dir()):
            parser.error(f"--sets {name}: there is no folder {name} in --data {found.data}")
    return found


def main() -> int:
    """Print the table; exit code 1 if ours misses a target."""
    asked = options()
    told = sys.stderr if asked.json else sys.stdout
    print(f"{'set':20}{'stitcher':12}" + "".join(f"{title:>10}" for _, title, _ in COLUMNS), file=told)
    rows: list[Row] = []
    load: dict[str, float] = {}
    for name in asked.sets:
        with tempfile.TemporaryDirectory(dir=asked.work) as folder:
            these = given(name, asked.seed, asked.data, Path(folder))
            load[name] = os.getloadavg()[0]
            best: Row | None = None
            for row in rows_of(these, asked.peers if name != "cemi" else [], asked.envs, Path(folder)):
                best = row if row.peer == OURS else best
                rows.append(row)
                print(line(row, best), file=told, flush=True)
    verdicts = missed(rows)
    for name, targets in verdicts.items():
        for key, (value, most, met) in targets.items():
            shown = "-" if value is None else f"{value:.4g}"
            print(f"{name} {key}: {shown}, at most {most:g}: {'met' if met else 'MISSED'}", file=told)
    if asked.json:
        print(json.dumps(_as_json(rows, verdicts, load, asked.seed)))
    return 0 if all(met for targets in verdicts.values() for _, _, met in targets.values()) else 1


def _as_json(rows: list[Row], verdicts: Any, load: dict[str, float], seed: int) -> dict[str, Any]:
    table = [{"set": row.tiles, "stitcher": row.peer, "unable": row.unable or None, **row.figures()} for row in rows]
    return {"seed": seed, "rows": table, "targets": verdicts, "load_before": load}


if __name__ == "__main__":
    sys.exit(main())
