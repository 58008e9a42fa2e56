"""The line transport and the two drivers on it against instruments that misbehave."""

import os
import pty
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_peers import HANG_UP, SILENCE, EspPeer, LinePeer
from pydantic import ValidationError

from devices.errors import DeviceLost, DeviceRejected, DeviceTimeout, OutOfRange, ProtocolError, Stopped
from devices.focus_esp301 import Esp301Focus
from devices.force_scpi import ScpiForce
from devices.settings import Esp301Settings, ScpiForceSettings

ANSWER_S = 0.2  # 0.1 s was too little for a peer on a machine with a load of ten
PATIENT_S = 0.5  # where a test shows that something does not wait for it
READING = "MEAS:VOLT:DC?"


@pytest.fixture
def esp() -> Iterator[EspPeer]:
    with EspPeer() as peer:
        yield peer


@pytest.fixture
def focus(esp: EspPeer) -> Iterator[Esp301Focus]:
    settings = Esp301Settings(url=esp.url, limits_um=(0.0, 50_000.0), answer_s=ANSWER_S, settle_s=0.2)
    focus = Esp301Focus("focus", settings)
    yield focus
    focus.close()


@pytest.fixture
def voltmeter() -> Iterator[LinePeer]:
    with LinePeer() as peer:
        peer.answers = {"*IDN?": "Keithley,2000,1,A01\n", READING: "+1.0E-03\n"}
        yield peer


@pytest.fixture
def force(voltmeter: LinePeer) -> Iterator[ScpiForce]:
    settings = ScpiForceSettings(
        url=voltmeter.url, stiffness_n_per_m=42.0, sensitivity_nm_per_v=50.0, answer_s=ANSWER_S
    )
    force = ScpiForce("force", settings)
    yield force
    force.close()


def test_connecting_sends_nothing_but_queries(esp: EspPeer, focus: Esp301Focus) -> None:
    assert all(command.endswith("?") for command in esp.received)


def test_micrometres_become_millimetres_and_back(esp: EspPeer, focus: Esp301Focus) -> None:
    focus.move_to({"z": 1234.5})
    assert "1PA1.234500" in esp.received
    assert focus.read_position_um() == {"z": 1234.5}
    assert focus.limits_um == {"z": (0.0, 50_000.0)}


def test_a_target_out_of_range_sends_nothing(esp: EspPeer, focus: Esp301Focus) -> None:
    before = len(esp.received)
    with pytest.raises(OutOfRange, match=r"focus: z = 50001 um is outside 0\.\.50000 um"):
        focus.start_move({"z": 50_001.0})
    assert len(esp.received) == before


