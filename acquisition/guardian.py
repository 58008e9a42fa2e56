"""The guardian: a small process that retracts the probe when the service is gone, stands still or runs in circles.

    python -m acquisition.guardian --heartbeat /dev/fd/N          started by the service, told on stdin which scanner
    python -m acquisition.guardian --heartbeat FILE --rig FILE    on its own, beside whatever service comes and goes

It has a connection of its own to the scanner, and moves nothing while the service is well. Having retracted, it says so
once, and keeps the probe down until the service takes note. It says on stdout that it is ready, and no more.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from acquisition.heartbeat import Heartbeat
from acquisition.run_folder import RUN
from acquisition.troubles import Troubles
from devices.drivers import driver_named
from devices.errors import DeviceError
from devices.model import FileError
from devices.protocols import Positioner
from devices.rig import open_device
from devices.rig_file import RigSettings
from devices.settings import DriverSettings
from devices.troubles import overcome, overcoming

SILENCE_ENGAGED_S = 0.25
"""Longer than the force loop's own 0.2 s: where that still works it retracts by itself, and the guardian need not."""
SILENCE_S = 5.0
"""With the probe off the specimen nothing is urgent."""
LATE_LOOKS = 4
"""So many looks in a row find it late: when the whole machine stood still, the service too gets a moment to wake up."""
LOOK_ENGAGED_S, LOOK_S = 0.01, 0.1
WARM_S = 1.0
"""How often the connection is tried, so that it is there when it is needed."""
MEND_S = 0.2
"""How soon again, when it was not."""
ANSWER_S = 0.15
"""A healthy controller answers in milliseconds; a late answer must not use up the time for a second try."""
RETRACTED_WITHIN_UM = 0.05
"""Of its lower limit: then z has arrived there; it is sent in any case."""
AGAIN_S = 0.25
"""A retraction that has not arrived by then is sent again."""
TELL_S = 2.0
"""A retraction that fails for so long is told, so that somebody comes."""
GIVE_UP_S = 600.0
HOLD_S = 10.0
"""So long after its last sign of life a service may still send z upwards; later, whoever moves it is somebody else."""
GENTLE = {"start_up": (), "home_on_connect": False, "motor_on_connect": False, "answer_s": ANSWER_S}
"""What a bystander's connection must not do, or not wait for; drivers that have these settings get them."""

Tell = Callable[..., None]


class Probe:
    """The guardian's own hold on the scanner."""

    def __init__(self, scanner: Positioner) -> None:
        self._scanner = scanner
        self._lowest_um = scanner.limits_um["z"][0]
        self._next_try_s = 0.0

    def keep_warm(self, now_s: float) -> None:
        """Ask for the position now and then; a lost connection is opened again by that."""
        if now_s < self._next_try_s:
            return
        try:
            self._scanner.read_position_um()
            self._next_try_s = now_s + WARM_S
        except DeviceError as error:
            overcome(error)
            self._next_try_s = now_s + MEND_S

    def is_down(self) -> bool:
        """Ask whether the probe is retracted; no answer is no."""
        with overcoming(DeviceError):
            return self._scanner.read_position_um()["z"] <= self._lowest_um + RETRACTED_WITHIN_UM
        return False

    def retract_once(self) -> DeviceError | None:
        """Stop whatever moves the stage, a sweep too, and send z down; None once it is there."""
        trouble: DeviceError | None = None
        with overcoming(DeviceError):  # the move that follows takes precedence over a stop that is not confirmed
            self._scanner.stop()
        try:
            self._scanner.start_move({"z": self._lowest_um})
        except DeviceError as error:
            trouble = error
        deadline_s = time.monotonic() + AGAIN_S
        while not self.is_down():
            if time.monotonic() > deadline_s:
                return trouble or DeviceError("scanner", f"z has not reached {self._lowest_um:g} um")
            time.sleep(LOOK_ENGAGED_S / 2)
        return None


class Guardian:
    """Watches one heartbeat with one probe; `look` is called again and again."""

    def __init__(self, heart: Heartbeat, probe: Probe, tell: Tell, call: Callable[[], None]) -> None:
        """Watch; `tell` enters in the run's journal what is done, `call` has people told who else would not be."""
        self._heart = heart
        self._probe = probe
        self._tell = tell
        self._call = call
        self._late = 0
        self._holding = self._called = heart.retracted  # by a guardian before this one

    def look(self, now_s: float, gone: bool) -> None:
        """Look once; retract if the service is `gone`, or has been silent for too long."""
        self._heart.guardian.beat()
        self._look(now_s, gone)
        if self._heart.retracted and not self._called and (gone or self._heart.silence_s(now_s) > HOLD_S):
            self._called = True
            self._call()

    def _look(self, now_s: float, gone: bool) -> None:
        if self._heart.retracted:
            self._hold_down(now_s)
        elif self._holding:
            self._holding = self._called = False
            self._tell("guardian_released")
        elif gone:
            self._retract("the service is gone")
        elif self._too_silent(silence_s := self._heart.silence_s(now_s)):
            self._retract(f"the service was silent for {silence_s:.2f} s")
        else:
            self._probe.keep_warm(now_s)

    def _too_silent(self, silence_s: float) -> bool:
        allowed_s = SILENCE_ENGAGED_S if self._heart.engaged else SILENCE_S
        self._late = self._late + 1 if silence_s > allowed_s else 0
        return self._late >= LATE_LOOKS

    def _hold_down(self, now_s: float) -> None:
        self._holding = True
        if self._heart.silence_s(now_s) > HOLD_S:
            self._probe.keep_warm(now_s)
        elif not self._probe.is_down() and self._heart.retracted:  # asked last: whoever took note may move it again
            self._probe.retract_once()

    def _retract(self, reason: str) -> None:
        """Retract until the probe is down, and tell; before that if it takes long."""
        began_s = time.monotonic()
        engaged = self._heart.engaged
        self._heart.tell_retracted()  # first: a service that wakes up meanwhile must see it before it moves
        self._holding, self._late = True, 0
        told = False

        def tell(trouble: DeviceError | None) -> None:
            outcome = {"trouble": str(trouble)} if trouble else {"took_s": round(time.monotonic() - began_s, 3)}
            self._tell("guardian_retracted", retracted=trouble is None, reason=reason, engaged=engaged, **outcome)

        while (trouble := self._probe.retract_once()) is not None and self._heart.retracted:
            self._heart.guardian.beat()
            tried_s = time.monotonic() - began_s
            if tried_s > TELL_S and not told:
                told = True
                tell(trouble)
            if tried_s > GIVE_UP_S:
                return
        if not told:
            tell(trouble)


