"""When the beam is where: lines, passes and frames of a scan."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_sim.settings import CycleSettings

FLYBACK_S, FLYBACK_SHARE = 15.6e-6, 0.05
"""Return of the beam: at least so long, at least such a part of a pass. FEI Helios: 66.8 us for 512 pixels of 100 ns,
16.17 ms for 512 pixels of 30 us (the metadata of recorded frames)."""


@dataclass(frozen=True)
class Scan:
    """Frame after frame from world time 0 on; lines are counted on and on, `rows` of them to a frame."""

    rows: int
    columns: int
    frame_s: float
    passes: int

    @classmethod
    def of(cls, shape_px: tuple[int, int], cycle: CycleSettings) -> "Scan":
        """Scan a frame of (rows, columns) in the time of a cycle.

        Raises:
            ValueError: the flyback alone would take longer.
        """
        scan = cls(*shape_px, cycle.frame_s, cycle.passes)
        if scan.active_s <= 0:
            raise ValueError(
                f"frame_s: {cycle.frame_s} s are too short for {shape_px[0]} lines of {cycle.passes} passes"
            )
        return scan

    @property
    def line_s(self) -> float:
        """From the start of a line to the start of the next."""
        return self.frame_s / self.rows

    @property
    def pass_s(self) -> float:
        """One of the passes that are averaged to a line, with its flyback."""
        return self.line_s / self.passes

    @property
    def active_s(self) -> float:
        """Part of a pass in which the beam writes."""
        return self.pass_s - max(FLYBACK_S, FLYBACK_SHARE * self.pass_s)

    @property
    def dwell_s(self) -> float:
        """On one pixel in one pass."""
        return self.active_s / self.columns

    def lines_complete(self, time_s: float) -> int:
        """Count the lines that are finished at a world time."""
        return max(int(time_s / self.line_s + 1e-9), 0)

    def pass_starts_s(self, lines: NDArray[np.int64], number: int) -> NDArray[np.float64]:
        """World times at which pass `number` of each line begins."""
        return np.asarray(lines * self.line_s + number * self.pass_s, dtype=np.float64)
