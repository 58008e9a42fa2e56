"""When the digital outputs fire: against the places and times that follow from the motion in closed form."""

import threading

import numpy as np
import pytest

from hardware_sim.clock import ManualClock
from hardware_sim.gcs_profiles import E517
from hardware_sim.gcs_server import GcsController
from hardware_sim.wire import Wire
from tests.hardware_sim.gcs_bench import Bench, Chunks

NM = 1e-3
SERVO_S = 50e-6
SPEED_UM_PER_S = 100.0


class HurriedClock(ManualClock):
    """Time that runs away: 30 ms with every look at it, as on a machine that is busy."""

    def now_s(self) -> float:
        self.advance(0.03)
        return super().now_s()


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.do(f"VEL 1 {SPEED_UM_PER_S}")
    return bench


def places_um(bench: Bench, line: int = 1) -> np.ndarray:
    return bench.scanner.reported_um_at(0, np.array(bench.edges_s(line)))


def test_a_linear_sweep_fires_at_the_closed_form_times(bench: Bench) -> None:
    start_s = bench.clock.now_s()
    bench.do("CTO 1 2 1 1 3 0 1 1 0.5 1 8 10 1 9 60", "MOV 1 80")
    edges_s = np.array(bench.edges_s(1))
    assert edges_s == pytest.approx(start_s + np.arange(10.0, 60.1, 0.5) / SPEED_UM_PER_S, abs=1e-6)


def test_a_swept_line_fires_at_each_step_between_the_thresholds(bench: Bench) -> None:
    bench.move(5.0)
    bench.do("WAV 1 X LIN 4000 80 5 4000 0 400", "WSL 1 1", "CTO 1 2 1 1 3 0 1 1 0.5 1 8 10 1 9 80", "WGO 1 1")
    assert places_um(bench) == pytest.approx(np.arange(10.0, 80.1, 0.5), abs=NM)
    bench.wait(1.0)
    fired = len(bench.edges_s(1))
    bench.move(5.0)  # the way back does not count: it enters by the stop threshold
    assert len(bench.edges_s(1)) == fired
    bench.do("WGO 1 1")
    assert len(bench.edges_s(1)) == 2 * fired


def test_thresholds_the_other_way_round_fire_on_the_way_down(bench: Bench) -> None:
    bench.do("CTO 1 2 1 1 3 0 1 1 2 1 8 30 1 9 20")
    bench.move(40.0)
    assert bench.edges_s(1) == []
    bench.move(0.0)
    assert places_um(bench) == pytest.approx([30, 28, 26, 24, 22, 20], abs=NM)


def test_a_start_threshold_at_which_the_axis_stands_fires_when_it_departs(bench: Bench) -> None:
    bench.move(10.0)
    bench.do("CTO 1 2 1 1 3 0 1 1 5 1 8 10 1 9 20")
    bench.wait(1.0)
    bench.do("MOV 1 30")
    first_s = bench.edges_s(1)[0]
    assert first_s == pytest.approx(bench.clock.now_s(), abs=1e-6)
    assert places_um(bench) == pytest.approx([10, 15, 20], abs=NM)


def test_without_thresholds_it_fires_each_time_the_distance_is_covered_in_either_direction(bench: Bench) -> None:
    bench.move(3.0)
    bench.do("CTO 1 2 1 1 3 0 1 1 1")
    bench.move(5.5)
    bench.move(3.2)
    assert places_um(bench) == pytest.approx([4, 5, 4], abs=NM)


def test_after_a_turn_inside_the_thresholds_it_goes_on_unless_told_to_fire_one_way_only(bench: Bench) -> None:
    configuration = "CTO 1 2 1 1 3 0 1 1 1 1 8 10 1 9 20"
    bench.do(configuration)
    bench.move(12.5)
    bench.move(11.5)
    bench.move(13.5)
    assert places_um(bench) == pytest.approx([10, 11, 12, 13], abs=NM)
    bench.move(10.5)
    assert places_um(bench)[4:] == pytest.approx([12, 11], abs=NM)
    bench.do("CCL 1 advanced", "SPA 1 0x18000300 1")
    bench.move(0.0)
    before = len(bench.edges_s(1))
    bench.move(12.5)
    bench.move(10.5)
    assert places_um(bench)[before:] == pytest.approx([10, 11, 12], abs=NM)


