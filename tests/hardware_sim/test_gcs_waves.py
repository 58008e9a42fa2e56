"""The wave generator: what a table holds, and what an axis does with it."""

import numpy as np
import pytest

from tests.hardware_sim.gcs_bench import Bench

SERVO_S = 50e-6


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_examples_of_the_manual_are_understood(bench: Bench) -> None:
    bench.do(
        "WAV 1 X LIN 1000 80 5 1000 1 10",
        "WAV 2 X RAMP 2000 80 5 2000 1 100 1000",
        "WAV 3 X SIN_P 500 8 0 500 1 250",
        "WAV 4 X PNT 1 3 1 2.5 3.12345678901",
    )
    assert bench.values("WAV? 1 1 2 1") == {"1 1": "1.000000000e+03", "2 1": "2.000000000e+03"}
    assert bench.rows("GWD? 1 3 4")[:, 0].tolist() == [1.0, 2.5, 3.123456789]


def test_a_line_goes_straight_between_its_eased_ends(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1200 80 5 1000 0 100")
    points_um = bench.rows("GWD? 1 1200 1")[:, 0]
    assert points_um[0] == 5.0
    assert points_um[999:].tolist() == [85.0] * 201
    assert np.diff(points_um).min() >= 0.0
    steps_um = np.diff(points_um[100:900])
    assert steps_um == pytest.approx(np.full(799, 80 / (999 - 100)), abs=1e-6)  # nine digits are written


def test_a_line_may_ease_in_and_out_all_the_way(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1001 80 0 1001 0 500")
    points_um = bench.rows("GWD? 1 1001 1")[:, 0]
    assert points_um[[250, 500, 750]] == pytest.approx([10.0, 40.0, 70.0])  # an eighth of the way in a quarter


def test_as_many_points_fit_in_a_line_as_the_manual_says(bench: Bench) -> None:
    bench.do("WAV 1 X PNT 1 27" + " 1" * 27)
    assert bench.error_after("WAV 1 X PNT 1 28" + " 1" * 28) == 24


def test_a_sine_and_a_ramp_have_their_peaks_at_their_centres_and_repeat_without_a_jump(bench: Bench) -> None:
    bench.do("WAV 1 X SIN_P 500 8 1 500 0 200", "WAV 2 X RAMP 500 8 1 500 0 20 200")
    for points_um in bench.rows("GWD? 1 500 1 2").T:
        assert points_um.max() == pytest.approx(9.0)
        assert points_um.argmax() == 200
        assert points_um[0] == pytest.approx(1.0)
        assert abs(points_um[-1] - points_um[0]) < np.abs(np.diff(points_um)).max()


def test_a_start_point_shifts_the_phase_of_a_periodic_curve(bench: Bench) -> None:
    bench.do("WAV 1 X SIN_P 400 8 0 400 0 200", "WAV 2 X SIN_P 400 8 0 400 100 200")
    plain_um, shifted_um = bench.rows("GWD? 1 400 1 2").T
    assert np.roll(plain_um, 100) == pytest.approx(shifted_um)


def test_segments_are_appended_and_added(bench: Bench) -> None:
    bench.do("WAV 1 X PNT 1 2 1 2", "WAV 1 & PNT 3 2 3 4", "WAV 2 X LIN 4 3 0 4 0 0", "WAV 2 + LIN 4 3 1 4 0 0")
    assert bench.rows("GWD? 1 4 1 2").T.tolist() == [[1, 2, 3, 4], [1, 3, 5, 7]]
    bench.do("WCL 1")
    assert bench.error_after("GWD? 1 4 1") == 401


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("WAV 0 X PNT 1 1 1", 400),
        ("WAV 121 X PNT 1 1 1", 400),
        ("WAV 1 X TAN 1 1 1", 402),
        ("WAV 1 + PNT 1 1 1", 402),
        ("WAV 1 ? PNT 1 1 1", 1),
        ("WAV 1 X LIN 300000 1 0 300000 0 0", 403),
        ("WAV 1 X LIN 1000 80 5 1000 1", 404),
        ("WAV 1 X PNT 1 3 1 2", 404),
        ("WAV 1 X LIN 1000 80 5 2000 0 10", 405),
        ("WAV 1 X LIN 1000 80 5 1000 0 600", 405),
        ("WAV 1 X SIN_P 500 8 0 500 0 500", 405),
        ("WAV 1 X PNT 1 1 1e999", 405),
        ("WAV 1 X", 26),
        ("WAV 1 X PNT 1 1 x", 25),
        ("WSL 4 1", 400),
        ("WSL 1 121", 400),
        ("WGO 1 1", 75),
        ("WGO 1 2", 406),
        ("WGO 1 4", 406),
        ("WGC 1 -1", 17),
        ("WGC 1 1e308", 17),
        ("WAV 1 X LIN 10 1e308 1e308 10 0 1", 405),
        ("WAV 1 X SIN_P 10 1e308 -1e308 10 0 5", 405),
        ("WAV 1 X PNT 1 1 -1e7", 405),
        ("WTR 1 0 0", 17),
    ],
)
def test_a_faulty_line_leaves_its_code(bench: Bench, line: str, code: int) -> None:
    assert bench.error_after(line) == code


