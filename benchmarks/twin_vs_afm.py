"""A real force curve and real contact-mode lines beside the twin's: `python -m benchmarks.twin_vs_afm --data DIR`.

Recordings: JPK CellHesion force curve, 2 kHz, k = 0.0223 N/m (afmformats, MIT); contact-mode image, 256 x 256, 1.007
lines/s (Magni, BSD-2-Clause). The twin gets the recordings' stiffness, sensitivity, speed and sampling, a specimen as
soft as the one under the force curve, and for the lines the recorded heights as its specimen: what differs then is what
the instruments add.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch

from benchmarks.charts import Curve, Panel, write_charts
from hardware_sim.clock import ManualClock
from hardware_sim.optical_lever import thermal_nm
from hardware_sim.settings import NAMED
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen, load_specimen
from hardware_sim.world import World

Values = NDArray[np.float64]

FORCE_CURVE = "fmt-tab-fd_version_0.13.3.tab"
STIFFNESS_N_PER_M, SENSITIVITY_NM_PER_V = 0.0223, 91.2
CURVE_HZ, APPROACH_UM_PER_S = 2000.0, 11.1
FREE_POINTS = 1000
"""At the start of the approach the probe is far from the specimen."""
SOFT_GPA = 5e-7
"""Fitted to the recording; living cells have such moduli."""
LINE_PX, LINES_PER_S = 256, 1.0073
LINE_HZ = 2 * LINE_PX * LINES_PER_S
LINES = 64
TIP_RADIUS_UM = 0.02
PIXEL_UM = 0.04
"""The recording does not say how wide it is; spectra are compared over time."""
LINE_NM_PER_V = 200.0
"""So that the whole relief fits into the detector: the twin scans at constant height, the recording by feedback."""


def main() -> None:
    """Print the figures and write the charts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the recordings (afm)")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder for the charts")
    options = parser.parse_args()
    if not (options.data / FORCE_CURVE).is_file():
        parser.error(f"--data: {options.data} does not hold {FORCE_CURVE}")
    print(f"thermal motion of a spring of {STIFFNESS_N_PER_M} N/m: {thermal_nm(STIFFNESS_N_PER_M):.3f} nm rms")
    real_curve = recorded_curve(options.data / FORCE_CURVE)
    twin_curve = simulated_curve(noise_nm=float(np.std(free_noise_nm(real_curve))))
    real_lines = recorded_lines(options.data / "cell_contact_mode_256.mi")
    twin_lines = simulated_lines(real_lines[0])
    panels = [*curve_panels(real_curve, twin_curve), *line_panels(real_lines, twin_lines)]
    charts = options.out / "twin_vs_afm.svg"
    write_charts(charts, panels)
    print(f"charts: {charts}")


def recorded_curve(path: Path) -> Values:
    """Height of the base (um) and deflection (nm) of the approach, shape (n, 2)."""
    columns = np.genfromtxt(path, comments="#", usecols=(0, 1), dtype=np.float64)
    retracts = np.genfromtxt(path, comments="#", usecols=3, dtype=str) == "True"
    approach = columns[~retracts]
    return np.column_stack([approach[:, 1] * 1e6, approach[:, 0] * 1e9 / STIFFNESS_N_PER_M])


def simulated_curve(noise_nm: float) -> Values:
    """The twin's approach with the recording's spring, speed, sampling and, beyond thermal, noise."""
    lab = NAMED["lab"]
    detector_nm = max(noise_nm**2 - thermal_nm(STIFFNESS_N_PER_M) ** 2, 0.0) ** 0.5
    probe = {"stiffness_n_per_m": STIFFNESS_N_PER_M, "sensitivity_nm_per_v": SENSITIVITY_NM_PER_V}
    wet = {"meniscus_nn": 0.0, "work_of_adhesion_mj_per_m2": 0.001, "viscosity_mpa_s": 1.0}
    noise = {"noise_mv": detector_nm / SENSITIVITY_NM_PER_V * 1000}
    soft = {"contact_height_um": 6.0, "sphere_radius_um": 2.5, "contact_modulus_gpa": SOFT_GPA}
    cantilever = lab.cantilever.model_copy(update=probe | wet | noise | soft)
    clock = ManualClock()
    world = World(lab.model_copy(update={"cantilever": cantilever}), load_specimen("alloy", 100.0, 1), clock, 1)
    count = 2 * FREE_POINTS
    up_um = 9.0 - (count - np.arange(count)) / CURVE_HZ * APPROACH_UM_PER_S
    world.scanner.move({0: 50.0, 1: 50.0, 2: max(up_um[0], 0.0)})
    clock.advance(1.0)
    world.scanner.follow(2, clock.now_s(), 1 / CURVE_HZ, np.maximum(up_um, 0.0))
    volts = []
    for _ in range(count):
        clock.advance(1 / CURVE_HZ)
        volts.append(world.read_volts())
    return np.column_stack([-np.maximum(up_um, 0.0), np.array(volts) * SENSITIVITY_NM_PER_V])


def recorded_lines(path: Path) -> Values:
    """Heights (nm) of trace and retrace of some lines, shape (2, lines, pixels)."""
    raw = path.read_bytes()
    start = raw.index(b"BINARY_32\n") + len(b"BINARY_32\n")
    trace, retrace = np.frombuffer(raw[start:], "<i4", 2 * LINE_PX**2).reshape(2, LINE_PX, LINE_PX)
    range_um = 1.4200384336036802
    return np.stack([trace, retrace])[:, :LINES].astype(np.float64) * (range_um / 2**31 * 1000)


