"""How the twin's stage moves, measured on the stage of the world `lab`, beside what the data sheet says.

`python -m benchmarks.twin_stage` prints a Markdown table, and what asking for a position costs.
"""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hardware_sim.clock import ManualClock
from hardware_sim.mechanics import TRAVEL_UM
from hardware_sim.settings import load_world
from hardware_sim.specimen import load_specimen
from hardware_sim.world import World

Vector = NDArray[np.float64]
Row = tuple[str, str, str]
PIXEL_UM = 0.02
NM_PER_UM = 1000.0
SEED = 1
RESTING_S = 1000.0
SERVO_S = 50e-6
CALLS = 3000


def lab() -> World:
    """Make a world whose stage has been at rest for long."""
    clock = ManualClock()
    world = World(load_world("lab"), load_specimen("chip", PIXEL_UM * NM_PER_UM, SEED), clock, SEED)
    clock.advance(RESTING_S)
    return world


def wait(world: World, duration_s: float = 0.5) -> float:
    """Let time pass; returns when it is."""
    world.clock.sleep_until_s(world.clock.now_s() + duration_s)
    return world.clock.now_s()


def hidden_nm(world: World, times_s: Vector) -> Vector:
    """What the sensors do not see (n, 3), without drift."""
    scanner = world.scanner
    reported_um = np.array([scanner.reported_um_at(axis, times_s) for axis in range(3)]).T
    hidden_um = scanner.true_um_at(times_s) - reported_um
    hidden_um[:, :2] -= np.array([scanner.drift_um(float(time_s)) for time_s in times_s])
    return hidden_um * NM_PER_UM


def moves(world: World) -> Iterator[Row]:
    """Step by 1 um, and land many times."""
    for axis, name, expected in ((0, "x", "10..20 ms"), (2, "z", "3..5 ms")):
        start_s = world.clock.now_s()
        world.scanner.move({axis: 1.0})
        after_s = np.linspace(0.0, 0.05, 50_001)
        left_um = 1.0 - world.scanner.reported_um_at(axis, start_s + after_s)
        wait(world)
        yield f"1 um into 10 nm, {name}", expected, f"{after_s[left_um <= 0.010][0] * 1e3:.1f} ms"
    random = np.random.default_rng(SEED)
    upwards, downwards = [], []
    for target_um in random.uniform(5.0, 95.0, 400):
        for come_from_um, found in ((2.0, upwards), (98.0, downwards)):
            for place_um in (come_from_um, float(target_um)):
                world.scanner.move({0: place_um, 1: place_um})
                now_s = wait(world)
            found.append(hidden_nm(world, np.array([now_s]))[0, :2] / PIXEL_UM / NM_PER_UM)
    errors_px = np.array(upwards) - np.mean(upwards, axis=0)
    yield "landing error, radial", "3 px rms", f"{math.sqrt((errors_px**2).sum(axis=1).mean()):.2f} px"
    yield "backlash", "6 px", f"{(np.mean(downwards, axis=0) - np.mean(upwards, axis=0)).mean():.2f} px"


def standing(world: World) -> Iterator[Row]:
    """Watch the stage stand still."""
    fast_s = wait(world) + np.arange(0.0, 60.0, 0.0037)
    trembling_nm = hidden_nm(world, fast_s)
    rms_nm = trembling_nm[:, :2].std(axis=0).mean()
    later_nm = hidden_nm(world, fast_s + 0.003)[:, 0]
    correlation = np.corrcoef(trembling_nm[:, 0], later_nm)[0, 1]
    yield "closed-loop noise", "0.5 nm rms", f"{rms_nm:.2f} nm"
    yield "its bandwidth", "53 Hz", f"{-math.log(correlation) / 0.003 / (2 * math.pi):.0f} Hz"
    true_um = world.scanner.true_um_at(fast_s)
    noise_um = world.scanner.sensed_um_at(fast_s) - true_um
    yield "noise of a sensor", "0.3 nm rms", f"{np.diff(noise_um[:, 0]).std() / math.sqrt(2) * NM_PER_UM:.2f} nm"
    minutes_s = world.clock.now_s() + np.arange(0.0, 8 * 3600.0, 60.0)
    drift_um = world.scanner.true_um_at(minutes_s)
    rates = np.diff(drift_um, axis=0) * NM_PER_UM
    sideways = math.sqrt((rates[:, :2] ** 2).sum(axis=1).mean())
    yield "drift sideways, 8 h", "5 nm/min rms", f"{sideways:.1f} nm/min"
    yield "drift along z, 8 h", "3 nm/min rms", f"{math.sqrt((rates[:, 2] ** 2).mean()):.1f} nm/min"


