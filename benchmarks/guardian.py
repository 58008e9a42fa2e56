"""How soon the guardian has the probe off the specimen, once the service is killed, stopped, or runs in circles.

Each try starts a stand-in service on the twin, with the drivers and the guardian of the real one, lets it engage the
probe and scan, does one of the three things to it at a random moment, and asks the world where z really is until it is
at its limit. Beside it, false alarms: the same service left alone while every core is kept busy, as by the worker.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acquisition.journal import Journal
from api.twin import Twin, running_twin
from devices.protocols import Positioner
from devices.rig import RigSettings, open_device

TARGET_S = 0.5
BEGUN_UM = 0.1
DOWN_UM = 0.05
MISSED_S = 5.0
CONTACT_NN = 300.0
APPROACH_UM = 0.02
HARMS = ("killed", "stopped", "in circles")
READY_S = 30.0
POLITENESS = 10


@dataclass
class Service:
    """A stand-in that has the probe engaged."""

    process: subprocess.Popen[str]
    guardian_pid: int

    def hear(self) -> str:
        """Wait for the next line that it says; it is killed if it says none for `READY_S`."""
        assert self.process.stdout is not None
        deadline = threading.Timer(READY_S, self.process.kill)
        deadline.start()
        try:
            return self.process.stdout.readline().strip()
        finally:
            deadline.cancel()

    def end(self) -> None:
        """Let it end well."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(READY_S)

    def tell(self, words: str) -> None:
        """Say a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()


@contextmanager
def engaged_service(rig: Path, journal: Path, z_um: float) -> Iterator[Service]:
    """Start a stand-in and wait until it has engaged; on leaving it is ended, whatever has become of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.guardian_service", str(rig), str(journal), str(z_um)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    service = Service(process, 0)
    try:
        said = service.hear()
        if not said.startswith("engaged "):
            raise RuntimeError(f"the stand-in service said {said!r}, not 'engaged'")
        service.guardian_pid = int(said.split()[1])
        yield service
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        _wait_for_end(service.guardian_pid)


def _wait_for_end(pid: int) -> None:
    """Wait until a guardian has retracted, told and ended: it is nobody's child any more."""
    deadline_s = time.monotonic() + READY_S
    while pid and Path(f"/proc/{pid}").exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)


def truth(twin: Twin) -> dict[str, Any]:
    """What is so in the world at this moment."""
    with urllib.request.urlopen(f"{twin.world.url}/truth", timeout=MISSED_S) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def contact_z_um(twin: Twin) -> float:
    """Bring the probe to the specimen step by step; where it presses with `CONTACT_NN`. Leaves it retracted."""
    scanner: Positioner = open_device("scanner", RigSettings.load(twin.rig).devices.scanner)
    try:
        low_um, high_um = scanner.limits_um["z"]
        scanner.move_to({"x": 20.0, "y": 20.0, "z": low_um})
        z_um = low_um
        while truth(twin)["force_nn"] < CONTACT_NN:
            z_um += APPROACH_UM
            if z_um > high_um:
                raise RuntimeError("the specimen is out of the scanner's reach")
            scanner.move_to({"z": z_um})
        scanner.move_to({"z": low_um})
        return z_um
    finally:
        scanner.close()


@dataclass(frozen=True)
class Try:
    """What came of one: seconds from the harm to the first 0.1 um of the way down, and to the limit; None: too late."""

    harm: str
    began_s: float | None
    down_s: float | None
    released: bool


def harm(service: Service, how: str) -> None:
    """Do it to the service."""
    match how:
        case "killed":
            service.process.kill()
        case "stopped":
            os.kill(service.process.pid, signal.SIGSTOP)
        case "in circles":
            service.tell("livelock")


def attempt(twin: Twin, journal: Path, z_um: float, how: str, wait_s: float) -> Try:
    """Engage, wait, harm, and watch the probe go; a service that was only stopped is to engage anew afterwards."""
    with engaged_service(twin.rig, journal, z_um) as service:
        time.sleep(wait_s)
        if not truth(twin)["probe_contact"]:
            raise RuntimeError("the probe was not engaged")
        harm(service, how)
        harmed_s = time.monotonic()
        began_s = down_s = None
        while down_s is None and time.monotonic() - harmed_s < MISSED_S:
            now_um = truth(twin)["scanner_um"][2]
            since_s = time.monotonic() - harmed_s
            if began_s is None and now_um < z_um - BEGUN_UM:
                began_s = since_s
            if now_um < DOWN_UM:
                down_s = since_s
        if how != "stopped":
            return Try(how, began_s, down_s, released=True)
        os.kill(service.process.pid, signal.SIGCONT)
        released = [service.hear(), service.hear()] == ["retracted", "engaged"]
        service.end()
        return Try(how, began_s, down_s, released)