def test_a_motor_that_is_off_is_named_and_left_off(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.refuse("1PA1.000000", "113, 451322, MOTOR NOT ENABLED")
    with pytest.raises(DeviceRejected, match="MOTOR NOT ENABLED") as refused:
        focus.move_to({"z": 1000.0})
    assert refused.value.code == 113
    focus.switch_on_again()  # which somebody else has switched off
    assert not any("MO" in command or "OR" in command for command in esp.received)


def test_a_following_error_during_the_move_is_told(esp: EspPeer, focus: Esp301Focus) -> None:
    focus.start_move({"z": 1000.0})
    esp.error = "103, 451322, FOLLOWING ERROR"
    with pytest.raises(DeviceRejected, match="FOLLOWING ERROR"):
        focus.wait_settled()


def test_a_stage_that_counts_in_other_units_is_refused(esp: EspPeer) -> None:
    esp.answers["1SN?"] = "4\r\n"
    with pytest.raises(ProtocolError, match="not mm"):
        Esp301Focus("focus", Esp301Settings(url=esp.url, limits_um=(0.0, 1.0), answer_s=ANSWER_S))


@pytest.mark.parametrize("answer", ["nan", "inf", "-inf", "1_0", "1e999", "", "0x10"])
def test_a_position_that_is_no_number_is_a_protocol_error(esp: EspPeer, focus: Esp301Focus, answer: str) -> None:
    esp.answers["1TP?"] = f"{answer}\r\n"
    with pytest.raises(ProtocolError, match=r"TP\?"):
        focus.move_to({"z": 1000.0})


def test_motion_that_is_never_done_times_out(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.answers["1MD?"] = "0\r\n"
    with pytest.raises(DeviceTimeout, match=r"after 0\.45 s"):  # 0.2 + 5 * 1 mm / 20 mm/s
        focus.move_to({"z": 1000.0})


def test_a_stop_from_another_thread_ends_the_wait(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.answers["1MD?"] = "0\r\n"
    stopper = threading.Thread(target=lambda: (esp.wait_for("1MD?"), focus.stop()))
    stopper.start()
    with pytest.raises(Stopped):
        focus.move_to({"z": 10_000.0})
    stopper.join()
    assert "1ST" in esp.received


def test_a_stop_goes_out_while_a_question_hangs(esp: EspPeer) -> None:
    settings = Esp301Settings(url=esp.url, limits_um=(0.0, 50_000.0), answer_s=PATIENT_S)
    focus = Esp301Focus("focus", settings)
    over = threading.Event()
    esp.answers["1TP?"] = lambda: (over.wait(5.0), SILENCE)[1]  # and takes nothing else meanwhile

    def ask() -> None:
        with pytest.raises(DeviceTimeout):
            focus.read_position_um()

    asking = threading.Thread(target=ask)
    asking.start()
    esp.wait_for("1TP?")
    began = time.monotonic()
    stopping = threading.Thread(target=focus.stop)
    stopping.start()
    esp.wait_for("1ST")
    assert time.monotonic() - began < PATIENT_S
    over.set()
    stopping.join()
    asking.join()
    focus.close()


def test_a_stop_on_a_dead_line_finds_another(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.hang_up()
    focus.stop()
    assert esp.connections == 2
    assert esp.received[-2:] == ["1ST", "TB?"]


def test_an_older_error_does_not_hide_that_a_stop_was_taken(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.error = "103, 5, FOLLOWING ERROR"
    focus.stop()
    assert esp.received.count("1ST") == 3  # once past the queue, twice in turn


@pytest.mark.parametrize("error", ["203, 5, FOLLOWING ERROR", "7, 5, PARAMETER OUT OF RANGE"])
def test_an_error_of_another_axis_or_command_is_nothing_against_a_stop(
    esp: EspPeer, focus: Esp301Focus, error: str
) -> None:
    esp.answers["1ST"] = lambda: setattr(esp, "error", error)
    focus.stop()
    assert esp.received.count("1ST") == 2  # once past the queue, once in turn


def test_an_error_of_this_axis_at_every_stop_is_told(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.refuse("1ST", "113, 5, MOTOR NOT ENABLED")
    with pytest.raises(DeviceRejected, match="ST: error 113"):
        focus.stop()


def test_an_older_error_of_another_axis_is_nothing_against_a_move(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.error = "203, 5, FOLLOWING ERROR"
    focus.move_to({"z": 1000.0})
    assert focus.read_position_um() == {"z": 1000.0}


def test_a_position_far_beyond_the_travel_is_a_protocol_error(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.position_mm = 1e9
    with pytest.raises(ProtocolError, match="far beyond its travel"):
        focus.read_position_um()


def test_switches_on_and_homes_only_if_the_rig_file_asks_for_it(esp: EspPeer) -> None:
    esp.answers["1OH?"] = "10\r\n"
    settings = Esp301Settings(
        url=esp.url, limits_um=(0.0, 50_000.0), answer_s=ANSWER_S, motor_on_connect=True, home_on_connect=True
    )
    Esp301Focus("focus", settings).close()
    assert [command for command in esp.received if not command.endswith("?")] == ["1MO", "1OR1"]


def test_a_home_search_that_is_given_up_is_told(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.answers |= {"1OH?": "10\r\n", "1MD?": lambda: (setattr(esp, "error", "120, 5, HOMING ABORTED"), "1\r\n")[1]}
    with pytest.raises(DeviceRejected, match="HOMING ABORTED"):
        focus.home()


def test_a_home_search_at_connecting_that_fails_is_stopped(esp: EspPeer) -> None:
    esp.answers |= {"1OH?": "10\r\n", "1MD?": SILENCE}
    with pytest.raises(DeviceTimeout):
        Esp301Focus("focus", Esp301Settings(url=esp.url, limits_um=(0.0, 1.0), answer_s=ANSWER_S, home_on_connect=True))
    assert "1ST" in esp.received[esp.received.index("1OR1") :]


def test_a_stop_ends_a_home_search(esp: EspPeer, focus: Esp301Focus) -> None:
    esp.answers |= {"1OH?": "10\r\n", "1MD?": "0\r\n"}
    stopper = threading.Thread(target=lambda: (esp.wait_for("1MD?"), focus.stop()))
    stopper.start()
    with pytest.raises(Stopped):
        focus.home()
    stopper.join()


def test_volts_become_nanonewton(force: ScpiForce) -> None:
    assert force.read_force_nn() == pytest.approx(2.1)  # 1 mV * 50 nm/V * 42 N/m


@pytest.mark.parametrize("answer", ["9.9E37\n", "-9.9E+37\n"])
def test_overload_is_saturation_not_a_force(voltmeter: LinePeer, force: ScpiForce, answer: str) -> None:
    voltmeter.answers[READING] = answer
    with pytest.raises(DeviceRejected, match="saturated"):
        force.read_force_nn()


@pytest.mark.parametrize("answer", ["1_5\n", "nan\n", "9.91E37\n", "x" * 4000 + "\n"])
def test_what_is_no_number_is_no_force(voltmeter: LinePeer, force: ScpiForce, answer: str) -> None:
    voltmeter.answers[READING] = answer
    with pytest.raises(ProtocolError) as wrong:
        force.read_force_nn()
    assert len(str(wrong.value)) < 200


def test_silence_ends_in_a_timeout_soon(voltmeter: LinePeer, force: ScpiForce) -> None:
    voltmeter.answers[READING] = SILENCE
    began = time.monotonic()
    with pytest.raises(DeviceTimeout, match="nothing"):
        force.read_force_nn()
    assert time.monotonic() - began < 30 * ANSWER_S


def test_half_a_line_is_a_timeout_that_quotes_it(voltmeter: LinePeer, force: ScpiForce) -> None:
    voltmeter.answers[READING] = "+1.0E"
    with pytest.raises(DeviceTimeout, match=r"\+1\.0E"):
        force.read_force_nn()
    voltmeter.answers[READING] = "+2.0E-03\n"
    assert force.read_force_nn() == pytest.approx(4.2)


def test_a_late_answer_never_becomes_the_next_value(voltmeter: LinePeer, force: ScpiForce) -> None:
    voltmeter.answers[READING] = SILENCE
    with pytest.raises(DeviceTimeout):
        force.read_force_nn()
    voltmeter.say(b"+7.0E+00\n")
    voltmeter.answers[READING] = "+2.0E-03\n"
    assert force.read_force_nn() == pytest.approx(4.2)


def test_an_answer_that_comes_during_the_next_question_is_not_taken_for_its_answer(
    voltmeter: LinePeer, force: ScpiForce
) -> None:
    voltmeter.answers[READING] = SILENCE
    with pytest.raises(DeviceTimeout):
        force.read_force_nn()
    voltmeter.answers["*IDN?"] = b"+7.0E+00\nKeithley,2000,1,A01\n"
    voltmeter.answers[READING] = "+2.0E-03\n"
    assert force.read_force_nn() == pytest.approx(4.2)


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"ERROR\n", b"\n", b"nan\n", b"1.0 2.0\n"])
def test_garbage_is_a_protocol_error_and_the_next_answer_is_right(
    voltmeter: LinePeer, force: ScpiForce, garbage: bytes
) -> None:
    voltmeter.answers[READING] = garbage
    with pytest.raises(ProtocolError):
        force.read_force_nn()
    voltmeter.answers[READING] = "+2.0E-03\n"
    assert force.read_force_nn() == pytest.approx(4.2)


def test_a_peer_that_hangs_up_is_lost_and_found_again(voltmeter: LinePeer, force: ScpiForce) -> None:
    voltmeter.answers[READING] = HANG_UP
    with pytest.raises(DeviceLost):
        force.read_force_nn()
    voltmeter.answers[READING] = "+2.0E-03\n"
    assert force.read_force_nn() == pytest.approx(4.2)
    assert voltmeter.connections == 2


def test_nobody_there_is_lost() -> None:
    with LinePeer() as gone:
        url = gone.url
    with pytest.raises(DeviceLost, match=url):
        ScpiForce("force", ScpiForceSettings(url=url, stiffness_n_per_m=1.0, sensitivity_nm_per_v=1.0))


@pytest.mark.parametrize("url", ["socket://foo", "socket://foo:", "socket://:5000", "rfc2217://foo:0"])
def test_an_address_without_host_or_port_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="://HOST:PORT"):
        ScpiForceSettings(url=url, stiffness_n_per_m=1.0, sensitivity_nm_per_v=1.0)


def test_a_missing_port_is_said_once(tmp_path: Path) -> None:
    url = str(tmp_path / "ttyNONE")
    with pytest.raises(DeviceLost) as lost:
        ScpiForce("force", ScpiForceSettings(url=url, stiffness_n_per_m=1.0, sensitivity_nm_per_v=1.0))
    assert str(lost.value) == f"force: {url}: No such file or directory"


def test_a_stranger_on_the_line_is_not_taken_for_the_instrument(voltmeter: LinePeer) -> None:
    voltmeter.answers["*IDN?"] = "login:\n"
    settings = ScpiForceSettings(url=voltmeter.url, stiffness_n_per_m=1.0, sensitivity_nm_per_v=1.0, answer_s=ANSWER_S)
    with pytest.raises(DeviceTimeout):
        ScpiForce("force", settings)


def test_closes_twice_and_says_so_afterwards(force: ScpiForce) -> None:
    force.close()
    force.close()
    with pytest.raises(DeviceLost, match="closed"):
        force.read_force_nn()


def test_speaks_over_a_serial_port_until_it_is_unplugged() -> None:
    instrument, port = pty.openpty()
    tty.setraw(port)
    answers = {b"*IDN?\n": b"Keithley,2000,1,A01\n", READING.encode() + b"\n": b"+1.0E-03\n", b"end\n": b""}

    def play() -> None:
        while answer := answers[os.read(instrument, 100)]:
            os.write(instrument, answer)

    playing = threading.Thread(target=play)
    playing.start()
    settings = ScpiForceSettings(url=os.ttyname(port), stiffness_n_per_m=42.0, sensitivity_nm_per_v=50.0)
    force = ScpiForce("force", settings)
    assert force.read_force_nn() == pytest.approx(2.1)
    os.write(port, b"end\n")
    playing.join()
    os.close(port)
    os.close(instrument)
    with pytest.raises(DeviceLost):
        force.read_force_nn()
    force.close()