def watch(heart: Heartbeat, probe: Probe, tell: Tell, call: Callable[[], None], ended: Callable[[float], bool]) -> None:
    """Watch until `ended(wait_s)`, which waits for so long at most, says that the service has ended, well or badly."""
    guardian = Guardian(heart, probe, tell, call)
    while True:
        gone = ended(LOOK_ENGAGED_S if heart.engaged or heart.retracted else LOOK_S)
        guardian.look(time.monotonic(), gone=gone and not heart.resting)
        if gone:
            return


def report(heart: Heartbeat, kind: str, **data: Any) -> None:
    """Say an alert in one line on stderr, and enter it in the journal of the run under way."""
    line = f"nanoraster guardian: {_words(kind, data)}"
    _say(line)
    if (path := heart.journal) is None:
        return
    try:
        enter(path, kind, **data)
    except OSError as error:
        _say(f"nanoraster guardian: {error}")
        with suppress(OSError), path.with_name("guardian.log").open("a") as log:
            log.write(f"{line}\n")


def enter(path: Path, kind: str, **data: Any) -> None:
    """Enter an event in the journal of the run under way."""
    from acquisition.journal import Journal  # late: half of this process' memory, for rare use

    with closing(Journal(path)) as journal:
        journal.add_event(kind, **data)


def call_people(heart: Heartbeat) -> None:
    """Have the channels of the run told, by a process that outlives this one."""
    if (path := heart.journal) is not None and path.with_name(RUN).exists():
        command = [sys.executable, "-P", "-m", "acquisition.telling", str(path.parent)]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def _words(kind: str, data: dict[str, Any]) -> str:
    match kind, data.get("trouble"):
        case "guardian_released", _:
            return "the service is back and has taken note; watching again"
        case _, None:
            return f"the probe is retracted, because {data['reason']}"
        case _, trouble:
            return f"THE PROBE CANNOT BE RETRACTED: {trouble}; tried because {data['reason']}"


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may have gone with the service
        print(line, file=sys.stderr, flush=True)


def gentle(settings: DriverSettings) -> DriverSettings:
    """The scanner's settings for a connection beside the service's, which switches and searches nothing."""
    return settings.model_copy(
        update={key: value for key, value in GENTLE.items() if key in type(settings).model_fields}
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Take the command line apart."""
    parser = argparse.ArgumentParser(prog="python -m acquisition.guardian")
    parser.add_argument("--heartbeat", type=Path, required=True, help="the memory that the service beats in")
    parser.add_argument("--rig", type=Path, help="rig file; without it, the service says on stdin which scanner")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    alone = options.rig is not None
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # a child outlives the service, whoever ends both
        signal.signal(number, _end if alone else signal.SIG_IGN)
    heart = Heartbeat.at(options.heartbeat)
    troubles = Troubles()
    try:
        settings = _scanner_settings(options.rig)
        scanner = open_device("guardian", gentle(settings))
    except (DeviceError, FileError) as error:
        _say(f"nanoraster guardian: {error}")
        return 1
    if "z" not in scanner.limits_um:
        _say("nanoraster guardian: the scanner has no axis z")
        return 1
    heart.guardian.beat()
    with suppress(BrokenPipeError):  # the service died meanwhile: whether the probe is down is still to be seen to
        os.write(sys.stdout.fileno(), b"ready\n")
    try:
        with ThreadPoolExecutor(1, "telling") as telling:  # a locked journal must not keep us from watching

            def tell(kind: str, **data: Any) -> None:
                telling.submit(report, heart, kind, **data)

            def note(kind: str, **data: Any) -> None:
                if (path := heart.journal) is not None:
                    enter(path, kind, **data)

            def call() -> None:
                telling.submit(call_people, heart)

            with troubles.noted_by(note):
                watch(heart, Probe(scanner), tell, call, _never if alone else _stdin_ended)
    finally:
        troubles.close()
        heart.guardian.rest()
        scanner.close()
    return 0


def _scanner_settings(rig: Path | None) -> DriverSettings:
    if rig is not None:
        return RigSettings.load(rig).devices.scanner
    told = json.loads(sys.stdin.readline())
    driver = driver_named(told["driver"])
    assert driver is not None, "the service has this driver"
    return driver[0].model_validate(told)


def _stdin_ended(wait_s: float) -> bool:
    """Wait for the service's end: the pipe to us is closed then, whatever it died of."""
    return bool(select.select([sys.stdin], [], [], wait_s)[0])


def _never(wait_s: float) -> bool:
    """Wait; services come and go."""
    time.sleep(wait_s)
    return False


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
