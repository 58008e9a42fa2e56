"""Line sweeps: the program that the controller is given, its record, and the whole against the twin."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from device_peers import SILENCE, Answer, GcsPeer
from device_twin import Twin

from devices.errors import DeviceError, DeviceRejected, DeviceTimeout, OutOfRange, ProtocolError, Stopped
from devices.pi_sweep_program import Clockwork, plan_sweep
from devices.pi_sweep_record import at_times, trigger_times
from devices.protocols import LineScanner, Sweep
from devices.scanner_pi import PiScanner
from devices.settings import PiGcsSettings

CLOCKWORK = Clockwork(servo_s=50e-6, record_length=32_768)
NUMBERS = {"x": 1, "y": 2, "z": 3}
IDENTIFIERS = {"x": "1", "y": "2", "z": "3"}
FORTH = Sweep("x", 20.0, 60.0, 200.0, (20.0, 30.0, 40.0, 50.0, 60.0))
BACK = Sweep("x", 60.0, 20.0, 200.0, (60.0, 40.0, 20.0))
SAMPLE_UM = 200.0 * 50e-6  # what the stage goes at 200 um/s in one sample: a trigger is known better than that
ANSWER_S = 0.2


def commands(sweep: Sweep, lag_s: float = 0.005) -> dict[str, list[str]]:
    """What each command is told last, by its mnemonic."""
    lines = plan_sweep(sweep, lag_s).commands(NUMBERS, IDENTIFIERS, 1, CLOCKWORK)
    return {line.split()[0]: line.split()[1:] for line in lines}


def test_the_wave_runs_up_before_the_line_and_out_after_it() -> None:
    told = commands(FORTH)
    points, way_um, begin_um, *_ = map(float, told["WAV"][3:])
    run_up_um = 200.0 * (2 * 0.005 / 2 + 5 * 0.005)  # half speed while speeding up for two lags, then five more
    assert begin_um == pytest.approx(20.0 - run_up_um)
    assert way_um == pytest.approx(40.0 + 2 * run_up_um)
    duration_s = points * int(told["WTR"][1]) * 50e-6
    assert duration_s == pytest.approx((40.0 + 2 * run_up_um) / 200.0 + 2 * 0.005, rel=1e-3)  # two points of 2600


def test_a_sweep_back_has_a_negative_amplitude_and_its_thresholds_the_other_way_round() -> None:
    told = commands(BACK)
    assert float(told["WAV"][4]) < 0
    assert told["CTO"] == ["1", "2", "1", "1", "3", "0", "1", "1", "20", "1", "8", "60", "1", "9", "10"]


def test_no_line_has_more_than_32_arguments() -> None:
    assert all(len(arguments) <= 32 for arguments in commands(FORTH).values())


def test_a_slow_sweep_is_stretched_to_fit_its_tables() -> None:
    slow = Sweep("x", 20.0, 60.0, 1.0, (20.0, 40.0, 60.0))
    told = commands(slow)
    rate, points, record_rate = int(told["WTR"][1]), int(told["WAV"][3]), int(told["RTR"][0])
    assert points <= 4096
    assert points * rate * 50e-6 == pytest.approx(plan_sweep(slow, 0.005).duration_s, rel=2e-3)
    assert plan_sweep(slow, 0.005).duration_s / (record_rate * 50e-6) <= CLOCKWORK.record_length


@pytest.mark.parametrize("lag_s", [0.0, 0.003, 0.0041, 0.05])
def test_no_wave_has_more_points_than_the_driver_means_to_use(lag_s: float) -> None:
    speeds_um_per_s = np.geomspace(0.5, 1000.0, 997)
    points = [int(commands(replace(FORTH, speed_um_per_s=speed), lag_s)["WAV"][3]) for speed in speeds_um_per_s]
    assert max(points) <= 4096
    assert min(point for point, speed in zip(points, speeds_um_per_s, strict=True) if speed < 10) > 3000


@pytest.mark.parametrize(
    "bad",
    [
        Sweep("x", 20.0, 20.0, 10.0, (20.0,)),
        Sweep("x", 20.0, 60.0, 0.0, (20.0,)),
        Sweep("x", 20.0, 60.0, float("nan"), (20.0,)),
        Sweep("x", 20.0, 60.0, 10.0, ()),
        Sweep("x", 20.0, 60.0, 10.0, (19.0, 20.0)),
        Sweep("x", 20.0, 60.0, 10.0, (20.0, 30.0, 41.0)),
        Sweep("x", 20.0, 60.0, 10.0, (40.0, 30.0)),
        Sweep("x", 20.0, 60.0, 10.0, (30.0, 30.0)),
    ],
    ids=str,
)
def test_a_sweep_that_contradicts_itself_is_refused(bad: Sweep) -> None:
    with pytest.raises(ValueError, match=r"line at a speed|triggers"):
        plan_sweep(bad, 0.005)


def test_the_record_tells_when_the_place_was_passed_between_two_samples() -> None:
    record = [[0.0, 5.0, 0.0], [1.0, 5.0, 0.0], [2.0, 5.0, 1.0], [3.0, 5.0, 0.0], [4.0, 5.0, 0.0]]
    assert trigger_times(record, 0, [1.75]) == pytest.approx([1.75])
    assert at_times(record, [1.75, 3.5]) == [pytest.approx([1.75, 5.0]), pytest.approx([3.5, 5.0])]


@pytest.mark.parametrize("places_um", [(), (1.0, 2.0)])
def test_triggers_too_many_or_too_few_are_told(places_um: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="1 triggers in the record"):
        trigger_times([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], 0, places_um)


def test_a_place_after_the_end_of_the_record_is_not_made_up() -> None:
    with pytest.raises(ValueError, match="ends after 2 samples"):
        at_times([[0.0, 0.0], [1.0, 0.0]], [1.5])


def test_the_ends_of_a_sweep_include_the_run_up() -> None:
    settings = PiGcsSettings.model_validate({"host": "h", "axes": {"x": "1"}})
    low_um, high_um = settings.sweep_ends_um(BACK)
    assert low_um == min(plan_sweep(BACK, settings.lag_s).ends_um) < 20.0
    assert high_um == max(plan_sweep(BACK, settings.lag_s).ends_um) > 60.0


@pytest.fixture
def peer() -> Iterator[GcsPeer]:
    with GcsPeer() as peer:
        peer.answers |= {
            "SAI?": "1 \n2 \n3\n",
            "SPA? 1 234881536": "1 0xE000200=5e-05\n",
            "SPA? 1 369099265": "1 0x16000201=32768\n",
            "\t": "0\n",
        }
        yield peer


@pytest.fixture
def scripted(peer: GcsPeer) -> Iterator[PiScanner]:
    scanner = PiScanner(
        "scanner",
        PiGcsSettings(host="127.0.0.1", port=peer.port, axes=IDENTIFIERS, answer_s=ANSWER_S, settle_s=0.2),
    )
    yield scanner
    scanner.close()


def record_of(columns: int) -> str:
    """An answer to DRR? with so many columns."""
    header = f"# TYPE = 1 \n# SEPARATOR = 32 \n# DIM = {columns} \n# NDATA = 512 \n# END_HEADER \n"
    return header + " \n".join([" ".join(["0"] * columns)] * 512) + "\n"


def is_disarmed(peer: GcsPeer) -> bool:
    """The last things told switch generator and trigger off."""
    told = [command for command in peer.received if command.startswith(("WGO", "TWC", "CTO"))]
    return told[-3:] == ["WGO 1 0", "TWC", "CTO 1 3 4"]


@pytest.mark.parametrize(
    "beyond",
    [
        Sweep("x", 2.0, 60.0, 200.0, (2.0,)),  # the run-up would begin at -4 um
        Sweep("x", 60.0, 98.0, 200.0, (70.0,)),
        Sweep("x", 20.0, 60.0, 2000.0, (30.0,)),
        Sweep("w", 20.0, 60.0, 200.0, (30.0,)),
    ],
    ids=str,
)
def test_a_sweep_beyond_the_limits_sends_nothing(peer: GcsPeer, scripted: PiScanner, beyond: Sweep) -> None:
    before = len(peer.received)
    with pytest.raises(OutOfRange):
        scripted.start_sweep(beyond)
    assert len(peer.received) == before


def test_generator_and_trigger_are_off_after_a_sweep(peer: GcsPeer, scripted: PiScanner) -> None:
    scripted.start_sweep(FORTH)
    assert not is_disarmed(peer)
    scripted.wait_swept()
    assert is_disarmed(peer)


@pytest.mark.parametrize("command", ["WSL 1 1", "WGO 1 1"])
def test_a_refusal_on_the_way_leaves_generator_and_trigger_off(
    peer: GcsPeer, scripted: PiScanner, command: str
) -> None:
    peer.refuse(command, 73)
    with pytest.raises(DeviceRejected) as refused:
        scripted.start_sweep(FORTH)
    assert refused.value.code == 73
    assert is_disarmed(peer)


def test_a_sweep_that_never_ends_times_out_and_is_switched_off(peer: GcsPeer, scripted: PiScanner) -> None:
    peer.answers["\t"] = "1\n"
    scripted.start_sweep(Sweep("x", 30.0, 40.0, 600.0, (35.0,)))
    with pytest.raises(DeviceTimeout):
        scripted.wait_swept()
    assert is_disarmed(peer)


def test_an_error_during_the_sweep_is_told_and_the_sweep_switched_off(peer: GcsPeer, scripted: PiScanner) -> None:
    scripted.start_sweep(FORTH)
    peer.error = 504
    with pytest.raises(DeviceRejected) as told:
        scripted.wait_swept()
    assert told.value.code == 504
    assert is_disarmed(peer)


def test_a_stop_switches_the_sweep_off_and_ends_the_wait(peer: GcsPeer, scripted: PiScanner) -> None:
    peer.answers["\t"] = "1\n"
    scripted.start_sweep(FORTH)
    stopper = threading.Thread(target=lambda: (peer.wait_for("\t"), scripted.stop()))
    stopper.start()
    with pytest.raises(Stopped):
        scripted.wait_swept()
    stopper.join()
    assert is_disarmed(peer)


def test_nothing_to_wait_for_has_been_swept(scripted: PiScanner) -> None:
    scripted.wait_swept()
    with pytest.raises(DeviceRejected, match="no sweep"):
        scripted.read_swept_um()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (SILENCE, DeviceTimeout),
        ("# TYPE = 1 \n# END_HEADER \n0 0 0 0\n", ProtocolError),
        ("nothing of the kind\n", ProtocolError),
        (record_of(columns=3), ProtocolError),
        (record_of(columns=5), ProtocolError),
    ],
    ids=["silence", "no size", "no array", "3 columns", "5 columns"],
)
def test_a_record_that_cannot_be_read_is_no_record(
    peer: GcsPeer, scripted: PiScanner, answer: Answer, error: type[DeviceError]
) -> None:
    scripted.start_sweep(FORTH)
    scripted.wait_swept()
    peer.answers["DRR? 1 512 1 2 3 4"] = answer
    with pytest.raises(error):
        scripted.read_swept_um()


@pytest.fixture(scope="module")
def scanner(twin: Twin) -> Iterator[PiScanner]:
    where = twin.ready["scanner"]
    scanner = PiScanner("scanner", PiGcsSettings(host=where["host"], port=where["port"], axes=IDENTIFIERS))
    yield scanner
    scanner.close()


@pytest.mark.parametrize("sweep", [FORTH, BACK], ids=["forth", "back"])
def test_the_twin_is_where_it_ought_to_be_at_every_trigger(scanner: LineScanner, sweep: Sweep) -> None:
    scanner.move_to({"y": 30.0})
    scanner.start_sweep(sweep)
    scanner.wait_swept()
    places = scanner.read_swept_um()
    assert [place["x"] for place in places] == pytest.approx(sweep.trigger_at_um, abs=SAMPLE_UM / 2)
    assert [place["y"] for place in places] == pytest.approx([30.0] * len(places), abs=SAMPLE_UM)


def test_the_record_tells_where_the_axis_was_some_time_after_each_trigger(scanner: LineScanner) -> None:
    scanner.start_sweep(FORTH)
    scanner.wait_swept()
    later_um = [place["x"] for place in scanner.read_swept_um(delay_s=0.01)]
    assert later_um == pytest.approx([place + 2.0 for place in FORTH.trigger_at_um], abs=2.0 * 0.01)  # speed to 1 %


def test_a_stop_ends_a_sweep_of_the_twin(twin: Twin, scanner: PiScanner) -> None:
    scanner.start_sweep(Sweep("x", 10.0, 90.0, 10.0, (20.0,)))  # 8 s
    while twin.position_um("scanner")["x"] < 11.0:
        time.sleep(0.005)
    scanner.stop()
    with pytest.raises(Stopped):
        scanner.wait_swept()
    assert twin.position_um("scanner")["x"] < 30.0
    scanner.move_to({"x": 50.0})  # refused while a generator runs