@pytest.mark.parametrize("stop", [b"\x18", b"HLT 1\n"])
def test_a_stop_takes_back_the_edges_to_come_and_keeps_those_that_were(bench: Bench, stop: bytes) -> None:
    bench.do("CTO 1 2 1 1 3 0 1 1 1 1 8 10 1 9 60", "MOV 1 80")
    bench.wait(0.305)
    bench.say(stop)
    assert places_um(bench) == pytest.approx(np.arange(10.0, 31.0), abs=NM)


def test_a_motion_that_changes_underway_neither_loses_nor_repeats_an_edge(bench: Bench) -> None:
    bench.do("CTO 1 2 1 1 3 0 1 1 1 1 8 10 1 9 60", "MOV 1 80")
    for _ in range(30):
        bench.wait(0.0203)
        bench.do("MOV 1 80")
    bench.wait(2.0)
    assert places_um(bench) == pytest.approx(np.arange(10.0, 61.0), abs=NM)


def test_an_axis_that_sticks_fires_late_but_where_it_should(bench: Bench) -> None:
    bench.do("CTO 1 2 1 1 3 0 1 1 1 1 8 10 1 9 20", "MOV 1 30")
    bench.wait(0.15)
    bench.scanner.stick(0, for_s=2.0)
    assert places_um(bench) == pytest.approx(np.arange(10.0, 21.0), abs=NM)
    assert (np.array(bench.edges_s(1))[6:] > 2.1).all()
    bench.wait(1.0)
    assert bench.say(b"ONT? 1\n") == b"1=0\n"
    bench.wait(2.0)
    assert bench.say(b"ONT? 1\n") == b"1=1\n"


def test_a_second_controller_of_the_same_stage_sets_off_the_first_ones_triggers(bench: Bench) -> None:
    other = GcsController(bench.scanner, bench.triggers, bench.clock, E517)
    bench.do("CTO 1 2 1 1 3 0 1 1 1 1 8 10 1 9 20")
    other.serve(Wire(Chunks(b"ONL 1 1\nMOV A 30\n"), "scanner", bench.faults))
    assert places_um(bench) == pytest.approx(np.arange(10.0, 21.0), abs=NM)


def test_a_line_fires_along_a_wave_without_an_end_for_as_long_as_it_goes_on(bench: Bench) -> None:
    bench.do("WAV 1 X SIN_P 2000 8 5 2000 0 1000", "WSL 1 1", "WTR 1 10 1", "WGC 1 0")
    bench.do("CTO 1 2 1 1 3 0 1 1 1 1 8 6 1 9 12", "WGO 1 1")
    for _ in range(20):
        bench.wait(1.0)
        bench.say(b"\x09")
    now_s = bench.clock.now_s()
    edges_s = bench.triggers.edges_s(1, now_s)
    assert len(edges_s) == 20 * 7
    assert bench.scanner.reported_um_at(0, np.array(edges_s[-7:])) == pytest.approx(np.arange(6.0, 13.0), abs=NM)
    bench.do("WGO 1 0")
    assert bench.edges_s(1) == edges_s


