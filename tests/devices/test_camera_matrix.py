"""What is read off the matrix that leads from the camera's pixels to the stage."""

import math

import pytest

from devices.camera_matrix import Matrix, applied, inverse, is_usable, pixel_size_um, rotation_deg, shear_deg
from devices.rig_file import RigFileError, RigSettings

RIG = """
name = "bench"
[calibration]
pixel_size_um = 0.02
frame_shape_px = [512, 640]
{more}
[devices.scanner]
driver = "pi_gcs"
host = "127.0.0.1"
axes = {{ x = "1", y = "2" }}
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
"""


def turned(pixel_um: float, towards_x_deg: float, towards_y_deg: float, mirrored: bool = False) -> Matrix:
    """Rows point along the first angle from the stage's x, columns along the second from its y."""
    x, y = math.radians(towards_x_deg), math.radians(towards_y_deg)
    side = pixel_um / math.sqrt(math.cos(x - y))
    a, c, b, d = side * math.cos(x), side * math.sin(x), -side * math.sin(y), side * math.cos(y)
    return ((a, -b), (c, -d)) if mirrored else ((a, b), (c, d))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [-179.0, -90.0, -2.0, 0.0, 0.7, 135.0])
@pytest.mark.parametrize("shear", [-1.0, 0.0, 0.5])
def test_size_rotation_and_shear_come_out_as_they_went_in(rotation: float, shear: float, mirrored: bool) -> None:
    matrix = turned(0.0217, rotation + shear / 2, rotation - shear / 2, mirrored)
    assert pixel_size_um(matrix) == pytest.approx(0.0217)
    assert rotation_deg(matrix) == pytest.approx(rotation)
    assert shear_deg(matrix) == pytest.approx(shear)


def test_the_inverse_leads_back() -> None:
    matrix = turned(0.02, 12.0, 9.0)
    assert applied(inverse(matrix), *applied(matrix, 3.0, -7.0)) == pytest.approx((3.0, -7.0))


def test_rows_and_columns_along_one_direction_are_no_matrix() -> None:
    assert not is_usable(((0.02, 0.02), (0.01, 0.0101)))
    assert not is_usable(((0.0, 0.0), (0.0, 0.02)))


def test_without_a_matrix_the_camera_is_upright() -> None:
    calibration = RigSettings.from_toml(RIG.format(more="")).calibration
    assert calibration.matrix_um == ((0.02, 0.0), (0.0, 0.02))
    assert (calibration.rotation_deg, calibration.shear_deg) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("matrix", "line"),
    [
        ("[[0.021, 0.0], [0.0, 0.021]]", "pixel_size_um = 0.02: camera_to_stage_um implies 0.021"),
        ("[[0.02, 0.02], [0.0, 0.001]]", "calibration.camera_to_stage_um = [[0.02, 0.02], [0.0, 0.001]]: the dir"),
    ],
)
def test_a_matrix_that_makes_no_sense_is_refused(matrix: str, line: str) -> None:
    with pytest.raises(RigFileError) as wrong:
        RigSettings.from_toml(RIG.format(more=f"camera_to_stage_um = {matrix}"))
    assert line in str(wrong.value)
