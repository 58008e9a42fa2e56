"""The probe against textbook numbers: snap-in, contact, pull-off, noise, drift, drag, and what a sphere can feel."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from hardware_sim.clock import ManualClock
from hardware_sim.contact import ATOMIC_DISTANCE_NM, SphereContact
from hardware_sim.faults import Armed
from hardware_sim.felt_surface import dilated
from hardware_sim.optical_lever import thermal_nm
from hardware_sim.settings import NAMED, CantileverSettings, WorldSettings
from hardware_sim.specimen import Specimen
from hardware_sim.world import World

STIFFNESS_N_PER_M = 42.0
NewWorld = Callable[..., tuple[World, ManualClock]]


@cache
def flat() -> Specimen:
    return Specimen("flat", 0.05, np.full((400, 400), 0.5, np.float32), np.zeros((100, 100), np.float32))


@pytest.fixture
def new_world() -> NewWorld:
    """A quiet world above a flat specimen; keywords change the cantilever."""

    def create(base: str = "still", seed: int = 7, **changes: float) -> tuple[World, ManualClock]:
        settings: WorldSettings = NAMED[base]
        cantilever = settings.cantilever.model_copy(update=changes)
        clock = ManualClock()
        return World(settings.model_copy(update={"cantilever": cantilever}), flat(), clock, seed), clock

    return create


def lift(world: World, clock: ManualClock, z_um: float) -> None:
    world.scanner.move({2: z_um})
    clock.advance(0.1)


def curve(world: World, clock: ManualClock, heights_um: np.ndarray) -> np.ndarray:
    forces_nn = []
    for z_um in heights_um:
        lift(world, clock, float(z_um))
        forces_nn.append(world.cantilever.force_nn())
    return np.array(forces_nn)


def test_snaps_in_where_the_gradient_exceeds_the_stiffness() -> None:
    contact = SphereContact.of(CantileverSettings())
    distance_nm = np.linspace(0.5, 50.0, 200_000)
    attraction_nn = contact.dispersion_nn * ATOMIC_DISTANCE_NM**2 / distance_nm**2
    gaps_nm = distance_nm + attraction_nn / STIFFNESS_N_PER_M  # the gap whose balance lies at this distance
    assert contact.snaps_in_below_nm == pytest.approx(float(gaps_nm.min()), rel=1e-4)


def test_the_force_curve_snaps_in_pushes_back_and_holds_on(new_world: NewWorld) -> None:
    world, clock = new_world()
    up_um = np.arange(7.9, 8.1, 0.001)
    approach_nn, retract_nn = curve(world, clock, up_um), curve(world, clock, np.arange(8.1, 7.0, -0.001))
    snap = int(np.flatnonzero(approach_nn < -100)[0])  # a free probe bends by 47 nN at most
    assert up_um[snap] == pytest.approx(8.0 - 0.0034, abs=0.0011)  # 3.4 nm before it would touch; 1 nm steps
    slope_nn_per_nm = np.polyfit(up_um[-50:] * 1000, approach_nn[-50:], 1)[0]
    assert slope_nn_per_nm == pytest.approx(STIFFNESS_N_PER_M, rel=0.005)  # the contact is 500 times stiffer
    meniscus_nn, dispersion_nn = 26_000.0, 2 * math.pi * 28.5e3 * 0.050
    assert -retract_nn.min() == pytest.approx(meniscus_nn + dispersion_nn, abs=STIFFNESS_N_PER_M)  # 1 nm steps
    assert retract_nn[-1] == pytest.approx(0.0, abs=0.1)


def test_what_happened_between_two_looks_is_not_forgotten(new_world: NewWorld) -> None:
    world, clock = new_world()
    lift(world, clock, 7.9)
    world.scanner.move({2: 8.05})
    clock.advance(0.1)
    world.scanner.move({2: 7.9})
    clock.advance(3600.0)
    assert world.cantilever.touches(), "the meniscus holds over 100 nm"
    watched, its_clock = new_world()
    for z_um in (7.9, 8.05, 7.9):
        lift(watched, its_clock, z_um)
        watched.cantilever.touches()
    assert world.cantilever.force_nn() == pytest.approx(watched.cantilever.force_nn())


def test_immersed_the_adhesion_is_hundreds_of_nanonewton(new_world: NewWorld) -> None:
    world, _ = new_world(meniscus_nn=0.0, work_of_adhesion_mj_per_m2=1.0)
    assert 100 < world.cantilever.contact.adhesion_nn < 300


def test_thermal_motion_is_ten_picometres() -> None:
    assert thermal_nm(STIFFNESS_N_PER_M) == pytest.approx(0.0098, rel=0.01)


def test_noise_is_that_of_detector_and_lever_and_averages_out(new_world: NewWorld) -> None:
    world, clock = new_world("lab", laser_drift_mv_per_min=0.0)
    single_mv = [world.read_volts() * 1000 for _ in range(2000)]
    expected_mv = math.hypot(0.3, thermal_nm(STIFFNESS_N_PER_M) / 50.0 * 1000)
    assert np.std(single_mv) == pytest.approx(expected_mv, rel=0.08)  # 5 standard errors of 2000 readings
    averaged_mv = [world.read_volts(0.01) * 1000 for _ in range(500)]
    assert np.std(averaged_mv) == pytest.approx(expected_mv / math.sqrt(0.01 * 10_000), rel=0.16)
    assert clock.now_s() == pytest.approx(5.0)


def test_the_beam_drifts_at_its_rate(new_world: NewWorld) -> None:
    rates_mv_per_min = []
    for seed in range(40):
        world, clock = new_world("lab", seed=seed, noise_mv=0.0, laser_drift_mv_per_min=0.3)
        before_v = world.read_volts()
        clock.advance(60.0)
        rates_mv_per_min.append((world.read_volts() - before_v) * 1000)
    assert np.sqrt(np.mean(np.square(rates_mv_per_min))) == pytest.approx(0.3, rel=0.35)  # of 40 draws


def test_the_detector_saturates(new_world: NewWorld) -> None:
    world, clock = new_world()
    lift(world, clock, 9.0)
    assert world.read_volts() == 10.0


def test_the_squeezed_film_pushes_as_fast_as_it_is_squeezed(new_world: NewWorld) -> None:
    world, clock = new_world(viscosity_mpa_s=1.0, meniscus_nn=0.0, work_of_adhesion_mj_per_m2=1.0)
    lift(world, clock, 5.0)
    world.scanner.set_slew(2, 100.0)
    world.scanner.move({2: 7.5})
    clock.advance(0.020)  # at 7 um, 1 um before contact
    expected_nn = 6 * math.pi * 1e-3 * 28.5e-6**2 * 100e-6 / 1e-6 * 1e9
    assert world.cantilever.force_nn() == pytest.approx(expected_nn, rel=0.02)  # 1 % thinner within the timing


def test_a_runaway_raises_the_force_at_its_rate(new_world: NewWorld) -> None:
    world, clock = new_world()
    lift(world, clock, 8.02)
    before_nn = world.cantilever.force_nn()
    world.faults.arm(Armed(name="force_runaway", device="force", nn_per_s=2000.0, for_s=1.0))
    clock.advance(0.5)
    assert world.cantilever.force_nn() - before_nn == pytest.approx(1000.0, rel=0.01)
    clock.advance(5.0)
    assert world.cantilever.force_nn() - before_nn == pytest.approx(2000.0, rel=0.01)


def test_a_sphere_rides_over_a_trench_that_is_too_narrow_for_it() -> None:
    step_um, radius_um = 0.2, 28.5
    height_um = np.full((80, 80), 0.3, np.float32)
    height_um[:, 35:46] = 0.0  # 2.2 um wide; the sphere sinks (1.1 um)^2 / 2R = 21 nm into it
    felt_um = dilated(height_um, step_um, radius_um)
    assert 0.3 - felt_um[40, 40] == pytest.approx((6 * step_um) ** 2 / (2 * radius_um), rel=0.01)
    assert felt_um[40, 20] == pytest.approx(0.3)


def test_a_sphere_feels_a_spike_as_itself() -> None:
    step_um, radius_um = 0.2, 28.5
    height_um = np.zeros((61, 61), np.float32)
    height_um[30, 30] = 0.3
    felt_um = dilated(height_um, step_um, radius_um)
    for away in (0, 5, 10):
        expected_um = 0.3 - 2 * (away * step_um) ** 2 / (2 * radius_um)
        assert felt_um[30 + away, 30 + away] == pytest.approx(expected_um, abs=1e-6)
