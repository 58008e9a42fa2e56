"""The surface of the specimen as it lies on the stage: its own heights, on a table that is not quite level."""

from dataclasses import dataclass

from hardware_sim.specimen import Specimen

TRAVEL_CENTRE_UM = (50.0, 50.0)
"""(x, y): the tilted plane passes through zero here."""
UM_PER_UM_MRAD = 0.001


@dataclass(frozen=True)
class Surface:
    """A specimen that rises by `tilt_mrad` (x, y) along the axes of the stage."""

    specimen: Specimen
    tilt_mrad: tuple[float, float] = (0.0, 0.0)

    def height_um(self, x_um: float, y_um: float) -> float:
        """Height above the level stage at a point (x, y) of the specimen."""
        return self.specimen.height_um(x_um, y_um) + self.tilt_um(x_um, y_um)

    def tilt_um(self, x_um: float, y_um: float) -> float:
        """Height of the tilted plane alone at a point (x, y)."""
        x0_um, y0_um = TRAVEL_CENTRE_UM
        return UM_PER_UM_MRAD * (self.tilt_mrad[0] * (x_um - x0_um) + self.tilt_mrad[1] * (y_um - y0_um))