def test_memory_for_waves_is_limited(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 262144 1 0 262144 0 0")
    assert bench.error_after("WAV 2 X PNT 1 1 0") == 67
    bench.do("WAV 1 X PNT 1 1 0", "WAV 2 X PNT 1 1 0")


def test_a_run_lasts_servo_time_times_rate_points_and_cycles_and_the_last_value_stays(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1000 80 5 1000 0 100", "WSL 1 1", "WTR 1 2 0", "WGC 1 3", "WGO 1 1")
    assert bench.say(b"\x09") == b"1\n"
    assert bench.say(b"WGO?\n") == b"1=1 \n2=0 \n3=0\n"
    bench.wait(SERVO_S * 2 * 1000 * 3 - SERVO_S)
    assert bench.say(b"\x09") == b"1\n"
    bench.wait(2 * SERVO_S)
    assert bench.say(b"\x09") == b"0\n"
    bench.wait(0.1)
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(85.0)
    assert bench.say(b"ONT? 1\n") == b"1=1\n"


def test_while_a_generator_runs_its_axis_takes_no_other_commands(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1000 80 5 1000 0 100", "WSL 1 1 2 1", "WGC 2 0", "WGO 2 1")
    for line in ("MOV 2 1", "MVR 2 1", "WGO 2 1", "WSL 2 0", "WGC 2 1", "WAV 1 X PNT 1 1 1", "WCL 1", "SVO 2 0"):
        assert bench.error_after(line) == 73, line
    bench.do("MOV 1 3", "WGO 2 0", "MOV 2 1")


@pytest.mark.parametrize("stop", ["WGO 1 0", "STP", "HLT 1", "\x18"])
def test_a_stopped_generator_leaves_its_axis_where_it_is(bench: Bench, stop: str) -> None:
    bench.do("WAV 1 X LIN 20000 80 5 20000 0 100", "WSL 1 1", "WGO 1 1")
    bench.wait(0.5)
    bench.say(stop.encode() + b"\n")
    bench.wait(1.0)
    assert bench.say(b"\x09") == b"0\n"
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(45.0, abs=1.0)  # half the way, less the loop's lag


def test_an_offset_shifts_the_axis_but_not_the_table(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1000 10 0 1000 0 100", "WSL 1 1", "WOS 1 20", "WGO 1 1")
    assert bench.rows("GWD? 1 1 1").tolist() == [[0.0]]
    bench.wait(1.0)
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(30.0)
    bench.do("WCL 1")
    assert bench.values("WOS? 1") == {"1": "2.000000000e+01"}


def test_a_run_can_go_on_from_the_end_of_the_one_before(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1000 10 0 1000 0 100", "WSL 1 1", "WGC 1 2", "WGO 1 257")
    bench.wait(1.0)
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(20.0)
    assert bench.values("WOS? 1") == {"1": "2.000000000e+01"}
    bench.do("WGO 1 257")
    bench.wait(1.0)
    assert bench.values("WOS? 1") == {"1": "4.000000000e+01"}


def test_only_a_run_that_came_to_its_end_leaves_its_end_value_in_the_offset(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1000 10 0 1000 0 100", "WSL 1 1", "WGC 1 2", "WOS 1 3", "WGO 1 257")
    bench.wait(0.07)
    assert bench.values("WOS? 1") == {"1": "3.000000000e+00"}
    bench.do("WGO 1 0")
    bench.wait(1.0)
    assert bench.values("WOS? 1") == {"1": "3.000000000e+00"}
    bench.do("WGO 1 257")
    bench.wait(1.0)
    bench.do("MOV 1 50")
    assert bench.values("WOS? 1") == {"1": "2.300000000e+01"}


def test_a_wave_beyond_the_limits_or_with_the_servo_off_does_not_start(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1000 80 5 1000 0 100", "WSL 1 1 3 1", "SVO 1 0")
    assert bench.error_after("WGO 3 1") == 7
    assert bench.error_after("WGO 1 1") == 5
    assert bench.say(b"\x09") == b"0\n"


def test_an_interpolated_table_goes_straight_between_its_points(bench: Bench) -> None:
    bench.do("WAV 1 X PNT 1 3 0 10 20", "WSL 1 1", "WTR 1 1000 1", "WGO 1 1")
    targets_um = bench.scanner.commanded_um_at(0, bench.clock.now_s() + np.array([0.025, 0.05, 0.075]))
    assert targets_um == pytest.approx([5.0, 10.0, 15.0], abs=0.03)  # two servo cycles of 0.01 um


def test_a_slow_line_of_many_points_takes_its_thousand_seconds(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 4096 80 5 4096 0 0", "WSL 1 1", "WTR 1 4883 1", "WGO 1 1")
    bench.wait(400.0)
    speed_um_per_s = 80 / 4095 / (4883 * SERVO_S)
    lag_s = bench.scanner.settings.time_constant_xy_s
    # the wave begins in the next servo cycle, and nine digits are written
    expected_um = 5 + speed_um_per_s * (400.0 - lag_s)
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(expected_um, abs=speed_um_per_s * SERVO_S + 1e-6)
    bench.wait(4096 * 4883 * SERVO_S - 400.0)
    assert bench.say(b"\x09") == b"1\n"
    bench.wait(2 * SERVO_S)
    assert bench.say(b"\x09") == b"0\n"
    bench.wait(0.1)
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(85.0)


def test_without_a_number_of_cycles_a_run_has_no_end(bench: Bench) -> None:
    bench.do("WAV 1 X SIN_P 400 8 5 400 0 200", "WSL 1 1", "WGC 1 0", "WGO 1 1")
    cycle_s = 400 * SERVO_S
    bench.wait(50 * cycle_s)
    early_um = bench.scanner.reported_um(bench.clock.now_s())[0]
    bench.wait(1e6 * cycle_s)
    assert bench.say(b"\x09") == b"1\n"
    assert bench.say(b"\x05") == b"1\n"
    assert bench.say(b"ONT? 1\n") == b"1=0\n"
    # 20000 s in floats of 64 bits, at 1000 um/s
    assert bench.scanner.reported_um(bench.clock.now_s())[0] == pytest.approx(early_um, abs=1e-6)
    bench.do("WGO 1 0")
    assert bench.say(b"\x09") == b"0\n"


def test_a_run_that_would_climb_out_of_the_limits_does_not_start(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 100 10 0 100 0 0", "WSL 1 1", "WGC 1 11")
    assert bench.error_after("WGO 1 257") == 7
    bench.do("WGC 1 0")
    assert bench.error_after("WGO 1 257") == 7
    bench.do("WGC 1 10", "WGO 1 257")
