"""The probe that the focus drive carries beside the microscope, and the watch over its true force."""

import numpy as np
import pytest

from hardware_sim.clock import ManualClock
from hardware_sim.settings import NAMED, WorldSettings
from hardware_sim.specimen import Specimen
from hardware_sim.world import World

STIFFNESS_N_PER_M = 42.0


def above_a_flat(settings: WorldSettings = NAMED["still"]) -> tuple[World, ManualClock]:
    """Make a world above a specimen without heights."""
    flat = Specimen("flat", 0.05, np.full((400, 400), 0.5, np.float32), np.zeros((100, 100), np.float32))
    clock = ManualClock()
    return World(settings, flat, clock, 7), clock


def lift(world: World, clock: ManualClock, z_um: float) -> None:
    world.scanner.move({2: z_um})
    clock.advance(0.1)


def drive(world: World, clock: ManualClock, to_um: float) -> None:
    world.focus.move(to_um / 1000.0, 1.0, 4.0)
    clock.advance(2.0)


def test_at_the_start_it_hangs_where_it_always_did() -> None:
    world, _ = above_a_flat()
    assert world.cantilever.gap_nm() == pytest.approx(8000.0)


def test_the_focus_drive_brings_it_nearer_and_takes_it_away() -> None:
    world, clock = above_a_flat()
    drive(world, clock, 49_996.0)
    assert world.cantilever.gap_nm() == pytest.approx(4000.0, abs=0.01)
    drive(world, clock, 50_010.0)
    assert world.cantilever.gap_nm() == pytest.approx(18_000.0, abs=0.01)


def test_lowered_onto_the_specimen_it_is_pressed() -> None:
    world, clock = above_a_flat()
    lift(world, clock, 7.0)
    drive(world, clock, 49_998.9)
    assert world.cantilever.force_nn() == pytest.approx(100.0 * STIFFNESS_N_PER_M, rel=0.05)  # the contact gives


def test_a_crash_between_two_looks_is_not_forgotten() -> None:
    world, clock = above_a_flat()
    lift(world, clock, 7.0)
    world.cantilever.watch_force(2000.0)
    drive(world, clock, 49_998.9)
    drive(world, clock, 49_999.3)
    assert world.cantilever.touches(), "the meniscus holds over 300 nm"
    assert world.cantilever.watched_force()["peak_nn"] == pytest.approx(100.0 * STIFFNESS_N_PER_M, rel=0.05)


def test_a_sphere_whose_virtual_image_is_focused_does_not_ride_on_the_drive() -> None:
    world, clock = above_a_flat(NAMED["superlens"])
    before_nm = world.cantilever.gap_nm()
    drive(world, clock, 49_990.0)
    assert world.cantilever.gap_nm() == pytest.approx(before_nm, abs=20.0)  # the stage trembles and drifts


def test_the_watch_tells_how_high_and_for_how_long() -> None:
    world, clock = above_a_flat()
    world.cantilever.watch_force(2000.0)
    lift(world, clock, 8.02)
    quiet = world.cantilever.watched_force()
    assert (quiet["over_s"], quiet["times_over"]) == (0.0, 0)
    assert quiet["peak_nn"] == pytest.approx(world.cantilever.force_nn())
    for _ in range(2):
        world.scanner.move({2: 8.1})
        clock.advance(0.050)
        world.scanner.move({2: 8.0})
        clock.advance(0.1)
    seen = world.cantilever.watched_force()
    assert seen["times_over"] == 2
    assert seen["longest_over_s"] == pytest.approx(0.050, abs=0.002)  # the way up and down takes a millisecond
    assert seen["over_s"] == pytest.approx(2 * seen["longest_over_s"], abs=0.001)
    assert seen["peak_nn"] == pytest.approx(100.0 * STIFFNESS_N_PER_M, rel=0.05)


def test_a_new_watch_forgets_the_old_one() -> None:
    world, clock = above_a_flat()
    lift(world, clock, 8.1)
    lift(world, clock, 5.0)
    world.cantilever.watch_force(500.0)
    assert world.cantilever.watched_force() == {
        "over_nn": 500.0,
        "peak_nn": None,
        "over_s": 0.0,
        "longest_over_s": 0.0,
        "times_over": 0,
    }


def test_a_gap_and_its_force_belong_together() -> None:
    contact = above_a_flat()[0].cantilever.contact
    for force_nn in (-20_000.0, 0.0, 2000.0):
        bent_nm = contact.touching_deflection_nm(contact.gap_at_nm(force_nn))
        assert bent_nm * STIFFNESS_N_PER_M == pytest.approx(force_nn, abs=1e-6)