def test_a_camera_finds_the_far_edges_of_a_slow_line(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 4096 80 5 4096 0 0", "WSL 1 1", "WTR 1 1000 1")
    bench.do("CTO 1 2 1 1 3 0 1 1 30 1 8 10 1 9 75", "WGO 1 1")
    edges_s = [0.0]
    for _ in range(3):
        edge_s = bench.triggers.wait(1, edges_s[-1], threading.Event())
        assert edge_s is not None
        edges_s.append(edge_s)
    assert bench.scanner.reported_um_at(0, np.array(edges_s[1:])) == pytest.approx([10, 40, 70], abs=NM)
    assert edges_s[3] == pytest.approx(65 / 80 * 4095 * 1000 * SERVO_S, rel=1e-3)  # and the lag of 3 ms


def test_a_twin_on_a_slow_machine_loses_no_edge_of_a_short_run_up() -> None:
    bench = Bench(clock=HurriedClock())
    bench.do("VEL 1 1000", "MOV 1 25.04")
    bench.do("WAV 1 X LIN 4096 19.88 25.04 4096 0 2", "WSL 1 1", "WTR 1 49 1")
    bench.do("CTO 1 2 1 1 3 0 1 1 6.5 1 8 25.1 1 9 44", "WGO 1 1")
    assert places_um(bench) == pytest.approx([25.1, 31.6, 38.1], abs=NM)


def test_a_line_is_high_inside_its_band(bench: Bench) -> None:
    bench.do("CTO 1 2 1 1 3 3 1 5 0.3 1 6 0.6")
    bench.move(2.0)
    bench.move(0.0)
    assert places_um(bench) == pytest.approx([0.3, 0.6], abs=NM)


def test_a_line_tells_that_its_axis_is_on_target(bench: Bench) -> None:
    bench.do("CTO 2 2 1 2 3 2", "MOV 1 10")
    [edge_s] = bench.edges_s(2)
    bench.wait(edge_s - bench.clock.now_s() - 1e-6)
    assert bench.say(b"ONT? 1\n") == b"1=0\n"
    bench.wait(2e-6)
    assert bench.say(b"ONT? 1\n") == b"1=1\n"


def test_a_generator_fires_at_its_points_in_every_cycle(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 100 10 0 100 0 0", "WSL 1 1", "WGC 1 2", "WTR 1 4 0")
    bench.do("TWC", "TWS 3 1 1 3 10 1 3 11 1 3 50 1 3 200 1", "CTO 3 3 4", "WGO 1 1")
    edges_s = np.array(bench.edges_s(3))
    cycle_s = 100 * 4 * SERVO_S
    points = np.array([1, 10, 50]) - 1  # 11 goes on with the pulse of 10, 200 is beyond the table
    assert edges_s - edges_s[0] == pytest.approx(np.concatenate([points, points + 100]) * 4 * SERVO_S, abs=1e-9)
    assert 0 < edges_s[0] - bench.clock.now_s() <= SERVO_S
    bench.wait(1.2 * cycle_s)
    bench.do("WGO 1 0")
    assert len(bench.edges_s(3)) == 5


def test_a_generator_without_an_end_goes_on_to_fire(bench: Bench) -> None:
    bench.do("WAV 1 X SIN_P 100 1 1 100 0 50", "WSL 1 1", "WGC 1 0", "TWS 3 10 1", "CTO 3 3 4", "WGO 1 1")
    cycle_s = 100 * SERVO_S
    assert len(bench.triggers.edges_s(3, bench.clock.now_s() + 1000.5 * cycle_s)) == 1001
    bench.do("WGO 1 0")
    assert bench.edges_s(3) == []


def test_points_are_answered_as_an_array_and_cleared(bench: Bench) -> None:
    bench.do("TWS 1 1 1 1 3 1 2 2 1")
    assert bench.rows("TWS? 1 3 1 2").tolist() == [[1, 0], [0, 1], [1, 0]]
    bench.do("TWC")
    assert bench.rows("TWS? 1 3 1").tolist() == [[0], [0], [0]]


def test_power_on_settings_fire_nothing(bench: Bench) -> None:
    bench.move(50.0)
    assert all(bench.edges_s(line) == [] for line in (1, 2, 3))


def test_the_configuration_can_be_read_back(bench: Bench) -> None:
    bench.do("CTO 1 2 3 1 3 0 1 1 0.25 1 7 0")
    expected = {"1 2": "3", "1 3": "0", "1 1": "2.500000000e-01", "1 7": "0"}
    assert bench.values("CTO? 1 2 1 3 1 1 1 7") == expected
    assert len(bench.values("CTO?")) == 3 * 8


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("CTO 4 3 0", 17),
        ("CTO 1 4 0", 17),
        ("CTO 1 3 1", 17),
        ("CTO 1 1 0", 17),
        ("CTO 1 1 1e-9", 17),
        ("CTO 1 8 1e999", 17),
        ("CTO 1 2 7", 15),
        ("CTO 1 1", 24),
        ("CTO", 26),
        ("CTO 1 1 x", 25),
        ("TWS 1 0 1", 17),
        ("TWS 1 1 2", 17),
        ("TWC 1", 24),
    ],
)
def test_a_faulty_line_leaves_its_code(bench: Bench, line: str, code: int) -> None:
    before = bench.say(b"CTO?\n")
    assert bench.error_after(line) == code
    assert bench.say(b"CTO?\n") == before


def test_generators_that_start_together_run_together_however_long_that_takes() -> None:
    bench = Bench(clock=HurriedClock())
    bench.say(b"WAV 5 X SIN_P 2000 50 10 2000 0 1000\nWAV 6 X SIN_P 2000 50 10 2000 0 1000\nWSL 1 5 2 6\nWGO 1 1 2 1\n")
    times_s = np.linspace(0.0, bench.clock.now_s(), 2000)
    x_um, y_um = (bench.scanner.reported_um_at(axis, times_s) for axis in (0, 1))
    assert np.ptp(x_um) > 1.0, "it moves"
    assert x_um == pytest.approx(y_um, abs=1e-9)
