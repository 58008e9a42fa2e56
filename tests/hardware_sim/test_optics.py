"""The microscope in white light: where it looks, how sharp it is, and how it is refocused."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hardware_sim.canvas import Image
from hardware_sim.clock import ManualClock
from hardware_sim.errors import UsageError
from hardware_sim.optics import Microscope
from hardware_sim.point_spread import FWHM_PER_SIGMA
from hardware_sim.settings import CameraSettings, OpticsSettings, load_world
from hardware_sim.specimen import Specimen, load_specimen
from hardware_sim.surface import Surface
from hardware_sim.world import World

AIRY = OpticsSettings(point_spread="airy")
IN_FOCUS_UM = 50_000.0


def spot(pixel_um: float = 0.02) -> Specimen:
    """A bright Gaussian spot at (20, 16) pixels on grey."""
    y_px, x_px = np.mgrid[0:40, 0:48].astype(np.float32)
    reflectance = (0.2 + 0.6 * np.exp(-((x_px - 20) ** 2 + (y_px - 16) ** 2) / 18)).astype(np.float32)
    return Specimen("spot", pixel_um, reflectance, np.zeros((10, 12), dtype=np.float32))


def edge(pixel_um: float, side: int = 1000) -> Specimen:
    """Dark on the left, bright on the right of the middle."""
    reflectance = np.zeros((side, side), dtype=np.float32)
    reflectance[:, side // 2 :] = 1.0
    return Specimen("edge", pixel_um, reflectance, np.zeros((side // 4, side // 4), dtype=np.float32))


def texture(side: int = 600) -> Specimen:
    noise = np.random.default_rng(0).random((side, side), dtype=np.float32)
    return Specimen("texture", 0.02, noise, np.zeros((side // 4, side // 4), dtype=np.float32))


def centre_of(image: np.ndarray) -> tuple[float, float]:
    """Centre of what is brighter than grey (row, column)."""
    weight = np.clip(image - 0.22, 0, None)
    rows, columns = np.indices(image.shape)
    return float((rows * weight).sum() / weight.sum()), float((columns * weight).sum() / weight.sum())


def spread_px(image: Image) -> float:
    """Standard deviation of the line spread of an upright edge in the middle, in pixels."""
    line = np.clip(np.diff(image.mean(axis=0).astype(float)), 0, None)
    at = np.arange(line.size)
    centre = (at * line).sum() / line.sum()
    return float(np.sqrt(((at - centre) ** 2 * line).sum() / line.sum()))


@pytest.mark.parametrize(("dx_px", "dy_px"), [(0.0, 0.0), (0.25, -0.4), (-3.6, 2.5)])
def test_the_frame_centre_sees_the_point_below_it(dx_px: float, dy_px: float) -> None:
    microscope = Microscope(spot(), CameraSettings(frame_shape_px=(32, 34)))
    image = microscope.render((20 + dx_px) * 0.02, (16 + dy_px) * 0.02)
    # away from the specimen's edges the spot is all there is
    row, column = centre_of(image[4:-4, 4:-4])
    assert row + 4 == pytest.approx(15.5 - dy_px, abs=0.02)
    assert column + 4 == pytest.approx(16.5 - dx_px, abs=0.02)


def test_a_step_of_a_part_of_a_pixel_is_seen_to_a_hundredth() -> None:
    microscope = Microscope(texture(), CameraSettings(frame_shape_px=(256, 256)))
    at_rest = microscope.render(6.0, 6.0).astype(float)
    slope = np.gradient(at_rest, axis=1)[8:-8, 8:-8]
    errors_px = []
    for step_px in np.linspace(-0.25, 0.25, 7):
        # both ways at once, so that what is even in the step drops out
        there, back = (microscope.render(6.0 + sign * step_px * 0.02, 6.0) for sign in (0.5, -0.5))
        difference = (there.astype(float) - back)[8:-8, 8:-8]
        errors_px.append((difference * slope).sum() / (slope**2).sum() - step_px * derivative_gain(at_rest, slope))
    assert np.sqrt(np.mean(np.square(errors_px))) < 0.01


def derivative_gain(image: np.ndarray, slope: np.ndarray) -> float:
    """By how much the central difference underrates the true slope of this image, along x."""
    frequency = 2 * np.pi * np.fft.fftfreq(image.shape[1])
    true = np.fft.ifft(np.fft.fft(image, axis=1) * 1j * frequency, axis=1).real[8:-8, 8:-8]
    return float((true * slope).sum() / (slope**2).sum())


@pytest.mark.parametrize("optics", [OpticsSettings(), AIRY])
@pytest.mark.parametrize("defocus_um", [0.5, 4.0, 30.0])
def test_what_is_out_of_focus_stays_where_it_is(optics: OpticsSettings, defocus_um: float) -> None:
    y_px, x_px = np.mgrid[0:1000, 0:1000].astype(np.float32)
    blob = np.exp(-((x_px - 500) ** 2 + (y_px - 500) ** 2) / 800).astype(np.float32)
    specimen = Specimen("blob", 0.02, blob, np.zeros((250, 250), dtype=np.float32))
    microscope = Microscope(specimen, CameraSettings(frame_shape_px=(401, 403)), optics)
    image = microscope.render(10.0, 10.0, defocus_um).astype(float)
    rows, columns = np.indices(image.shape)
    assert (image * rows).sum() / image.sum() == pytest.approx(200.0, abs=0.05)
    assert (image * columns).sum() / image.sum() == pytest.approx(201.0, abs=0.05)


@pytest.mark.parametrize("camera_nm", [10.0, 30.0])
def test_other_camera_pixels_see_the_same_place(camera_nm: float) -> None:
    microscope = Microscope(spot(), CameraSettings(frame_shape_px=(17, 17), pixel_nm=camera_nm, psf_fwhm_px=0.5))
    image = microscope.render(20.3 * 0.02, 15.8 * 0.02)
    weight = image - image.min()
    peak_row, peak_column = np.unravel_index(weight.argmax(), weight.shape)
    scale = camera_nm / 20.0
    assert peak_row == pytest.approx(8 + 0.2 / scale, abs=0.51)
    assert peak_column == pytest.approx(8 - 0.3 / scale, abs=0.51)


@pytest.mark.parametrize("world", ["lab", "superlens"])
def test_a_full_frame_of_a_small_specimen_is_filled_with_its_mean(world: str) -> None:
    specimen, settings = spot(), load_world(world)
    camera = settings.camera.model_copy(update={"frame_shape_px": (2160, 2560)})
    image = Microscope(specimen, camera, settings.optics).render(0.4, 0.3)
    dimmed = settings.optics.microsphere.background if world == "superlens" else 1.0
    assert image.shape == (2160, 2560)
    assert image[0, 0] == pytest.approx(specimen.reflectance.mean() * dimmed, rel=1e-3)


def test_outside_the_specimen_all_is_mean_grey() -> None:
    specimen = spot()
    microscope = Microscope(specimen, CameraSettings(frame_shape_px=(32, 32)))
    for defocus_um in (0.0, 5.0):
        image = microscope.render(90.0, 90.0, defocus_um)
        assert image == pytest.approx(np.full((32, 32), specimen.reflectance.mean()), rel=1e-5)


def test_a_camera_too_fine_for_the_specimen_is_refused() -> None:
    with pytest.raises(UsageError, match=r"camera\.pixel_nm: 1 is too fine"):
        Microscope(load_specimen("chip", 50.0, seed=1), CameraSettings(pixel_nm=1.0))


@pytest.mark.parametrize("defocus_um", [0.0, 0.91, -0.91, 5.0])
def test_a_fixed_point_spread_has_the_depth_of_field_of_its_objective(defocus_um: float) -> None:
    microscope = Microscope(edge(0.02), CameraSettings(frame_shape_px=(64, 256)))
    fwhm_px = spread_px(microscope.render(10.0, 10.0, defocus_um)) * FWHM_PER_SIGMA
    # two pixels, times sqrt(2) at the ends of 1.82 um; the edge itself is a pixel's step
    assert fwhm_px == pytest.approx(2.0 * np.hypot(1, 2 * defocus_um / 1.818), rel=0.06)


@pytest.mark.parametrize("world", ["lab", "superlens", "diffraction"])
def test_a_drive_that_went_home_leaves_nothing_to_see(world: str) -> None:
    settings = load_world(world)
    microscope = Microscope(load_specimen("chip", 50.0, seed=1), settings.camera, settings.optics)
    middle = tuple(slice(side // 2 - 20, side // 2 + 20) for side in settings.camera.frame_shape_px)
    sharp, gone = (
        np.abs((microscope.render(50.0, 50.0, defocus_um) - microscope.render(60.0, 55.0, defocus_um))[middle]).max()
        for defocus_um in (0.0, -50_000.0)
    )
    assert gone < 0.02 * sharp


def test_far_out_of_focus_the_blur_is_the_cone_of_light() -> None:
    camera = CameraSettings(frame_shape_px=(64, 512), pixel_nm=130.0)
    microscope = Microscope(edge(0.13), camera, AIRY)
    image = microscope.render(65.0, 65.0, 15.0)
    # a disc of radius R = 15 um * 0.55 (the paraxial cone) spreads a line by R / 2
    assert spread_px(image) * 0.13 == pytest.approx(15.0 * 0.55 / 2, rel=0.1)


def star_contrast(microscope: Microscope, period_um: float, defocus_um: float = 0.0) -> float:
    """Contrast of the 36 spokes where they are so far apart, as seen in the middle of the star."""
    image = microscope.render(50.0, 50.0, defocus_um)
    angle = np.linspace(0, 2 * np.pi, 3600, endpoint=False)
    radius_px = 36 * period_um / (2 * np.pi) / microscope.pixel_um
    middle = (image.shape[0] - 1) / 2
    x_px, y_px = (middle + radius_px * function(angle) for function in (np.cos, np.sin))
    ring = cv2.remap(image, x_px.astype(np.float32)[None], y_px.astype(np.float32)[None], cv2.INTER_CUBIC)[0]
    waves = np.abs(np.fft.rfft(ring)[36]) * 2 / ring.size
    return float(waves / ring.mean())


def test_the_spokes_of_a_star_vanish_at_the_abbe_limit() -> None:
    star = load_specimen("siemens", 50.0, seed=0)
    microscope = Microscope(star, CameraSettings(pixel_nm=50.0, frame_shape_px=(512, 512)), AIRY)
    limit_um = 0.55 / (2 * 0.55)
    coarse = star_contrast(microscope, 4 * limit_um)
    assert star_contrast(microscope, 1.2 * limit_um) > 0.05 * coarse
    assert star_contrast(microscope, 0.95 * limit_um) < 0.01 * coarse
    # a round pupil passes 0.391 half-way to its cut-off, and 0.685 at a quarter of it
    assert star_contrast(microscope, 2 * limit_um) / coarse == pytest.approx(0.391 / 0.685, rel=0.05)


def test_the_scanner_lifts_the_specimen_out_of_focus_and_the_drive_brings_it_back() -> None:
    world = World(load_world("still"), texture(), ManualClock(), seed=0)
    microscope = world.microscope
    for z_um in (0.0, 5.0, 10.0):
        stage_um = np.array([6.0, 6.0, z_um])
        assert microscope.defocus_um(IN_FOCUS_UM, stage_um) == pytest.approx(-z_um, abs=1e-6)
        assert microscope.defocus_um(IN_FOCUS_UM + z_um, stage_um) == pytest.approx(0.0, abs=1e-6)
    sharp, lifted = (world.view(np.array([6.0, 6.0, z_um]), world.outlook(0.0)).std() for z_um in (0.0, 3.0))
    assert lifted < 0.6 * sharp


def test_a_tilted_specimen_goes_out_of_focus_along_its_slope() -> None:
    specimen = texture()
    surface = Surface(specimen, (10.0, 0.0))
    microscope = Microscope(specimen, CameraSettings(frame_shape_px=(64, 64)), None, surface)
    low, high = (microscope.defocus_um(IN_FOCUS_UM, np.array([x_um, 6.0, 0.0])) for x_um in (0.0, 12.0))
    assert low - high == pytest.approx(0.12, abs=1e-6)  # 10 um a mm


def test_a_high_part_of_the_specimen_is_focused_higher_up() -> None:
    flat = texture()
    height_um = np.zeros((150, 150), dtype=np.float32)
    height_um[:, 75:] = 2.0
    microscope = Microscope(
        Specimen("step", 0.02, flat.reflectance, height_um), CameraSettings(frame_shape_px=(64, 64))
    )
    low, high = (microscope.defocus_um(IN_FOCUS_UM, np.array([x_um, 6.0, 0.0])) for x_um in (2.0, 10.0))
    assert low - high == pytest.approx(2.0, abs=0.01)


def test_a_world_file_may_change_the_optics(world_file: Callable[[str], str]) -> None:
    sphere = load_world(world_file('base = "superlens"\n[optics.microsphere]\nmagnification = 4.0\n'))
    assert Microscope(spot(), sphere.camera, sphere.optics).pixel_um == pytest.approx(6.5 / 200)
    with pytest.raises(UsageError, match=r"optics\.kind = 'telescope'"):
        load_world(world_file('[optics]\nkind = "telescope"\n'))
