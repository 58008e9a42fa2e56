"""The worker as seen from the scan: a process of its own that is started, listened to, and started again if it dies."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from acquisition.journal import Journal, JournalError
from api.modules import module_command

GO_ON = "go on\n"  # what a worker hears that is to outlive the one who started it
DEATHS = 9  # a worker that dies so often without getting any further has a reason that starting it again does not mend
SILENCE_S = 600.0  # it tells its progress every second; a placement of a wafer, a report and a busy machine take longer
AGAIN_S = 0.1, 10.0  # shortest and longest time to the next start; all together, half a minute for a disk to get room


class WorkerFailed(RuntimeError):
    """The mosaic could not be made; the raw frames are safe."""


class WorkerProcess:
    """Runs `python -m api.worker RUN` until it has made the mosaic; a dead worker costs no frame.

    `heard` is called, from a thread of its own, with each line that the worker says about its progress.
    """

    def __init__(
        self, run: Path, options: Sequence[str], journal: Journal, heard: Callable[[dict[str, Any]], None]
    ) -> None:
        self._command = module_command("api.worker", str(run), "--until-stdin-ends", *options)
        self._options = list(options)
        self._journal = journal
        self._heard = heard
        self._summary: dict[str, Any] | None = None
        self._error = ""
        self._process: subprocess.Popen[str] | None = None
        self._complete = threading.Event()
        self._starts = self._placed = 0
        self._thread = threading.Thread(target=self._supervise, name="worker-supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, KeyboardInterrupt):
            self._thread.join()
        elif self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # whoever insists need not wait: the worker goes on and ends by itself
                self._process.stdin.write(GO_ON)
                self._process.stdin.flush()

    def summary(self) -> dict[str, Any]:
        """Wait until the mosaic is finished; the run's `summary.json`.

        Raises:
            WorkerFailed: with what the worker said last.
        """
        self._thread.join()
        if self._summary is None:
            raise WorkerFailed(f"worker: {self._error}")
        return self._summary

    def no_frame_will_follow(self) -> None:
        """Let a worker that dies again and again be given up: as long as frames come, it is worth starting anew."""
        self._complete.set()

    def _supervise(self) -> None:
        deaths, wait_s = 0, AGAIN_S[0]
        while deaths < DEATHS:
            placed_before = self._placed
            self._run_once()
            if self._summary is not None:
                return
            got_on = self._placed > placed_before
            deaths = 0 if got_on or not self._complete.is_set() else deaths + 1
            wait_s = AGAIN_S[0] if got_on else min(2 * wait_s, AGAIN_S[1])
            if self._complete.is_set():
                time.sleep(wait_s)  # a disk may get room meanwhile
            else:
                self._complete.wait(wait_s)

    def _run_once(self) -> None:
        """Start a worker, hear it out, and note how it ended if that was not well."""
        self._error = ""
        self._process = process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,  # it ends with us
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C is for the scan; the worker ends when the scan has ended
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._starts += 1
        self._note("worker_started", pid=process.pid, start=self._starts, options=self._options)
        with _ended_if_silent(process) as listen:
            for line in process.stdout:
                listen()
                self._hear(json.loads(line))
            code = process.wait()
        process.stdout.close()
        process.stdin.close()
        if self._summary is None:
            self._error = self._error or f"ended with code {code}"
            self._note("worker_died", code=code, reason=self._error)

    def _note(self, kind: str, **data: object) -> None:
        with suppress(JournalError):  # on a full disk the mosaic is the lesser loss; the scan itself tells
            self._journal.add_event(kind, **data)

    def _hear(self, said: dict[str, Any]) -> None:
        if "summary" in said:
            self._summary = said["summary"]
        elif "error" in said:
            self._error = said["error"]
        elif "warning" in said:
            self._note("worker_warned", reason=said["warning"])
        else:
            self._placed = max(self._placed, said["placed"])
            self._heard(said)


@contextmanager
def _ended_if_silent(process: "subprocess.Popen[str]") -> Iterator[Callable[[], None]]:
    """Kill a worker that says nothing for `SILENCE_S`; yields what is to be called when it says something."""
    heard, over = threading.Event(), threading.Event()

    def watch() -> None:
        while heard.wait(SILENCE_S):
            heard.clear()
            if over.is_set():
                return
        process.kill()

    watcher = threading.Thread(target=watch, name="worker watch", daemon=True)
    watcher.start()
    try:
        yield heard.set
    finally:
        over.set()
        heard.set()
        watcher.join()
