"""What a person at a terminal sees: progress on stderr, the result on stdout; one JSON object instead if asked."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from acquisition.instructions import Instructions
from acquisition.states import State
from devices.self_test import Check

if TYPE_CHECKING:
    from acquisition.journal import Attempt
    from api.scan import Watcher
    from api.video_live import LiveWatcher
    from reconstruction.video import Seen
    from reconstruction.video_choice import Standing


class Bars:
    """Two bars, for a scan and the mosaic that follows it, or one of them alone."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def watcher(self, told: Instructions) -> "Watcher":
        """Bars for a scan and its mosaic; where a person watches, Enter lets a paused scan go on."""
        from api.scan import Watcher  # with all that a scan needs, which other commands do not

        done: set[int] = set()
        planned = before = 0

        def started(tiles: int, taken: int) -> None:
            nonlocal planned, before
            planned, before = tiles, taken
            self._advance("scan", before, planned)

        def acquired(attempt: "Attempt") -> None:
            if attempt.verdict == "ok":
                done.add(attempt.tile)
                self._advance("scan", before + len(done), max(planned, before + len(done)))
            else:
                self._say(f"tile {attempt.tile}: {attempt.verdict}: {attempt.reason}")

        def state(now: State) -> None:
            if now is State.PAUSED:
                self._say(f"paused: {told.why_waits or 'told to'}. Enter goes on, Ctrl-C ends the scan.")
            elif now is State.FINISHING and told.stopped and told.why_ends:
                self._say(f"ending: {told.why_ends}")

        return Watcher(started, acquired, state, self.placed, self.warn)

    def warn(self, text: str) -> None:
        """Say something that does not end the command."""
        self._say(f"warning: {text}")

    def live_watcher(self) -> "LiveWatcher":
        """Show how the view of a live video stands to the last tile; warnings stay on the screen."""
        from api.video_live import LiveWatcher

        taken = 0

        def stands(standing: "Standing") -> None:
            name = f"overlap {standing.overlap:4.0%}, {taken} tiles"
            self._advance(name, round(100 * standing.overlap), 100, "video")

        def acquired(attempt: "Attempt") -> None:
            nonlocal taken
            taken += 1
            if self._progress.disable:
                self._say(f"tile {attempt.tile}: at {attempt.actual_x_um:.2f}, {attempt.actual_y_um:.2f} um")

        return LiveWatcher(stands, acquired, lambda warning: self._say(f"warning: {warning}"), self.placed)

    def _say(self, text: str) -> None:
        self._progress.console.print(text, soft_wrap=True, markup=False, highlight=False)

    def placed(self, said: Mapping[str, Any]) -> None:
        """Take note of what the worker says."""
        self._advance("mosaic", said["placed"], said["planned"])

    def selected(self, seen: "Seen") -> None:
        """Take note of how far the choice of frames is."""
        self._advance(f"{seen.file[-20:]}: {seen.chosen} chosen", seen.pictures, max(seen.of, seen.pictures), seen.file)

    def judged(self, done: int, total: int) -> None:
        """Take note of how many images an evaluation has judged."""
        self._advance("judged", done, total)

    def trained(self, step: int, steps: int, paid: Mapping[str, float]) -> None:
        """Take note of a step of a training and what it cost."""
        self._advance(", ".join(f"{name} {value:.4f}" for name, value in paid.items()), step, steps, "training")

    def _advance(self, name: str, completed: int, total: int, task: str | None = None) -> None:
        task = task or name
        if task not in self._tasks:
            self._tasks[task] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[task], description=name, completed=completed, total=total)


@contextmanager
def bars() -> Iterator[Bars]:
    """Progress bars on stderr while something long goes on; silent where stderr is no terminal."""
    columns = TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bars(progress)


def result(as_json: bool, found: Mapping[str, Any], lines: list[str]) -> None:
    """The one thing that goes to stdout."""
    sys.stdout.write((json.dumps(found, default=str) if as_json else "\n".join(lines)) + "\n")
    sys.stdout.flush()


def progress_line(said: str) -> None:
    """Say on stderr how far something is, where it has no end that a bar could show."""
    sys.stderr.write(f"{said}\n")
    sys.stderr.flush()


def show_check(check: Check) -> None:
    """One row of the table of devices, as soon as it is known."""
    verdict = "ok" if check.ok else "FAILED"
    sys.stdout.write(f"{check.device:<8} {check.driver:<9} {verdict:<6} {check.took_s:5.1f} s  {check.found}\n")
    sys.stdout.flush()
