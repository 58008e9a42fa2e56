"""The guardian as seen from the service: started with a run on a rig with a probe, and started again if it dies."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from acquisition.heartbeat import SIZE_BYTES, Heartbeat
from api.modules import module_command
from devices.errors import DeviceError
from devices.rig_file import RigSettings
from devices.troubles import overcome

HEARTBEAT_VARIABLE = "NANORASTER_HEARTBEAT"
"""Where a guardian on its own keeps the heartbeat; unset, each run starts a guardian for itself."""
START_S = 20.0
"""It is ready in a fraction of a second; this is for a machine that is busy with something else."""
START_TRIES = 3
"""Before a run; during one it is started again and again."""
BESIDE_S = 2.0
"""One that runs on its own is there before the service."""
LOOK_S = 0.1
SILENCE_S = 10.0
"""A guardian beats ten times a second, and may be busy for a few seconds with a controller that does not answer."""
AGAIN_S = 0.2, 30.0
"""Shortest and longest time between two starts of a guardian that dies again and again."""
END_S = 5.0
HANGS_S = 3.0
"""On leaving: it has had `END_S` to beat fifty times."""


class GuardianFailed(RuntimeError):
    """No guardian; with a probe, no run begins without one."""


@contextmanager
def guarded(settings: RigSettings, journal: Path | None, note: Callable[..., None]) -> Iterator[Heartbeat]:
    """Have a guardian over the block; yields the heartbeat to be given. A rig without a probe needs no guardian.

    Args:
        journal: of the run, for the guardian's entries; None: nothing but a probe is at stake.
        note: the same journal's `add_event`, for what the service has to say about its guardian.

    Raises:
        GuardianFailed: there is none, or it cannot reach the scanner.
    """
    path = os.environ.get(HEARTBEAT_VARIABLE)
    if settings.devices.force is None or "z" not in getattr(settings.devices.scanner, "axes", "z"):
        yield Heartbeat.unshared()
    elif path is not None:
        yield from _beside(Path(path), journal)
    else:
        with GuardianProcess(settings, journal, note) as guardian:
            yield guardian.heart


def _beside(path: Path, journal: Path | None) -> Iterator[Heartbeat]:
    """Use the guardian that runs on its own."""
    heart = Heartbeat.at(path)
    heart.journal = journal
    heart.engaged = False  # of a service that died; the run begins with the probe retracted
    heart.rest()
    heart.take_note()
    give_up_s = time.monotonic() + BESIDE_S
    while heart.guardian.resting or heart.guardian.silence_s(time.monotonic()) > SILENCE_S:
        if time.monotonic() > give_up_s:
            raise GuardianFailed(f"guardian: none beats in {path} ({HEARTBEAT_VARIABLE})")
        time.sleep(LOOK_S)
    try:
        yield heart
    finally:
        heart.rest()


class GuardianProcess:
    """Runs `python -m acquisition.guardian` from entering to leaving; one that dies or hangs is replaced.

    It has a session of its own, so that what ends the service leaves it alive. A service that dies lets go of the
    pipe between them; one that ends well has laid its pulses to rest before.
    """

    def __init__(self, settings: RigSettings, journal: Path | None, note: Callable[..., None]) -> None:
        self._file = os.memfd_create("nanoraster-heartbeat")
        os.ftruncate(self._file, SIZE_BYTES)
        self.heart = Heartbeat(self._file)
        self.heart.journal = journal
        self._scanner = settings.devices.scanner.model_dump_json()
        self._note = note
        self._over = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._supervise, name="guardian-supervisor", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the process that guards at present."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        try:
            self._process = self._start_at_last()
        except GuardianFailed:
            os.close(self._file)
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heart.rest()
        self._over.set()
        self._thread.join()
        if self._process is not None:
            self._let_go(self._process)
        os.close(self._file)

    def _let_go(self, process: subprocess.Popen[str]) -> None:
        """Let a guardian end by itself; one that still retracts goes on without us, one that hangs ends."""
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            if self.heart.guardian.silence_s(time.monotonic()) > HANGS_S:
                code = _end(process)
                with suppress(OSError):
                    self._note("guardian_died", code=code)
                return
            print("nanoraster: the guardian is still at work", file=sys.stderr)
        _close_pipes(process)

    def _start_at_last(self) -> subprocess.Popen[str]:
        """Start one; tried a few times, as the opening of a device is."""
        for _ in range(START_TRIES - 1):
            try:
                return self._start()
            except GuardianFailed:
                overcome(DeviceError("guardian", "did not get ready, and is started again"))
        return self._start()

    def _start(self) -> subprocess.Popen[str]:
        """Start one and wait until it has its connection."""
        process = subprocess.Popen(
            module_command("acquisition.guardian", "--heartbeat", f"/dev/fd/{self._file}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            pass_fds=[self._file],
        )
        assert process.stdin is not None
        assert process.stdout is not None
        deadline = threading.Timer(START_S, process.kill)
        deadline.start()
        try:
            process.stdin.write(f"{self._scanner}\n")
            process.stdin.flush()
            said = process.stdout.readline()
        except BrokenPipeError:
            said = ""
        finally:
            deadline.cancel()
        if said != "ready\n":
            _end(process)
            raise GuardianFailed("guardian: did not get ready; it says why on stderr")
        return process

    def _supervise(self) -> None:
        wait_s = AGAIN_S[0]
        while not self._over.wait(LOOK_S):
            if self._process is not None and self._is_well(self._process):
                wait_s = AGAIN_S[0]
                continue
            if self._process is not None:
                code = _end(self._process)
                self._process = None
                with suppress(OSError):  # a disk that is full must not keep us from starting another one
                    self._note("guardian_died", code=code)
            try:
                self._process = self._start()
            except GuardianFailed:
                self._over.wait(wait_s)
                wait_s = min(2 * wait_s, AGAIN_S[1])

    def _is_well(self, process: subprocess.Popen[str]) -> bool:
        return process.poll() is None and self.heart.guardian.silence_s(time.monotonic()) < SILENCE_S


def _end(process: subprocess.Popen[str]) -> int:
    """End a guardian at once; what it died of, if it did."""
    process.kill()
    code = process.wait()
    _close_pipes(process)
    return code


def _close_pipes(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
