"""What the sensors do not see: trembling, drift, and errors of the sensors themselves; each against its number."""

import numpy as np
import pytest

from hardware_sim.settings import NAMED, MechanicsSettings
from tests.hardware_sim.stage_bench import NM_PER_UM, PIXEL_UM, Bench, exact_but

LAB = MechanicsSettings()


def errors_nm(bench: Bench, times_s: np.ndarray) -> np.ndarray:
    """True minus reported (n, 3)."""
    reported_um = np.array([bench.scanner.reported_um_at(axis, times_s) for axis in range(3)]).T
    return (bench.scanner.true_um_at(times_s) - reported_um) * NM_PER_UM


def test_a_closed_loop_trembles_by_half_a_nanometre() -> None:
    bench = Bench(exact_but(vibration_nm=LAB.vibration_nm))
    trembling_nm = errors_nm(bench, np.arange(0.0, 100.0, 0.0037))
    # 100 s hold 15000 independent values of the slower axes: 0.6 % of statistical error
    assert trembling_nm.std(axis=0) == pytest.approx([0.5] * 3, rel=0.03)
    assert np.abs(trembling_nm.mean(axis=0)).max() < 0.03


@pytest.mark.parametrize(("axis", "constant_s"), [(0, 0.003), (2, 0.001)])
def test_the_trembling_has_the_bandwidth_of_the_loop(axis: int, constant_s: float) -> None:
    bench = Bench(exact_but(vibration_nm=0.5))
    times_s = np.arange(0.0, 100.0, 0.0037)
    now_nm, later_nm = errors_nm(bench, times_s)[:, axis], errors_nm(bench, times_s + constant_s)[:, axis]
    # 15000 independent pairs: 0.7 %; values between the table's are smoothed: 1 %
    assert np.corrcoef(now_nm, later_nm)[0, 1] == pytest.approx(np.exp(-1), abs=0.03)


def test_the_trembling_does_not_repeat_within_minutes() -> None:
    bench = Bench(exact_but(vibration_nm=0.5))
    times_s = np.arange(0.0, 20.0, 0.01)
    first_nm = errors_nm(bench, times_s)[:, 0]
    for length in (32_768, 21_013):  # those of the two tables of which it is the sum
        again_nm = errors_nm(bench, times_s + length * LAB.time_constant_xy_s / 8)[:, 0]
        assert np.corrcoef(first_nm, again_nm)[0, 1] < 0.7  # one of two equal parts comes back: 0.5


def test_a_reading_shows_the_trembling_and_the_noise_of_the_sensor() -> None:
    bench = Bench(exact_but(vibration_nm=0.5, sensor_noise_nm=LAB.sensor_noise_nm))
    times_s = np.arange(0.0, 40.0, 0.0037)
    read_nm = bench.scanner.sensed_um_at(times_s) * NM_PER_UM
    assert (read_nm - errors_nm(bench, times_s)).std(axis=0) == pytest.approx([0.3] * 3, rel=0.04)  # P-733.3
    assert read_nm.std(axis=0) == pytest.approx([np.hypot(0.3, 0.5)] * 3, rel=0.05)


def test_a_sensor_shows_one_value_for_one_servo_cycle() -> None:
    bench = Bench(exact_but(sensor_noise_nm=0.3))
    first, same, other = (bench.scanner.sensed_um_at(np.array([time_s]))[0, 0] for time_s in (10e-6, 40e-6, 60e-6))
    assert first == same != other


def test_the_specimen_drifts_by_nanometres_a_minute() -> None:
    rates_nm_per_min = []
    for seed in range(40):
        bench = Bench(exact_but(drift_nm_per_min=5.0, drift_z_nm_per_min=3.0), seed=seed)
        drift_nm = errors_nm(bench, np.arange(0.0, 3601.0, 60.0))
        assert drift_nm[0] == pytest.approx([0.0] * 3, abs=1e-9)
        rates_nm_per_min.append(np.diff(drift_nm, axis=0))
    rates = np.array(rates_nm_per_min)
    # 40 seeds, each with few independent rates
    assert np.sqrt((rates[..., :2] ** 2).sum(axis=-1).mean()) == pytest.approx(5.0, rel=0.1)
    assert np.sqrt((rates[..., 2] ** 2).mean()) == pytest.approx(3.0, rel=0.1)