def simulated_lines(heights_nm: Values) -> Values:
    """The twin's trace and retrace over a specimen with these heights (nm), by a sharp tip at constant base height."""
    lab = NAMED["lab"]
    soft = {"stiffness_n_per_m": 0.3, "sphere_radius_um": TIP_RADIUS_UM, "contact_height_um": 4.0, "meniscus_nn": 5.0}
    cantilever = lab.cantilever.model_copy(update=soft | {"sensitivity_nm_per_v": LINE_NM_PER_V})
    flexure = lab.mechanics.model_copy(update={"backlash_px": 0.0, "position_error_px_rms": 0.0})
    clock = ManualClock()
    settings = lab.model_copy(update={"cantilever": cantilever, "mechanics": flexure})
    world = World(settings, recorded_specimen(heights_nm), clock, 1)
    world.scanner.move({0: 0.0, 1: 0.0, 2: 4.1})
    clock.advance(1.0)
    forth_um = PIXEL_UM * (np.arange(LINE_PX) + 1.0)
    there_and_back_um = np.concatenate([forth_um, forth_um[::-1]])
    lines = []
    for line in range(len(heights_nm)):
        world.scanner.move({1: PIXEL_UM * line})
        world.scanner.follow(0, clock.now_s(), 1 / LINE_HZ, there_and_back_um)
        volts = []
        for _ in there_and_back_um:
            clock.advance(1 / LINE_HZ)
            volts.append(world.read_volts())
        felt_nm = np.array(volts) * LINE_NM_PER_V
        lines.append((felt_nm[:LINE_PX], felt_nm[LINE_PX:][::-1]))
    return np.array(lines).transpose(1, 0, 2)


def recorded_specimen(heights_nm: Values) -> Specimen:
    """Lay recorded heights under the twin's probe."""
    lifted_um = ((heights_nm - heights_nm.min()) / 1000.0).astype(np.float32)
    grey = np.zeros((lifted_um.shape[0] * HEIGHT_STEP_PX, LINE_PX * HEIGHT_STEP_PX), np.float32)
    return Specimen("recording", PIXEL_UM / HEIGHT_STEP_PX, grey, lifted_um)


def free_noise_nm(curve: Values) -> Values:
    """Deflection far from the specimen, less its straight line."""
    return straightened(curve[:FREE_POINTS, 1])


def straightened(values: Values) -> Values:
    """Take the straight line out of the last axis."""
    place = np.arange(values.shape[-1], dtype=np.float64)
    place -= place.mean()
    centred = values - values.mean(axis=-1, keepdims=True)
    slope = (centred * place).sum(axis=-1, keepdims=True) / (place**2).sum()
    return np.asarray(centred - slope * place)


def curve_panels(real: Values, twin: Values) -> list[Panel]:
    """Force curve, noise histogram and noise spectrum."""
    both = {"recording": real, "twin": twin}
    curves, histograms, spectra = [], [], []
    for name, curve in both.items():
        noise_nm = free_noise_nm(curve)
        touch_um = curve[np.flatnonzero(curve[:, 1] > curve[:FREE_POINTS, 1].mean() + 8 * noise_nm.std())[0], 0]
        deflection_nm = curve[:, 1] - curve[:FREE_POINTS, 1].mean()
        near = np.abs(curve[:, 0] - touch_um) < 3.0
        force_nn = deflection_nm * STIFFNESS_N_PER_M
        curves.append(Curve(name, (touch_um - curve[near, 0])[::4], force_nn[near][::4]))
        counts, edges = np.histogram(noise_nm / noise_nm.std(), bins=31, range=(-4, 4), density=True)
        histograms.append(Curve(name, (edges[1:] + edges[:-1]) / 2, counts))
        frequency_hz, power = welch(noise_nm, CURVE_HZ, nperseg=256)
        spectra.append(Curve(name, frequency_hz, power))
        excess = float(np.mean((noise_nm / noise_nm.std()) ** 4) - 3)
        slow = float(power[1:9].mean() / power[-40:].mean())
        print(
            f"free probe, {name:<9}: {noise_nm.std():.3f} nm rms, excess kurtosis {excess:+.2f}, slow/fast {slow:.1f}"
        )
    return [
        Panel("Approach: force", "base, um past contact", "force, nN", curves),
        Panel("Free probe: noise", "deviation / rms", "density", histograms),
        Panel("Free probe: spectrum", "frequency, Hz", "nm^2/Hz", spectra, log_x=True, log_y=True),
    ]


def line_panels(real: Values, twin: Values) -> list[Panel]:
    """A line there and back, and the spectra and histograms of heights and of trace minus retrace."""
    panels = []
    heights, differences, spectra = [], [], []
    for name, lines in {"recording": real, "twin": twin}.items():
        level_nm = straightened(lines)
        difference_nm = straightened(lines[0] - lines[1])
        counts, edges = np.histogram(level_nm / level_nm.std(), bins=41, range=(-4, 4), density=True)
        heights.append(Curve(name, (edges[1:] + edges[:-1]) / 2, counts))
        counts, edges = np.histogram(difference_nm / difference_nm.std(), bins=41, range=(-5, 5), density=True)
        differences.append(Curve(name, (edges[1:] + edges[:-1]) / 2, counts))
        frequency_hz, power = welch(level_nm[0], LINE_HZ, nperseg=LINE_PX, axis=-1)
        spectra.append(Curve(name, frequency_hz, power.mean(axis=0) / level_nm.var()))
        print(
            f"lines, {name:<9}: heights {level_nm.std():.2f} nm rms, trace - retrace {difference_nm.std():.2f} nm rms"
        )
    panels.append(Panel("Lines: heights", "height / rms", "density", heights))
    panels.append(Panel("Lines: trace minus retrace", "difference / rms", "density", differences))
    panels.append(Panel("Lines: spectrum", "frequency, Hz", "power / variance, 1/Hz", spectra, True, True))
    return panels


if __name__ == "__main__":
    main()