def wave(world: World) -> Iterator[Row]:
    """Sweep a line at 100 um/s."""
    scanner = world.scanner
    start_um = scanner.target_um()[0]
    start_s = world.clock.now_s()
    scanner.follow(0, start_s, SERVO_S, start_um + np.arange(0.0, 0.3, SERVO_S) * 100.0)
    reported_um = scanner.reported_um_at(0, np.array([start_s + 0.2]))[0]
    yield "lag behind a ramp", "3 ms", f"{(start_um + 20.0 - reported_um) / 100.0 * 1e3:.2f} ms"
    wait(world)
    start_s = world.clock.now_s()
    scanner.autozero(2)
    yield "autozero", "about 2 s", f"{scanner.motion_ends_s(2) - start_s:.2f} s"
    wait(world, 3.0)


def open_loop(world: World) -> Iterator[Row]:
    """Drive x by its voltage."""
    scanner = world.scanner
    scanner.move({0: 0.0})
    wait(world, RESTING_S)
    scanner.set_servo(0, False)
    wait(world, RESTING_S)
    start_s, start_um = world.clock.now_s(), scanner.reported_um(world.clock.now_s())[0]
    scanner.set_open_loop_um(0, 50.0)
    times_s = np.linspace(0.0, 0.01, 100_001)
    peak_s = times_s[scanner.reported_um_at(0, start_s + times_s).argmax()]
    yield "resonance, loaded", "340 Hz", f"{0.5 / peak_s:.0f} Hz"
    step_um, one_um, two_um = scanner.reported_um_at(0, start_s + np.array([0.1, 10.0, 100.0])) - start_um
    yield "creep a decade of time", "1..2 %", f"{100 * (two_um - one_um) / step_um:.2f} %"
    branches = []
    for way in (np.linspace(0.0, 100.0, 51), np.linspace(100.0, 0.0, 51)):
        positions_um = []
        for nominal_um in way:
            scanner.set_open_loop_um(0, float(nominal_um))
            positions_um.append(scanner.reported_um(wait(world))[0])
        branches.append(np.array(positions_um))
    widest = (branches[1][::-1] - branches[0]).max() / np.ptp(branches[1])
    yield "hysteresis of the full stroke", "10..15 %", f"{100 * widest:.1f} %"
    scanner.set_servo(0, True)


def sensors(world: World) -> Iterator[Row]:
    """Find what the sensors get wrong, on a stage without any other flaw."""
    others = dict.fromkeys(("position_error_px_rms", "backlash_px", "hysteresis_nm", "vibration_nm"), 0.0)
    mechanics = world.settings.mechanics.model_copy(update=others)
    exact = World(world.settings.model_copy(update={"mechanics": mechanics}), world.specimen, ManualClock(), SEED)
    found_nm = []
    for part in np.linspace(0.0, 1.0, 201):
        exact.scanner.move({axis: float(part * high_um) for axis, (_, high_um) in enumerate(TRAVEL_UM)})
        found_nm.append(hidden_nm(exact, np.array([wait(exact)]))[0])
    for axis, name, promised_nm in ((0, "x", 30.0), (1, "y", 30.0)):
        yield f"linearity error, {name}", f"< {promised_nm:.0f} nm", f"{np.abs(found_nm)[:, axis].max():.1f} nm"
    rise_nm = (world.surface.tilt_um(60.0, 50.0) - world.surface.tilt_um(50.0, 50.0)) * NM_PER_UM
    yield "rise of the specimen on 10 um along x", "5 nm (0.5 mrad)", f"{rise_nm:.1f} nm"


def cost_us(ask: Callable[[], object]) -> float:
    """Measure the time of one call in microseconds."""
    began_s = time.perf_counter()
    for _ in range(CALLS):
        ask()
    return (time.perf_counter() - began_s) / CALLS * 1e6


def main() -> None:
    """Print what was measured."""
    world = lab()
    print("| quantity | source | measured |\n|---|---|---|")
    for measure in (moves, standing, wave, open_loop, sensors):
        for row in measure(world):
            print("| " + " | ".join(row) + " |")
    now_s = wait(world)
    exposure_s = np.linspace(now_s, now_s + 0.02, 20)
    print(f"\ntrue position at one time {cost_us(lambda: world.scanner.true_um(now_s)):.0f} us", end=", ")
    print(f"at 20 times {cost_us(lambda: world.scanner.true_um_at(exposure_s)):.0f} us")


if __name__ == "__main__":
    main()