def test_drift_wanders_slowly_and_smoothly() -> None:
    bench = Bench(exact_but(drift_nm_per_min=5.0))
    rates_nm_per_min = np.diff(errors_nm(bench, np.arange(0.0, 3601.0, 60.0))[:, :2], axis=0)
    assert rates_nm_per_min.std(axis=0).max() > 0.5
    assert np.abs(np.diff(rates_nm_per_min, axis=0)).max() < 10.0  # the fastest part swings in 97 s
    every_second_nm = errors_nm(bench, np.arange(0.0, 600.0))
    assert np.abs(np.diff(every_second_nm, n=2, axis=0)).max() < 0.02


def test_a_drift_burst_slips_and_stays() -> None:
    bench = Bench()
    bench.clock.advance(10.0)
    bench.scanner.drift_burst(0.3, -0.2, over_s=1.0)
    before, half_way, after, much_later = errors_nm(bench, np.array([9.9, 10.5, 11.0, 500.0]))
    assert before.tolist() == [0.0, 0.0, 0.0]
    assert half_way == pytest.approx([150.0, -100.0, 0.0])
    assert after == pytest.approx([300.0, -200.0, 0.0])
    assert much_later == pytest.approx(after)
    assert bench.scanner.drift_um(500.0) == pytest.approx([0.3, -0.2, 0.0])


def test_bursts_of_long_ago_are_remembered_as_one() -> None:
    bench = Bench()
    for _ in range(5):
        bench.scanner.drift_burst(0.1, 0.0, over_s=1.0)
        bench.clock.advance(1000.0)
    assert bench.error_um() == pytest.approx([0.5, 0.0, 0.0])
    assert bench.scanner.drift_um(bench.clock.now_s() - 500.0) == pytest.approx([0.5, 0.0, 0.0])


def linearity_nm(bench: Bench, axis: int, travel_um: float) -> np.ndarray:
    found_nm = []
    for position_um in np.linspace(0.0, travel_um, 101):
        bench.go(**{"xyz"[axis]: position_um})
        found_nm.append(bench.error_um()[axis] * NM_PER_UM)
    return np.array(found_nm)


@pytest.mark.parametrize(("axis", "travel_um"), [(0, 100.0), (1, 100.0), (2, 10.0)])
def test_the_sensors_are_linear_within_the_data_sheet(axis: int, travel_um: float) -> None:
    assert LAB.linearity_error < 0.0003  # P-733.3
    error_nm = linearity_nm(Bench(exact_but(linearity_error=LAB.linearity_error)), axis, travel_um)
    # a hundredth of the travel may miss the very worst place
    assert np.abs(error_nm).max() == pytest.approx(LAB.linearity_error * travel_um * NM_PER_UM, rel=0.02)
    assert np.abs(error_nm[[0, 50, 100]]).max() < 1e-6
    assert np.abs(np.diff(error_nm)).max() < 0.15 * np.abs(error_nm).max()


def test_the_way_up_and_the_way_down_differ_by_less_than_the_repeatability() -> None:
    bench = Bench(exact_but(hysteresis_nm=LAB.hysteresis_nm))
    up_nm, down_nm = [], []
    for position_um in (10.0, 50.0, 90.0, 100.0):
        bench.go(x=position_um, z=position_um / 10)
        up_nm.append(bench.error_um() * NM_PER_UM)
    for position_um in (90.0, 50.0, 10.0, 0.0):
        bench.go(x=position_um, z=position_um / 10)
        down_nm.append(bench.error_um() * NM_PER_UM)
    loop_nm = np.array(down_nm[2::-1]) - np.array(up_nm[:3])
    assert loop_nm[:, 0] == pytest.approx([0.72, 2.0, 0.72])  # P-733.3: < 2 nm along x, widest in the middle
    assert loop_nm[:, 2] == pytest.approx([0.36, 1.0, 0.36])  # < 1 nm along z


def test_the_still_world_has_a_stage_without_flaws_but_its_landing() -> None:
    settings = NAMED["still"].mechanics.model_copy(update={"position_error_px_rms": 0.0})
    bench = Bench(settings)
    bench.go(x=77.0, y=33.0, z=4.0)
    bench.go(x=70.0)
    bench.clock.advance(3600.0)
    assert bench.error_um().tolist() == [0.0, 0.0, 0.0]
    assert bench.scanner.sensed_um().tolist() == [70.0, 33.0, 4.0]


def test_the_laboratory_has_all_flaws_at_once() -> None:
    bench = Bench(LAB)
    bench.go(x=77.0, y=33.0)
    bench.go(x=70.0)
    # landing 3 px, backlash 6 px, linearity 0.5 px
    assert 1.0 * PIXEL_UM < np.hypot(*bench.error_um()[:2]) < 25.0 * PIXEL_UM
