"""A serial device that was busy answers everything that it was asked meanwhile, in order and slowly."""

import os
import select
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import closing

import pytest

from devices.errors import DeviceError
from devices.force_scpi import ScpiForce
from devices.settings import ScpiForceSettings

ANSWER_S = 0.2  # 0.1 s was too little for a peer on a machine with a load of ten
STALL_S = 8 * ANSWER_S
SPACING_S = 0.03  # between late answers: longer than the line takes for one, shorter than the driver waits


class SlowMeter:
    """A voltmeter on a pseudo-terminal; each reading is of the moment at which it was asked for."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.url = os.ttyname(self._slave)
        self.volts = 0.0
        self.busy_until_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def _serve(self) -> None:
        answers: list[str] = []
        pending = b""
        next_s = 0.0
        while not self._ended.is_set():
            if select.select([self._master], [], [], 0.002)[0]:
                *commands, pending = (pending + os.read(self._master, 1000)).split(b"\n")
                answers += ["A,B,C,D" if command == b"*IDN?" else f"{self.volts:+.6E}" for command in commands]
            now_s = time.monotonic()
            if answers and now_s >= max(self.busy_until_s, next_s):
                os.write(self._master, answers.pop(0).encode() + b"\n")
                next_s = now_s + (SPACING_S if answers else 0.0)


@pytest.fixture
def meter() -> Iterator[SlowMeter]:
    with closing(SlowMeter()) as meter:
        yield meter


def test_no_answer_out_of_the_backlog_is_taken_for_a_later_one(meter: SlowMeter) -> None:
    settings = ScpiForceSettings(url=meter.url, stiffness_n_per_m=1.0, sensitivity_nm_per_v=1.0, answer_s=ANSWER_S)
    with closing(ScpiForce("force", settings)) as force:
        meter.busy_until_s = time.monotonic() + STALL_S
        failed, last_nn = 0, None
        for number in range(1, 41):
            meter.volts = number / 10
            try:
                last_nn = force.read_force_nn()
            except DeviceError:
                failed += 1
            else:
                assert last_nn == pytest.approx(meter.volts), f"reading {number}"
        assert failed > 2, "the meter was busy for several readings"
        assert last_nn == pytest.approx(4.0), "it has recovered"
