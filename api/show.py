"""What a person at a terminal sees: progress on stderr, the result on stdout; one JSON object instead if asked."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from acquisition.journal import Attempt
from api.scan import Watcher
from devices.self_test import Check


class Bars:
    """Two bars, for a scan and the mosaic that follows it, or one of them alone."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def watcher(self) -> Watcher:
        """Bars for a scan and its mosaic."""
        done: set[int] = set()
        planned = 0

        def started(tiles: int) -> None:
            nonlocal planned
            planned = tiles
            self._advance("scan", 0, planned)

        def acquired(attempt: Attempt) -> None:
            if attempt.verdict == "ok":
                done.add(attempt.tile)
                self._advance("scan", len(done), planned)
            else:
                said = f"tile {attempt.tile}: {attempt.verdict}: {attempt.reason}"
                self._progress.console.print(said, soft_wrap=True, markup=False, highlight=False)

        return Watcher(started, acquired, self.placed)

    def placed(self, said: Mapping[str, Any]) -> None:
        """Take note of what the worker says."""
        self._advance("mosaic", said["placed"], said["planned"])

    def _advance(self, name: str, completed: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=completed, total=total)


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


def show_check(check: Check) -> None:
    """One row of the table of devices, as soon as it is known."""
    verdict = "ok" if check.ok else "FAILED"
    sys.stdout.write(f"{check.device:<8} {check.driver:<9} {verdict:<6} {check.took_s:5.1f} s  {check.found}\n")
    sys.stdout.flush()
