"""The worker: follows one run to its mosaic and report. `python -m api.worker RUN [--world URL]`

It says what it does as JSON, a line at a time: `{"placed": 12, "planned": 48}`, if need be `{"warning": "..."}`,
at the end `{"summary": {...}}`, or `{"error": "..."}` and exit code 1. With `--world` it asks the twin's world for the
truth and compares.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import threading
from pathlib import Path
from typing import Any

from acquisition.judging import doubt_calibration
from acquisition.run_frames import RunFrames
from acquisition.summary import run_facts
from api.folders import writing_in
from api.heap import give_back, settle_heap
from api.night.report import write_night_report
from api.truth import compare
from api.worker_process import GO_ON
from reconstruction.consistency import LEAST_AGREEMENT, Consistency
from reconstruction.report import write_report
from reconstruction.restore import restorer
from reconstruction.sources import Tile
from reconstruction.worker import Progress, follow

POLITENESS = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m api.worker")
    parser.add_argument("run", type=Path)
    parser.add_argument("--world")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end with who started it, unless told 'go on'")
    options = parser.parse_args()
    _give_way()
    if options.until_stdin_ends:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    say = Channel()
    try:
        say({"summary": reconstruct_run(options.run, options.world, say)})
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def _give_way() -> None:
    """Leave the engine the larger part of a core; what else runs on the machine must not starve the worker, though."""
    os.nice(POLITENESS)


def _end_with_stdin() -> None:
    """End when the service is gone: its successor starts a worker of its own, on the same mosaic."""
    if sys.stdin.read() != GO_ON:
        os._exit(1)


class Channel:
    """Standard output, kept for messages alone: what a library prints there goes to standard error."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._output = os.dup(1)
        os.dup2(2, 1)

    def __call__(self, message: dict[str, Any]) -> None:
        """Say one message; if whoever started the worker is gone, go on without."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._output, json.dumps(message).encode() + b"\n")


def reconstruct_run(run: Path, world_url: str | None, say: Channel) -> dict[str, Any]:
    """Follow the run in its own folder; the finished `summary.json`."""
    source = RunFrames(run, remember_edges=True)
    frame_bytes = math.prod(source.tile_shape) * source.dtype.itemsize
    settle_heap(frame_bytes)

    def heard(progress: Progress) -> None:
        give_back(frame_bytes)
        say({"placed": progress.tiles, "planned": progress.planned})

    def warned(text: str) -> None:
        say({"warning": text})

    def agreed(tile: Tile, found: Consistency) -> None:
        misfit = None if found.misfit is None else found.misfit.facts()
        source.report_restored(tile, found.agreement, LEAST_AGREEMENT, misfit)

    with writing_in(run):
        restore = restorer(source.store.plan.reconstruction.model, said=warned)
        made = follow(source, run, restore, heard, agreed=agreed)
        doubt_calibration(source.store)
        facts = run_facts(source.store)
        if world_url is not None:
            with contextlib.suppress(OSError):  # a twin that is gone takes its truth along, not the report
                facts |= compare(world_url, source.store, made, run)
        summary = write_report(run, made, source.pixels, facts)
        write_night_report(run)
        return summary


if __name__ == "__main__":
    sys.exit(main())