@contextmanager
def busy_cores(processes: int) -> Iterator[None]:
    """Keep so many processes running in circles, as polite as the worker is."""
    busy = [
        subprocess.Popen([sys.executable, "-c", f"import os; os.nice({POLITENESS})\nwhile True: pass"])
        for _ in range(processes)
    ]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def false_alarms(twin: Twin, journal: Path, z_um: float, for_s: float) -> tuple[int, float]:
    """Leave the service alone for so long on a busy machine: alarms, and its longest silence in seconds."""
    with engaged_service(twin.rig, journal, z_um) as service, busy_cores(os.cpu_count() or 1):
        time.sleep(for_s)
        service.tell("silence")
        said = service.hear()
        alarms = 0
        while not said.startswith("silence "):
            alarms += said == "retracted"
            said = service.hear()
        service.end()
        return alarms, float(said.split()[1])


def measure(tries: int, load_s: float, seed: int) -> dict[str, Any]:
    """Everything, on one twin."""
    chance = random.Random(seed)
    with running_twin(["--world", "still"]) as twin, tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.db"
        Journal(journal, "create").close()
        z_um = contact_z_um(twin)
        found = []
        for number in range(tries):
            found.append(attempt(twin, journal, z_um, HARMS[number % len(HARMS)], chance.uniform(0.1, 0.6)))
        told = [event.kind for event in Journal(journal).events()]
        alarms, silence_s = false_alarms(twin, journal, z_um, load_s) if load_s else (0, 0.0)
    in_time = [one for one in found if one.down_s is not None and one.down_s <= TARGET_S and one.released]
    return {
        "tries": tries,
        "in_time": len(in_time),
        "told": told.count("guardian_retracted"),
        "released": told.count("guardian_released"),
        "harms": {how: _times([one for one in found if one.harm == how]) for how in HARMS},
        "false_alarms": alarms,
        "false_alarms_in_s": load_s,
        "longest_silence_s": silence_s,
        "target_s": TARGET_S,
        "met": len(in_time) == tries == told.count("guardian_retracted") and alarms == 0,
    }


def _times(tries: Sequence[Try]) -> dict[str, float]:
    began_s = [one.began_s if one.began_s is not None else MISSED_S for one in tries]
    down_s = [one.down_s if one.down_s is not None else MISSED_S for one in tries]
    if not tries:
        return {}
    return {
        "began_p50_s": statistics.median(began_s),
        "began_max_s": max(began_s),
        "down_p50_s": statistics.median(down_s),
        "down_max_s": max(down_s),
    }


def main() -> int:
    """Print a table; exit code 1 if a try came too late, an alert is missing or one was false."""
    parser = argparse.ArgumentParser(description="Time from the end of the service to the probe at its lower limit.")
    parser.add_argument("--tries", type=int, default=50, help="(default 50)")
    parser.add_argument("--load-s", type=float, default=60.0, help="how long to look for false alarms (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.tries < 1:
        parser.error(f"--tries: {options.tries} is not 1 or more")
    result = measure(options.tries, options.load_s, options.seed)
    if options.json:
        print(json.dumps(result))
    else:
        _show(result)
    return 0 if result["met"] else 1


def _show(result: dict[str, Any]) -> None:
    print(f"{'service':12}{'begins p50':>12}{'max':>9}{'retracted p50':>15}{'max':>9}   ms")
    for how, times in result["harms"].items():
        if times:
            began_ms, began_max_ms, down_ms, down_max_ms = (1e3 * value for value in times.values())
            print(f"{how:12}{began_ms:12.0f}{began_max_ms:9.0f}{down_ms:15.0f}{down_max_ms:9.0f}")
    print(
        f"{result['in_time']} of {result['tries']} retracted within {1e3 * result['target_s']:.0f} ms; "
        f"{result['told']} alerts, {result['released']} releases"
    )
    print(
        f"{result['false_alarms']} false alarms in {result['false_alarms_in_s']:.0f} s with every core busy; "
        f"longest silence {1e3 * result['longest_silence_s']:.0f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
