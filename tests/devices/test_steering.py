"""A stream of targets for z, while another thread moves x and y over the same connection."""

import threading
import time
from contextlib import closing

import pytest
from device_twin import Twin

from devices.errors import DeviceError, OutOfRange, Stopped
from devices.protocols import Steerable
from devices.scanner_pi import PiScanner
from devices.settings import PiGcsSettings

REACHED_UM = 0.01  # sensor and tolerance of the still world's loop


def open_scanner(twin: Twin) -> PiScanner:
    where = twin.ready["scanner"]
    axes = {"x": "1", "y": "2", "z": "3"}
    return PiScanner(
        "scanner", PiGcsSettings.model_validate({"host": where["host"], "port": where["port"], "axes": axes})
    )


def test_z_follows_its_targets_while_x_moves(twin: Twin) -> None:
    with closing(open_scanner(twin)) as scanner:
        assert isinstance(scanner, Steerable)
        troubles: list[DeviceError] = []

        def steer() -> None:
            to = scanner.steer("z")
            try:
                for step in range(300):
                    to(1.0 + 0.01 * step)
            except DeviceError as error:
                troubles.append(error)

        thread = threading.Thread(target=steer)
        thread.start()
        for x_um in (20.0, 80.0, 30.0):
            scanner.move_to({"x": x_um, "y": x_um})
            assert scanner.read_position_um()["x"] == pytest.approx(x_um, abs=REACHED_UM)
        thread.join()
        assert troubles == []
        scanner.move_to({"x": 50.0})  # long enough for z to arrive
        assert twin.position_um("scanner")["z"] == pytest.approx(3.99, abs=REACHED_UM)


def test_a_move_waits_for_its_own_axes_only(twin: Twin) -> None:
    with closing(open_scanner(twin)) as scanner:
        scanner.start_move({"x": 40.0})
        scanner.steer("z")(2.0)
        scanner.wait_settled()
        assert scanner.read_position_um()["x"] == pytest.approx(40.0, abs=REACHED_UM)


def test_no_target_outside_the_limits_is_sent(twin: Twin) -> None:
    with closing(open_scanner(twin)) as scanner:
        scanner.move_to({"z": 1.0})
        for target_um in (-0.1, 10.1, float("nan")):
            with pytest.raises(OutOfRange, match="z = "):
                scanner.steer("z")(target_um)
        assert twin.position_um("scanner")["z"] == pytest.approx(1.0, abs=REACHED_UM)


def test_z_can_be_sent_past_an_exchange_that_is_stuck(twin: Twin) -> None:
    with closing(open_scanner(twin)) as scanner:
        scanner.move_to({"z": 3.0})
        stuck, over = threading.Event(), threading.Event()

        def answer_never(answer: str) -> str:
            stuck.set()
            over.wait(20.0)
            return answer

        thread = threading.Thread(target=lambda: scanner._connection.ask("POS?", answer_never))
        thread.start()
        assert stuck.wait(20.0)
        scanner.steer_past("z", 1.0)
        deadline = time.monotonic() + 20.0
        while abs(twin.position_um("scanner")["z"] - 1.0) > REACHED_UM:
            assert time.monotonic() < deadline
        over.set()
        thread.join()


def test_after_a_stop_nothing_is_sent_until_somebody_steers_anew(twin: Twin) -> None:
    with closing(open_scanner(twin)) as scanner:
        scanner.move_to({"z": 1.0})
        to = scanner.steer("z")
        scanner.stop()
        with pytest.raises(Stopped):
            to(2.0)
        assert twin.position_um("scanner")["z"] == pytest.approx(1.0, abs=REACHED_UM)
        scanner.steer("z")(2.0)
        scanner.move_to({"z": 2.0})
