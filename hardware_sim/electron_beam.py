"""A beam that goes from line to line over a stage that may move, and the screen that it writes."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Image
from hardware_sim.chance import Stream, generator
from hardware_sim.electron_charging import Charge, push, shade
from hardware_sim.electron_detector import ELECTRON_PC, Converter, Grey, lag, quanta, smeared
from hardware_sim.electron_scan import Scan
from hardware_sim.electron_yield import CONTRASTS, YieldMap
from hardware_sim.settings import ElectronSettings
from hardware_sim.specimen import Specimen

NM_PER_UM = 1000.0

Positions = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Where the stage truly is, um (n, 3), at world times (n)."""


@dataclass(frozen=True)
class Screen:
    """What the video shows at a moment: lines 0..line-1 are of frame `frame`, those below of the one before."""

    pixels: Grey
    frame: int
    line: int


@dataclass(frozen=True)
class LineChance:
    """Where the randomness of a line comes from: its number; in a keyed world its place in frame and specimen."""

    seed: int
    cycle: int
    keyed: bool

    def of_line(self, line: int, rows: int, position_um: NDArray[np.float64]) -> np.random.Generator:
        """Make the generator of a line, of `rows` to a frame, scanned with the stage at `position_um` (x, y)."""
        if not self.keyed:
            return generator(self.seed, Stream.ELECTRONS, [self.cycle, line])
        place_nm = [max(round(float(value) * NM_PER_UM), 0) for value in position_um]
        return generator(self.seed, Stream.ELECTRONS, [self.cycle, line % rows, *place_nm])


class Beam:
    """One speed of the scan and its screen."""

    def __init__(
        self,
        settings: ElectronSettings,
        scan: Scan,
        specimen: Specimen,
        pixel_um: float,
        stage: Positions,
        chance: LineChance,
    ) -> None:
        self.scan = scan
        self._settings = settings
        self._specimen_um = specimen.pixel_um
        self._step_px = pixel_um / specimen.pixel_um
        self._stage = stage
        self._chance = chance
        disc_um = 2 * settings.defocus_um * settings.convergence_mrad / 1000.0
        probe_um = math.hypot(settings.probe_fwhm_nm / NM_PER_UM, disc_um)
        self._yields = YieldMap(specimen, CONTRASTS[settings.signal], settings.escape_nm / NM_PER_UM, probe_um)
        self._lag = lag(scan.dwell_s, settings.detector_time_constant_ns * 1e-9)
        self._dose = settings.beam_current_pa / ELECTRON_PC * scan.dwell_s * scan.passes * settings.efficiency
        self._converter = Converter(settings.black_dn, settings.white_yield)
        field_um2 = scan.rows * scan.columns * pixel_um**2
        build_s = settings.charging_dose_pc_per_um2 * field_um2 / settings.beam_current_pa
        self._charge = Charge(scan.line_s, build_s, settings.charging_decay_s, math.sqrt(field_um2))
        self._shade = settings.charging_shade * shade((scan.rows, scan.columns), chance.seed)
        self._push_um = settings.charging_shift_nm / NM_PER_UM * push(chance.seed)
        self._lock = threading.Lock()
        self._pixels: Grey = np.zeros((scan.rows, scan.columns), dtype=np.uint8)
        self._next_line = 0

    def screen(self, time_s: float) -> Screen:
        """Write the lines that are finished since the last look, and show all."""
        with self._lock:
            complete = max(self.scan.lines_complete(time_s), self._next_line)
            first = max(self._next_line, complete - self.scan.rows)
            if first < complete:
                lines = np.arange(first, complete)
                self._pixels[lines % self.scan.rows] = self._written(lines)
                self._next_line = complete
            frame, line = divmod(complete, self.scan.rows)
            return Screen(self._pixels.copy(), frame, line)

    def _written(self, lines: NDArray[np.int64]) -> Grey:
        """Scan lines by their running numbers; returns (lines, columns)."""
        starts_s = self.scan.pass_starts_s(lines, 0)
        positions_um = self._stage(starts_s)[:, :2]
        charge = self._charge.under_beam(starts_s, positions_um)
        chances = [
            self._chance.of_line(int(line), self.scan.rows, position_um)
            for line, position_um in zip(lines, positions_um, strict=True)
        ]
        jitter_px = np.array([random.normal(0.0, 1.0, self.scan.passes) for random in chances])
        jitter_px *= self._settings.line_jitter_px
        seen = self._seen(lines, 0, charge, jitter_px[:, 0])
        for number in range(1, self.scan.passes):
            seen += self._seen(lines, number, charge, jitter_px[:, number])
        seen /= self.scan.passes
        counted = np.stack([quanta(line, self._dose, random) for line, random in zip(seen, chances, strict=True)])
        shaded = 1 + charge[:, None].astype(np.float32) * self._shade[lines % self.scan.rows]
        return self._converter.grey(smeared(counted, self._lag) * shaded)

    def _seen(
        self, lines: NDArray[np.int64], number: int, charge: NDArray[np.float64], jitter_px: NDArray[np.float64]
    ) -> Image:
        """Look at the yields where the beam is in one pass over each line, (lines, columns)."""
        scan = self.scan
        starts_s = scan.pass_starts_s(lines, number)
        begin_um = self._stage(starts_s)[:, :2]
        end_um = self._stage(starts_s + scan.active_s)[:, :2]
        origin_px = (begin_um + charge[:, None] * self._push_um) / self._specimen_um
        origin_px[:, 0] += (jitter_px - (scan.columns - 1) / 2) * self._step_px
        origin_px[:, 1] += (lines % scan.rows - (scan.rows - 1) / 2) * self._step_px
        pace_px = (end_um - begin_um) / self._specimen_um / scan.columns + np.array([self._step_px, 0.0])
        columns = np.arange(scan.columns)
        x_px, y_px = (origin_px[:, axis, None] + pace_px[:, axis, None] * columns for axis in (0, 1))
        return self._yields.sample(x_px, y_px)
