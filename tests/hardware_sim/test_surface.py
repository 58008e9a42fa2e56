"""The specimen as it lies on the stage."""

import numpy as np
import pytest

from hardware_sim.settings import NAMED
from hardware_sim.specimen import load_specimen
from hardware_sim.surface import Surface


def test_a_tilted_specimen_rises_along_the_axes_of_the_stage() -> None:
    specimen = load_specimen("chip", 100.0, seed=1)
    level, tilted = Surface(specimen), Surface(specimen, (0.5, -0.3))
    for x_um, y_um in ((0.0, 0.0), (50.0, 50.0), (100.0, 0.0), (12.0, 87.0)):
        rise_um = tilted.height_um(x_um, y_um) - level.height_um(x_um, y_um)
        assert rise_um == pytest.approx(0.0005 * (x_um - 50.0) - 0.0003 * (y_um - 50.0))
        assert level.height_um(x_um, y_um) == specimen.height_um(x_um, y_um)


def test_the_laboratory_is_tilted_and_the_still_world_is_level() -> None:
    x_mrad, y_mrad = NAMED["lab"].specimen_tilt_mrad
    across_um = 100.0 * 0.001 * np.hypot(x_mrad, y_mrad)
    assert 0.01 < across_um < 0.5  # more than the noise, far less than the 10 um of travel that must follow it
    assert NAMED["still"].specimen_tilt_mrad == (0.0, 0.0)
