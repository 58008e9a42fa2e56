"""Run the twin as a process of its own: `python -m hardware_sim`."""

import argparse
import json
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

from hardware_sim.errors import UsageError

T = TypeVar("T")

SPEED_RANGE = (0.01, 1000.0)
PIXEL_NM_RANGE = (0.1, 1e6)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UsageError(message)


def main(arguments: list[str] | None = None) -> int:
    """Run a twin until SIGTERM or SIGINT; returns the exit code."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parse(arguments)
        _forget(options.ready_file)
        try:
            _serve(options)
        finally:
            _forget(options.ready_file)
    except (UsageError, OSError) as error:
        if debug:
            traceback.print_exc()
        print(f"hardware_sim: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the tidying
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(0)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="hardware_sim", description="The digital twin of a scanning nano-imaging rig.")
    parser.add_argument("--world", default="lab", help="lab (default), still, superlens, diffraction, or a TOML file")
    parser.add_argument("--specimen", default="chip", help="chip (default), alloy, siemens, blocks, or an image")
    parser.add_argument("--pixel-nm", type=float, help="size of a pixel of the specimen (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default 0)")
    parser.add_argument("--speed", type=float, default=1.0, help="world seconds per second (default 1)")
    parser.add_argument("--faults", default="none", help="none (default), night, or a TOML file")
    parser.add_argument("--ready-file", type=Path, help="where to write the addresses; stdout otherwise")
    parser.add_argument("--json", action="store_true", help="as always: the addresses come as one JSON object")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end with whoever holds the standard input")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args(arguments)
    low, high = SPEED_RANGE
    least_nm, most_nm = PIXEL_NM_RANGE
    if options.pixel_nm is not None and not least_nm <= options.pixel_nm <= most_nm:
        raise UsageError(f"--pixel-nm: {options.pixel_nm} is outside {least_nm}..{most_nm}")
    if options.seed < 0:
        raise UsageError(f"--seed: {options.seed} is not a whole number of 0 or more")
    if not low <= options.speed <= high:
        raise UsageError(f"--speed: {options.speed} is outside {low}..{high}")
    return options


def _forget(ready_file: Path | None) -> None:
    """Remove the ready file: whoever waits for it must find none but that of a twin that is alive."""
    if ready_file is None:
        return
    if not ready_file.parent.is_dir():
        raise UsageError(f"--ready-file: {ready_file.parent} is not a folder")
    try:
        ready_file.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"--ready-file: {ready_file} cannot be written: {error.strerror}") from error


def _made(asked: str, make: Callable[[], T]) -> T:
    """Make a part of the world out of numbers that are each within their range."""
    try:
        return make()
    except (ArithmeticError, ValueError, MemoryError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{asked}: these numbers do not go together: {error}") from error


def _serve(options: argparse.Namespace) -> None:
    # Imported late: a signal that comes while the heavy libraries load must already find its handler.
    from hardware_sim.clock import CountedClock, RealClock
    from hardware_sim.faults import load_script
    from hardware_sim.server import Twin, write_whole
    from hardware_sim.settings import load_world
    from hardware_sim.specimen import load_specimen
    from hardware_sim.world import World

    settings, script = load_world(options.world), load_script(options.faults)
    ready_file: Path | None = options.ready_file
    specimen = _made(
        f"--specimen {options.specimen}, --pixel-nm {options.pixel_nm}",
        lambda: load_specimen(options.specimen, options.pixel_nm, options.seed),
    )
    if specimen.remark:
        print(f"hardware_sim: {specimen.remark}", file=sys.stderr)
    clock = CountedClock() if settings.time == "counted" else RealClock(options.speed)
    world = _made(f"--world {options.world}", lambda: World(settings, specimen, clock, options.seed, script))
    with Twin(world, options.speed, ready_file) as twin:
        addresses = json.dumps(twin.ready)
        if ready_file is not None:
            write_whole(ready_file, addresses + "\n")
        else:
            print(addresses, flush=True)
        if options.until_stdin_ends:
            sys.stdin.buffer.read()
        else:
            threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
