"""The data recorder: what it keeps of a motion."""

import numpy as np
import pytest

from tests.hardware_sim.gcs_bench import Bench
from tests.hardware_sim.stage_bench import exact_but

SERVO_S = 50e-6


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_sweep_is_kept_as_commanded_and_as_sensed(bench: Bench) -> None:
    bench.do("WAV 1 X LIN 1000 80 5 1000 0 100", "WSL 1 1", "RTR 2", "MOV 1 5")
    bench.wait(1.0)
    bench.do("DRC 1 1 1 2 1 2 3 1 3 4 1 44 5 1 7", "DRT 0 9 0", "WGO 1 1")
    bench.wait(0.2)
    commanded_um, sensed_um, error_um, times_s, volts = bench.rows("DRR? 1 500 1 2 3 4 5").T
    table_um = bench.rows("GWD? 1 1000 1")[::2, 0]
    assert commanded_um == pytest.approx(table_um, abs=1e-6)  # nine digits are written
    lag_um = 80 / (999 - 100) / SERVO_S * bench.scanner.settings.time_constant_xy_s
    assert error_um[300] == pytest.approx(lag_um, rel=0.02)  # one servo cycle of a lag of sixty
    assert error_um == pytest.approx(commanded_um - sensed_um, abs=1e-6)
    assert np.diff(times_s) == pytest.approx(np.full(499, 2 * SERVO_S), abs=1e-8)
    assert np.corrcoef(volts, sensed_um)[0, 1] == pytest.approx(1.0)


def test_the_header_tells_what_the_columns_are(bench: Bench) -> None:
    bench.do("DRC 1 2 2", "DRT 1 4 0")
    bench.wait(0.01)
    answer = bench.say(b"DRR? 1 3 1\n").decode()
    header, _, data = answer.partition("# END_HEADER \n")
    keys = dict(line[2:].strip().split(" = ") for line in header.splitlines())
    assert {key: keys[key] for key in ("TYPE", "SEPARATOR", "DIM", "NDATA")} == {
        "TYPE": "1",
        "SEPARATOR": "32",
        "DIM": "1",
        "NDATA": "3",
    }
    assert float(keys["SAMPLE_TIME"]) == SERVO_S
    assert "2" in keys["NAME0"]
    assert data == "0.000000000e+00 \n" * 2 + "0.000000000e+00\n"


def test_a_digital_output_is_kept_with_its_pulses(bench: Bench) -> None:
    bench.do("VEL 1 1000", "CTO 2 2 1 2 3 0 2 1 1 2 8 2 2 9 9", "DRC 1 2 27 2 1 2", "DRT 0 1 0", "MOV 1 20")
    bench.wait(0.1)
    pulses, sensed_um = bench.rows("DRR? 1 400 1 2").T
    assert pulses.sum() == 8
    one_cycle_um = 1000 * SERVO_S
    assert sensed_um[pulses > 0] - np.arange(2.0, 10.0) == pytest.approx(one_cycle_um / 2, abs=one_cycle_um / 2 + 1e-5)


def test_a_line_that_a_generator_switches_is_kept_as_its_level(bench: Bench) -> None:
    bench.do("WAV 5 X PNT 1 4 20 20 20 20", "WSL 1 5", "WTR 1 20 0", "WGC 1 3", "RTR 1", "DRC 1 1 1 2 1 27", "TWC")
    bench.do("CTO 1 3 4", "TWS 1 1 1 1 2 1 1 3 0 1 4 0", "WGO 1 1")
    bench.wait(0.1)
    levels = bench.rows("DRR? 1 260 1 2")[:, 1]
    high = [*range(40), *range(80, 120), *range(160, 200)]  # two points of four, 20 servo cycles each, three times
    assert np.flatnonzero(levels).tolist() == high


def test_a_line_high_at_all_points_falls_at_the_end_or_the_stop_of_the_run(bench: Bench) -> None:
    bench.do("WAV 5 X PNT 1 2 0 0", "WSL 1 5", "WTR 1 20 0", "WGC 1 2", "DRC 1 1 27", "DRT 1 9 0")
    bench.do("CTO 1 3 4", "TWS 1 1 1 1 2 1", "WGO 1 1")
    bench.wait(0.1)
    assert np.flatnonzero(bench.rows("DRR? 1 200 1")).tolist() == list(range(80))
    bench.do("WGO 1 1")
    bench.wait(30.5 * SERVO_S)
    bench.do("WGO 1 0")
    bench.wait(0.1)
    assert bench.rows("DRR? 1 200 1").sum() == pytest.approx(30, abs=1)  # it began at the next servo cycle


