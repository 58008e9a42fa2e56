"""A service stand-in for the guardian's trials: engages the probe, scans, holds the force, and beats as it does so.

`python -m benchmarks.guardian_service RIG JOURNAL Z_UM` brings the probe to `Z_UM` and says `engaged PID`, the number
of its guardian. On stdin it takes `livelock`, to let all its threads run in circles without a beat; `guardian`, to say
that number again; `silence`, to say the longest time between two beats of the loop that holds the force; and the end,
to end well. When it finds that the guardian has retracted, it says `retracted`, takes note, and engages anew.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from acquisition.heartbeat import Heartbeat
from acquisition.journal import Journal
from api.guardian_process import GuardianProcess
from devices.errors import DeviceError
from devices.protocols import Positioner
from devices.rig import RigSettings, open_device

CYCLE_S = 0.005
STEP_UM = 0.5
EXPOSURE_S = 0.02
TRIES = 3


class Service:
    """Two threads, as in the service: one scans, the other holds the force."""

    def __init__(self, scanner: Positioner, heart: Heartbeat, z_um: float) -> None:
        self._scanner = scanner
        self._heart = heart
        self._z_um = z_um
        self.over = False
        self.in_circles = False
        self.longest_silence_s = 0.0

    def engage(self) -> None:
        """Bring the probe to the specimen; tried again, as the engine does, for the guardian may just be letting go."""
        self._heart.take_note()
        for _ in range(TRIES):
            self._heart.engine.beat(5.0)
            with suppress(DeviceError):
                self._scanner.move_to({"x": 20.0, "y": 20.0, "z": self._z_um})
                self._heart.engaged = True
                return

    def scan(self) -> None:
        """Step and expose; engage again after the guardian has retracted."""
        x_um = 20.0
        while not self.over:
            self._run_in_circles()
            if self._heart.retracted:
                self._heart.engaged = False
                say("retracted")
                self.engage()
                say("engaged")
            x_um = 20.0 + (x_um + STEP_UM) % 10.0
            self._heart.engine.beat()
            try:
                self._scanner.move_to({"x": x_um})
            except DeviceError:
                continue
            self._heart.engine.beat(EXPOSURE_S)
            time.sleep(EXPOSURE_S)

    def hold(self) -> None:
        """Send z where it is to be, over and over."""
        last_s = time.monotonic()
        while not self.over:
            self._run_in_circles()
            self._heart.force.beat()
            self.longest_silence_s = max(self.longest_silence_s, time.monotonic() - last_s)
            last_s = time.monotonic()
            if self._heart.engaged and not self._heart.retracted:
                try:
                    self._scanner.start_move({"z": self._z_um})
                except DeviceError:
                    continue
            time.sleep(CYCLE_S)

    def _run_in_circles(self) -> None:
        while self.in_circles:
            pass


def say(words: str) -> None:
    """Say a line to whoever started us."""
    os.write(1, f"{words}\n".encode())


def main() -> None:
    rig, journal_path, z_um = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    settings = RigSettings.load(rig)
    scanner: Positioner = open_device("scanner", settings.devices.scanner)
    journal = Journal(journal_path)
    with GuardianProcess(settings, journal_path, journal.add_event) as guardian:
        service = Service(scanner, guardian.heart, z_um)
        service.engage()
        threads = [threading.Thread(target=work, daemon=True) for work in (service.scan, service.hold)]
        for thread in threads:
            thread.start()
        say(f"engaged {guardian.pid}")
        for line in sys.stdin:
            match line.strip():
                case "livelock":
                    service.in_circles = True
                case "guardian":
                    say(f"guardian {guardian.pid}")
                case "silence":
                    say(f"silence {service.longest_silence_s}")
        service.over = True
        for thread in threads:
            thread.join()
        scanner.move_to({"z": scanner.limits_um["z"][0]})
        guardian.heart.engaged = False
    journal.close()
    scanner.close()


if __name__ == "__main__":
    main()
