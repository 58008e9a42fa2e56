"""What there is to see: generated specimens, images, and the microscope above them."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware_sim.canvas import Box, Canvas
from hardware_sim.clock import ManualClock
from hardware_sim.errors import UsageError
from hardware_sim.optics import Microscope
from hardware_sim.settings import CameraSettings, load_world
from hardware_sim.specimen import Specimen, load_specimen
from hardware_sim.world import World


@pytest.fixture(scope="module")
def chip() -> Specimen:
    return load_specimen("chip", 50.0, seed=1)


def spot(pixel_um: float = 0.02) -> Specimen:
    """A bright Gaussian spot at (20, 16) pixels on grey."""
    y_px, x_px = np.mgrid[0:40, 0:48].astype(np.float32)
    reflectance = (0.2 + 0.6 * np.exp(-((x_px - 20) ** 2 + (y_px - 16) ** 2) / 18)).astype(np.float32)
    return Specimen("spot", pixel_um, reflectance, np.zeros((10, 12), dtype=np.float32))


def centre_of(image: np.ndarray) -> tuple[float, float]:
    """Centre of what is brighter than grey (row, column)."""
    weight = np.clip(image - 0.22, 0, None)
    rows, columns = np.indices(image.shape)
    return float((rows * weight).sum() / weight.sum()), float((columns * weight).sum() / weight.sum())


@pytest.mark.parametrize("name", ["chip", "alloy"])
def test_a_generated_specimen_covers_the_scanner_and_is_quickly_made(name: str) -> None:
    began_s = time.process_time()
    specimen = load_specimen(name, None, seed=2)
    assert time.process_time() - began_s < 6.0  # about 1.5 on an idle core; 3 is what was promised
    assert specimen.reflectance.shape == (5000, 5000)
    assert specimen.reflectance.dtype == np.float32
    assert specimen.reflectance.min() >= 0
    assert specimen.reflectance.max() <= 1


def test_the_seed_makes_the_specimen(chip: Specimen) -> None:
    assert np.array_equal(load_specimen("chip", 50.0, seed=1).reflectance, chip.reflectance)
    assert not np.array_equal(load_specimen("chip", 50.0, seed=2).reflectance, chip.reflectance)


@pytest.mark.parametrize("name", ["chip", "alloy"])
def test_no_field_of_ten_micrometres_is_blank_or_found_elsewhere(name: str) -> None:
    image = load_specimen(name, 50.0, seed=1).reflectance
    random = np.random.default_rng(0)
    for top, left in random.integers(0, 1800, (6, 2)):
        field = image[top : top + 200, left : left + 200]
        assert field.std() > 0.05
        match = cv2.matchTemplate(image, field, cv2.TM_CCOEFF_NORMED)
        assert np.unravel_index(match.argmax(), match.shape) == (top, left)
        match[max(top - 20, 0) : top + 21, max(left - 20, 0) : left + 21] = -1
        assert match.max() < 0.7


def test_metal_stands_proud(chip: Specimen) -> None:
    assert chip.coarse_height_um.max() == pytest.approx(0.3, abs=0.01)
    assert chip.coarse_height_um.min() == pytest.approx(0.0, abs=0.01)
    x_um, y_um = 4 * 0.05 * 31, 4 * 0.05 * 77
    assert chip.height_um(x_um, y_um) == pytest.approx(chip.coarse_height_um[77, 31])
    assert chip.height_um(-5.0, 500.0) == pytest.approx(chip.coarse_height_um[-1, 0])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_an_image_is_stretched_from_its_darkest_to_its_brightest(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ramp{suffix}"
    ramp = np.tile(np.linspace(50, 200, 64).astype(np.uint8), (48, 1))
    cv2.imwrite(str(path), ramp)
    specimen = load_specimen(str(path), 10.0, seed=0)
    assert specimen.pixel_um == pytest.approx(0.01)
    assert specimen.reflectance.shape == (48, 64)
    assert (specimen.reflectance.min(), specimen.reflectance.max()) == (0.0, 1.0)
    assert np.abs(specimen.reflectance - (ramp - 50) / 150.0).max() < 0.03  # JPEG is not exact


def test_sixteen_bits_and_colours_are_read(tmp_path: Path) -> None:
    deep, colour, flat = (str(tmp_path / name) for name in ("deep.tif", "colour.png", "flat.png"))
    cv2.imwrite(deep, np.arange(0, 64 * 64 * 10, 10, dtype=np.uint16).reshape(64, 64))
    cv2.imwrite(colour, np.dstack([np.eye(32, dtype=np.uint8) * 90] * 3))
    cv2.imwrite(flat, np.full((32, 32), 7, dtype=np.uint8))
    assert len(np.unique(load_specimen(deep, None, 0).reflectance)) == 4096
    assert np.array_equal(load_specimen(colour, None, 0).reflectance, np.eye(32))
    assert (load_specimen(flat, None, 0).reflectance == 0.5).all()


def test_an_edge_between_pixels_is_grey() -> None:
    canvas = Canvas((4, 4), 1.0, 0.0)
    canvas.rectangle(Box(0.75, 2.5, -0.5, 3.5), 1.0)
    assert canvas.grey == pytest.approx(np.tile([0.0, 0.75, 1.0, 0.0], (4, 1)))


@pytest.mark.parametrize(("dx_px", "dy_px"), [(0.0, 0.0), (0.25, -0.4), (-3.6, 2.5)])
def test_the_frame_centre_sees_the_point_below_it(dx_px: float, dy_px: float) -> None:
    microscope = Microscope(spot(), CameraSettings(frame_shape_px=(32, 34)))
    image = microscope.image((20 + dx_px) * 0.02, (16 + dy_px) * 0.02)
    # away from the specimen's edges the spot is all there is
    row, column = centre_of(image[4:-4, 4:-4])
    assert row + 4 == pytest.approx(15.5 - dy_px, abs=0.02)
    assert column + 4 == pytest.approx(16.5 - dx_px, abs=0.02)


@pytest.mark.parametrize("camera_nm", [10.0, 30.0])
def test_other_camera_pixels_see_the_same_place(camera_nm: float) -> None:
    microscope = Microscope(spot(), CameraSettings(frame_shape_px=(17, 17), pixel_nm=camera_nm, psf_fwhm_px=0.5))
    image = microscope.image(20.3 * 0.02, 15.8 * 0.02)
    weight = image - image.min()
    peak_row, peak_column = np.unravel_index(weight.argmax(), weight.shape)
    scale = camera_nm / 20.0
    assert peak_row == pytest.approx(8 + 0.2 / scale, abs=0.51)
    assert peak_column == pytest.approx(8 - 0.3 / scale, abs=0.51)


def test_outside_the_specimen_all_is_mean_grey() -> None:
    specimen = spot()
    microscope = Microscope(specimen, CameraSettings(frame_shape_px=(32, 32)))
    assert microscope.image(90.0, 90.0) == pytest.approx(np.full((32, 32), specimen.reflectance.mean()))


def test_a_full_well_clips() -> None:
    world = World(load_world("lab"), spot(), ManualClock(), seed=0)
    frame, _ = world.expose(2.0)
    assert frame.max() == round(30_000 / 0.46 + 100)


def test_a_frame_costs_little(chip: Specimen) -> None:
    world = World(load_world("lab"), chip, ManualClock(), seed=0)
    world.expose(0.02)
    began_s = time.process_time()
    for _ in range(10):
        world.expose(0.02)
    assert (time.process_time() - began_s) / 10 < 0.02  # 3 ms on an idle core


def test_a_camera_too_fine_for_the_specimen_is_refused(chip: Specimen) -> None:
    with pytest.raises(UsageError, match=r"camera\.pixel_nm: 1\.0 is too fine"):
        Microscope(chip, CameraSettings(pixel_nm=1.0))
