"""A camera that is turned on the microscope: the middle stays, all else goes around it as geometry says."""

import math

import numpy as np
import pytest

from hardware_sim.clock import ManualClock
from hardware_sim.optics import Microscope
from hardware_sim.settings import NAMED, CameraSettings
from hardware_sim.specimen import Specimen
from hardware_sim.world import World

PIXEL_UM = 0.02
SIDE_PX = 400
SPOTS_UM = [(4.0, 4.0), (5.6, 4.4), (3.1, 5.3), (2.9, 2.6)]
SPOT_SIGMA_PX = 3.0


def spots() -> Specimen:
    """Bright Gaussian spots on black."""
    y_px, x_px = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    reflectance = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    for x_um, y_um in SPOTS_UM:
        squared = (x_px - x_um / PIXEL_UM) ** 2 + (y_px - y_um / PIXEL_UM) ** 2
        reflectance += np.exp(-squared / (2 * SPOT_SIGMA_PX**2)).astype(np.float32)
    return Specimen("spots", PIXEL_UM, reflectance, np.zeros((SIDE_PX // 4, SIDE_PX // 4), np.float32))


def found_at(image: np.ndarray, near_px: np.ndarray) -> np.ndarray:
    """Centre of mass (x, y) of the spot around a place."""
    column, row = np.round(near_px).astype(int)
    window = image[row - 15 : row + 16, column - 15 : column + 16].astype(float)
    down, across = np.mgrid[-15:16, -15:16]
    return np.array([column + (window * across).sum() / window.sum(), row + (window * down).sum() / window.sum()])


def analytic_px(spot_um: tuple[float, float], rotation_deg: float, shear_deg: float) -> np.ndarray:
    """Where a spot lies from the middle of the frame, by trigonometry alone.

    Rows point along (cos, sin) of the rotation less half the shear from the right angle, columns likewise.
    """
    towards_x, towards_y = math.radians(rotation_deg + shear_deg / 2), math.radians(rotation_deg - shear_deg / 2)
    rows = np.array([math.cos(towards_x), math.sin(towards_x)])
    columns = np.array([-math.sin(towards_y), math.cos(towards_y)])
    axes = np.column_stack([rows, columns])
    axes /= math.sqrt(abs(np.linalg.det(axes)))
    return np.linalg.solve(axes, (np.array(spot_um) - SPOTS_UM[0]) / PIXEL_UM)


@pytest.mark.parametrize(
    ("rotation_deg", "shear_deg"), [(1.0, 0.0), (0.0, 0.5), (-2.0, 0.5), (37.0, -1.0), (180.0, 0.0)]
)
def test_a_turned_camera_sees_each_point_where_trigonometry_says(rotation_deg: float, shear_deg: float) -> None:
    settings = CameraSettings(frame_shape_px=(256, 300), rotation_deg=rotation_deg, shear_deg=shear_deg)
    image = Microscope(spots(), settings).render(*SPOTS_UM[0])
    for spot_um in SPOTS_UM:
        place_px = np.array([149.5, 127.5]) + analytic_px(spot_um, rotation_deg, shear_deg)
        # the warp rounds to 1/32 px and what a spot of seven pixels averages of that is far less
        assert found_at(image, place_px) == pytest.approx(place_px, abs=0.02)


def test_a_camera_that_is_not_turned_sees_what_it_always_saw() -> None:
    upright = Microscope(spots(), CameraSettings(frame_shape_px=(64, 96)))
    barely = Microscope(spots(), CameraSettings(frame_shape_px=(64, 96), rotation_deg=1e-9))
    # both of the same picture; the second by way of the warp
    assert barely.render(*SPOTS_UM[0]) == pytest.approx(upright.render(*SPOTS_UM[0]), abs=1e-3)


def test_a_moving_stage_smears_a_turned_picture_along_the_turned_way() -> None:
    settings = NAMED["still"].model_copy(update={"camera": CameraSettings(frame_shape_px=(64, 64), rotation_deg=90.0)})
    world = World(settings, spots(), ManualClock(), seed=1)
    world.scanner.move({0: 4.0, 1: 4.0})
    world.clock.sleep_until_s(1.0)
    begins_s, lasts_s = 1.1, 0.0201
    world.scanner.follow(0, begins_s, 1e-3, 4.0 + np.linspace(0.0, 1.0, 100))  # 10 nm a step along the stage's x
    world.clock.sleep_until_s(begins_s + 0.03)
    image, _ = world.expose(lasts_s)
    brightness = image.astype(float) - image.min()
    across, down = brightness.sum(axis=0), brightness.sum(axis=1)

    def width(profile: np.ndarray) -> float:
        at = np.arange(profile.size)
        weight = np.clip(profile - np.median(profile), 0, None)
        return float(np.sqrt(((at - (at * weight).sum() / weight.sum()) ** 2 * weight).sum() / weight.sum()))

    assert width(down) > 1.3 * width(across)  # the stage's x lies along the columns of this camera
