"""The twin's SEM beside a real one, each field fast and slow: `python -m benchmarks.twin_vs_sem --data DIR --out DIR`.

Real frames: FEI Helios, 10 kV, pixels of 5.828 nm, dwell 100 ns once, 100 ns in 50 passes, and 30 us (S. Shin, KRISS,
MIT licence). The twin scans what the slow frame shows, with the same dwell, flyback and passes. The current of the beam
is not recorded: it is fitted to the noise of the first pair, and serves for all.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from benchmarks.charts import Curve, Panel, write_charts
from hardware_sim.electron import ElectronMicroscope
from hardware_sim.electron_detector import ELECTRON_PC, lag
from hardware_sim.electron_scan import Scan
from hardware_sim.electron_yield import CONTRASTS
from hardware_sim.settings import CycleSettings, ElectronSettings
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen, load_specimen

Image = NDArray[np.float32]
Values = Sequence[float] | NDArray[Any]

ROWS, COLUMNS, PIXEL_NM = 442, 512, 5.82813
"""Below these rows is the data bar."""
PAIRS = {
    "003, 50 passes": ("Line_off_003", "Line_50x_003"),
    "021, 50 passes": ("Line_off_021", "Line_50x_021"),
    "003, 30 us": ("100ns_003", "30us_003"),
    "021, 30 us": ("100ns_021", "30us_021"),
}
CYCLES = {
    "fast": CycleSettings(frame_s=ROWS * 66.8e-6),
    "passes": CycleSettings(frame_s=ROWS * 3.34e-3, passes=50),
    "slow": CycleSettings(frame_s=ROWS * 16.17e-3),
}
"""Line times as in the metadata."""
EFFICIENCY = 0.2
EDGE_PX = 8
LAGS, BANDS = 8, 32
MOVES_AT_S, MOVES_UM_PER_S = 78.6, 2.6
"""Three frames of 26.2 s; at this speed frames of 2.7 s overlap by 45 %."""
LEVELS = np.arange(8, 256, 16)


@dataclass(frozen=True)
class Noise:
    """What a fast frame has beyond the slow one of the same field."""

    histogram: Values
    """Share of pixels by grey level, in bins of 4."""
    variance: Values
    """By grey level of the slow frame, at LEVELS; NaN where there are too few pixels."""
    slope: float
    """Variance per grey level."""
    alike_x: Values
    alike_y: Values
    """Autocorrelation at 0..LAGS - 1 pixels along and across the lines."""
    spectrum_x: Values
    """Power along the lines, 1 where noise is white; 0 to half a cycle a pixel."""
    spectrum_y: Values
    line_shift_px: float
    """Deviation of single lines from their neighbours; the noise alone makes some."""
    psnr_db: float


def registered(slow: Image, fast: Image) -> Image:
    """Shift the slow frame onto the fast one."""
    window = cv2.createHanningWindow((COLUMNS, ROWS), cv2.CV_32F)
    soft_slow, soft_fast = (cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in (slow, fast))
    (x_px, y_px), _ = cv2.phaseCorrelate(soft_slow, soft_fast, window)
    shift = np.array([[1.0, 0.0, x_px], [0.0, 1.0, y_px]])
    moved = cv2.warpAffine(slow, shift, (COLUMNS, ROWS), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, dtype=np.float32)


def measure(fast: Image, slow: Image) -> Noise:
    """Take the noise of a pair of frames apart."""
    inner = (slice(EDGE_PX, -EDGE_PX), slice(EDGE_PX, -EDGE_PX))
    signal, noisy = registered(slow, fast)[inner], fast[inner]
    noise = noisy - signal
    variance = [_variance_near(noise, signal, int(level)) for level in LEVELS]
    known = np.isfinite(variance)
    slope = float(np.sum(np.array(variance)[known] * LEVELS[known]) / np.sum(np.square(LEVELS[known])))
    flat = noise - cv2.GaussianBlur(noise, (0, 0), 6.0)  # what is left of contamination and charging is slow
    flat -= flat.mean()
    histogram, _ = np.histogram(noisy, bins=np.arange(0, 257, 4))
    return Noise(
        histogram=histogram / noisy.size,
        variance=variance,
        slope=slope,
        alike_x=_alike(flat),
        alike_y=_alike(flat.T),
        spectrum_x=_spectrum(flat),
        spectrum_y=_spectrum(flat.T),
        line_shift_px=_line_shift_px(noise, signal),
        psnr_db=float(10 * np.log10(255**2 / np.mean(np.square(noise)))),
    )


def _variance_near(noise: Image, signal: Image, level: int) -> float:
    """Variance where the slow frame is flat and shows about this level."""
    steep = cv2.morphologyEx(cv2.GaussianBlur(signal, (0, 0), 1.0), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 12
    chosen = (np.abs(signal - level) < 8) & ~steep
    return float(noise[chosen].var()) if chosen.sum() > 500 else float("nan")


def _line_shift_px(noise: Image, signal: Image) -> float:
    """Fit the shift of each line by least squares, and see how it scatters about that of the lines around it."""
    slope = np.gradient(cv2.GaussianBlur(signal, (0, 0), 1.0), axis=1)
    shifts_px = -np.sum(noise * slope, axis=1) / np.sum(np.square(slope), axis=1)
    return float(np.std(shifts_px - gaussian_filter1d(shifts_px, 10.0)))


def _alike(noise: Image) -> Values:
    whole = np.mean(np.square(noise))
    return [float(np.mean(noise[:, : noise.shape[1] - k] * noise[:, k:]) / whole) for k in range(LAGS)]


def _spectrum(noise: Image) -> Values:
    taper = np.hanning(noise.shape[1])
    power = np.square(np.abs(np.fft.rfft(noise * taper, axis=1))).mean(axis=0)
    white = np.square(taper).sum() * np.mean(np.square(noise))
    return [float(band.mean()) / white for band in np.array_split(power, BANDS)]


def scanned(clean: Image, current_pa: float, seed: int) -> dict[str, Image]:
    """Let the twin scan what a slow frame shows, at each speed."""
    contrast = CONTRASTS["secondary"]
    white_yield = contrast.bright
    reflectance = (clean / 255 * white_yield - contrast.dark) / (contrast.bright - contrast.dark)
    heights = np.zeros((ROWS // HEIGHT_STEP_PX + 1, COLUMNS // HEIGHT_STEP_PX + 1), dtype=np.float32)
    specimen = Specimen("recorded", PIXEL_NM / 1000, reflectance.astype(np.float32), heights)
    settings = ElectronSettings(
        frame_shape_px=(ROWS, COLUMNS),
        cycles=CYCLES,
        cycle="fast",
        beam_current_pa=current_pa,
        efficiency=EFFICIENCY,
        probe_fwhm_nm=0.0,  # the recorded frame has been through a probe already
        black_dn=0.0,
        white_yield=white_yield,
    )
    centre_um = np.array([(COLUMNS - 1) / 2, (ROWS - 1) / 2, 0.0]) * specimen.pixel_um
    eye = ElectronMicroscope(
        settings, specimen, specimen.pixel_um, lambda times_s: np.tile(centre_um, (times_s.size, 1)), seed, keyed=False
    )
    return {cycle: eye.screen(cycle, eye.scan(cycle).frame_s).pixels.astype(np.float32) for cycle in CYCLES}


def fitted_current_pa(slope: float) -> float:
    """Find the current at which noise has this variance per grey level at 100 ns."""
    settings = ElectronSettings()
    scan = Scan.of((ROWS, COLUMNS), CYCLES["fast"])
    kept = float(np.square(lag(scan.dwell_s, settings.detector_time_constant_ns * 1e-9)).sum())
    levels_per_yield = 255 / CONTRASTS["secondary"].bright
    return levels_per_yield * kept / slope / (scan.dwell_s * EFFICIENCY) * ELECTRON_PC


def read(folder: Path, name: str) -> Image:
    """Read a frame without its data bar, grey."""
    return np.asarray(tifffile.imread(folder / f"{name}.tif")[:ROWS, :, 0], dtype=np.float32)


def panels(real: Noise, twin: Noise) -> list[Panel]:
    """Lay the noise of both over each other."""

    def curves(x: Values, quantity: Callable[[Noise], Values]) -> list[Curve]:
        return [Curve("real", x, quantity(real)), Curve("twin", x, quantity(twin))]

    greys, lags, cycles = np.arange(2, 256, 4), np.arange(LAGS), (np.arange(BANDS) + 0.5) / BANDS / 2
    return [
        Panel("Fast frame", "grey level", "share of pixels", curves(greys, lambda noise: noise.histogram)),
        Panel("Noise by signal", "grey level", "variance", curves(LEVELS, lambda noise: noise.variance)),
        Panel("Noise along the line", "distance, px", "correlation", curves(lags, lambda noise: noise.alike_x)),
        Panel("Noise across the lines", "distance, px", "correlation", curves(lags, lambda noise: noise.alike_y)),
        Panel("Power along the line", "cycles per px", "white = 1", curves(cycles, lambda noise: noise.spectrum_x)),
        Panel("Power across the lines", "cycles per px", "white = 1", curves(cycles, lambda noise: noise.spectrum_y)),
    ]


def side_by_side(rows: Sequence[Sequence[Image]]) -> NDArray[np.uint8]:
    """Lay the same part of frames in a grid."""
    part = (slice(120, 340), slice(150, 400))
    grid = np.vstack([np.hstack([np.pad(frame[part], 2, constant_values=255) for frame in row]) for row in rows])
    return grid.astype(np.uint8)


def cycles_of_the_chip() -> NDArray[np.uint8]:
    """Show what a watcher sees: tv and ld above, hd and ld over a stage that has begun to move below."""
    specimen = load_specimen("chip", None, 7)

    def positions_um(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        return 50.0 + np.outer(np.maximum(times_s - MOVES_AT_S, 0.0), [MOVES_UM_PER_S, 0.0, 0.0])

    eye = ElectronMicroscope(ElectronSettings(), specimen, specimen.pixel_um, positions_um, 7, keyed=False)
    looks = (("tv", MOVES_AT_S), ("ld", MOVES_AT_S), ("hd", MOVES_AT_S), ("ld", MOVES_AT_S + 1.2))
    frames = [eye.screen(cycle, time_s).pixels.astype(np.float32) for cycle, time_s in looks]
    return side_by_side([frames[:2], frames[2:]])


def compare(data: Path, out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Measure all pairs and their twins; writes the pictures of the first pair."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    current_pa = 0.0
    for seed, (title, names) in enumerate(PAIRS.items()):
        fast, slow = (read(data, name) for name in names)
        real = measure(fast, slow)
        current_pa = current_pa or fitted_current_pa(real.slope)
        frames = scanned(slow, current_pa, seed)
        twin_slow = frames["passes" if "passes" in title else "slow"]
        twin = measure(frames["fast"], twin_slow)
        figures[title] = {"real": _figures(real), "twin": _figures(twin)}
        if seed == 0:
            write_charts(out / "sem_noise.svg", panels(real, twin))
            picture = side_by_side([[fast, frames["fast"]], [slow, twin_slow]])
            cv2.imwrite(str(out / "sem_side_by_side.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    figures["fit"] = {"twin": {"beam_current_pa": current_pa}}
    return figures


def _figures(noise: Noise) -> dict[str, float]:
    return {
        "psnr_db": noise.psnr_db,
        "variance_per_level": noise.slope,
        "alike_x_1px": noise.alike_x[1],
        "alike_x_2px": noise.alike_x[2],
        "alike_y_1px": noise.alike_y[1],
        "line_shift_px": noise.line_shift_px,
        "black_share": float(noise.histogram[0]),
        "white_share": float(noise.histogram[-1]),
        "power_x_low": float(np.mean(noise.spectrum_x[: BANDS // 4])),
        "power_x_high": float(np.mean(noise.spectrum_x[-BANDS // 4 :])),
    }


def main() -> int:
    """Print the figures and write the pictures."""
    parser = argparse.ArgumentParser(description="Noise of the twin's SEM beside that of recorded frames.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the recorded pairs")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if not (options.data / f"{PAIRS['003, 50 passes'][0]}.tif").is_file():
        parser.error(f"--data: {options.data} holds no recorded pairs")
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out / "sem_cycles.png"), cycles_of_the_chip(), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    figures = compare(options.data, options.out)
    if options.json:
        print(json.dumps(figures))
        return 0
    for title, both in figures.items():
        for name in next(iter(both.values())):
            values = "  ".join(f"{who} {numbers[name]:9.4f}" for who, numbers in both.items())
            print(f"{title:15} {name:19} {values}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