def test_a_band_is_kept_as_the_level_that_the_sensor_gives(bench: Bench) -> None:
    bench.do("VEL 1 1000", "CTO 2 2 1 2 3 3 2 5 4 2 6 8", "DRC 1 2 27 2 1 2", "DRT 0 1 0", "MOV 1 20")
    bench.wait(0.1)
    levels, sensed_um = bench.rows("DRR? 1 1000 1 2").T
    inside = (sensed_um >= 4) & (sensed_um <= 8)
    assert inside.sum() == pytest.approx(80, abs=1)
    assert np.count_nonzero(levels != inside) <= 2  # a rim that is met to rounding may fall to either side


def test_on_target_is_kept_as_a_level_that_falls_when_the_axis_leaves(bench: Bench) -> None:
    bench.move(5.0)
    bench.do("CTO 2 2 1 2 3 2", "DRC 1 2 27", "DRT 1 4 0")
    bench.wait(10.5 * SERVO_S)
    bench.do("MOV 1 10")
    bench.wait(0.5)
    levels = bench.rows("DRR? 1 10000 1")[:, 0]
    falls, rises = np.flatnonzero(np.diff(levels) < 0), np.flatnonzero(np.diff(levels) > 0)
    assert levels[0] == levels[-1] == 1
    assert falls.tolist() == [10]
    assert len(rises) == 1


@pytest.mark.parametrize(
    ("source", "command", "starts"),
    [
        (0, "MOV 1 5", False),
        (0, "WGO 2 1", True),
        (1, "MOV 1 5", True),
        (1, "MVR 1 5", True),
        (1, "VEL 1 5", False),
        (2, "VEL? 1", True),
        (3, "MOV 1 5", False),
        (6, "MOV 1 5", True),
        (9, "MOV 1 5", False),
        (9, "WGO 2 1", True),
    ],
)
def test_each_source_starts_a_recording_when_it_should(bench: Bench, source: int, command: str, starts: bool) -> None:
    bench.do("WAV 1 X PNT 1 2 0 0", "WSL 2 1")
    bench.say(f"DRT 1 {source} 0\n".encode())
    bench.say(f"{command}\n".encode())
    bench.wait(0.01)
    assert (int(bench.values("DRL? 1")["1"]) > 1) is starts


def test_some_sources_start_only_once(bench: Bench) -> None:
    bench.do("DRT 1 6 0", "MOV 1 5")
    assert bench.values("DRT? 1") == {"1": "0 0"}
    bench.wait(0.1)
    first = bench.rows("DRR? 1 100 1")
    bench.do("MOV 1 8")
    bench.wait(0.1)
    assert (bench.rows("DRR? 1 100 1") == first).all()


def test_what_is_not_there_yet_or_not_configured_is_refused(bench: Bench) -> None:
    assert bench.error_after("DRR? 1 10 1") == 77
    bench.do("DRT 1 4 0")
    bench.wait(9.5 * SERVO_S)
    assert bench.values("DRL? 1") == {"1": "10"}
    assert bench.error_after("DRR? 1 11 1") == 77
    assert len(bench.rows("DRR? 1 10 1")) == 10
    assert bench.error_after("DRR? 1 1 8") == 78


def test_a_table_is_full_at_its_length(bench: Bench) -> None:
    bench.do("SPA 1 0x16000201 100", "DRT 1 4 0")
    bench.wait(1.0)
    assert bench.values("DRL? 1") == {"1": "100"}


def test_reading_twice_gives_the_same_noise_of_the_size_of_the_sensor(bench: Bench) -> None:
    noisy = Bench(settings=exact_but(sensor_noise_nm=0.3))
    noisy.do("DRT 1 4 0")
    noisy.wait(2.0)
    first_um = noisy.rows("DRR? 1 20000 1")
    assert (noisy.rows("DRR? 1 20000 1") == first_um).all()
    assert first_um.std() * 1000 == pytest.approx(0.3, rel=0.05)  # 20000 values know their sd to 0.5 %


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("DRC 9 1 2", 57),
        ("DRC 1 1 99", 58),
        ("DRC 1 7 2", 59),
        ("DRC 1 5 27", 59),
        ("DRT 1 5 0", 17),
        ("DRT 1 3 0", 17),
        ("DRT 9 1 0", 57),
        ("DRR? 0 1 1", 17),
        ("RTR 0", 17),
        ("RTR", 26),
        ("RTR 1 2", 24),
    ],
)
def test_a_faulty_line_leaves_its_code(bench: Bench, line: str, code: int) -> None:
    before = bench.say(b"DRC?\nDRT?\nRTR?\n")
    assert bench.error_after(line) == code
    assert bench.say(b"DRC?\nDRT?\nRTR?\n") == before
