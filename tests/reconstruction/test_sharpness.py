"""The focus score against the twin's optics: it falls with defocus and minds neither noise nor brightness."""

from itertools import pairwise

import numpy as np
import pytest

from hardware_sim.optics import Microscope
from hardware_sim.sensor import Region, Sensor
from hardware_sim.settings import CameraSettings, OpticsSettings
from hardware_sim.specimen import load_specimen
from reconstruction.sharpness import sampled_sharpness, sharpness, sharpness_part
from tests.reconstruction.scenes import texture

SHAPE = (256, 256)
DEFOCUS_UM = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
NOISE = 0.03
"""Of the score of a quarter of a camera's frame at 20 ms; four standard deviations at most."""


def frame(
    name: str, optics: OpticsSettings, pixel_nm: float, defocus_um: float, exposure_s: float = 0.02
) -> np.ndarray:
    camera = CameraSettings(frame_shape_px=SHAPE, pixel_nm=pixel_nm)
    seen = microscope(name, optics, camera).render(50.0, 50.0, defocus_um)
    random = np.random.default_rng(round(defocus_um * 10))
    return Sensor(camera, 0).read(seen, Region(0, 0, SHAPE[1], SHAPE[0]), exposure_s, random)


def microscope(name: str, optics: OpticsSettings, camera: CameraSettings) -> Microscope:
    key = name, optics.point_spread, camera.pixel_nm
    if key not in MICROSCOPES:
        MICROSCOPES[key] = Microscope(load_specimen(name, 40.0, 0), camera, optics)
    return MICROSCOPES[key]


MICROSCOPES: dict[tuple[str, str, float | None], Microscope] = {}


@pytest.mark.parametrize("name", ["chip", "alloy", "siemens"])
@pytest.mark.parametrize(("spread", "pixel_nm"), [("camera", 40.0), ("airy", 130.0)])
def test_the_score_falls_with_every_step_out_of_focus(name: str, spread: str, pixel_nm: float) -> None:
    optics = OpticsSettings(point_spread=spread)
    scores = [sharpness(frame(name, optics, pixel_nm, defocus_um)) for defocus_um in DEFOCUS_UM]
    assert all(nearer > farther for nearer, farther in pairwise(scores)), scores
    assert scores[-1] < 0.7 * scores[0]


def test_a_quick_score_falls_with_every_step_out_of_focus_too() -> None:
    scores = [sampled_sharpness(frame("chip", OpticsSettings(), 40.0, defocus_um)) for defocus_um in DEFOCUS_UM]
    assert all(nearer > farther for nearer, farther in pairwise(scores)), scores


def test_a_quick_score_is_that_of_the_whole_image_where_all_of_it_is_alike() -> None:
    scene = 1000.0 * texture("grains", (1500, 1800), seed=3)
    assert sampled_sharpness(scene) == pytest.approx(sharpness(scene), rel=0.1)  # chance of 4 * 128 * 128 px


def test_the_score_minds_neither_light_nor_noise() -> None:
    at_20_ms = frame("chip", OpticsSettings(), 40.0, 0.0)
    at_100_ms = frame("chip", OpticsSettings(), 40.0, 0.0, exposure_s=0.1)
    dark_dn = CameraSettings().offset_dn
    ratio = sharpness(at_20_ms - dark_dn) / sharpness(at_100_ms - dark_dn)
    assert ratio == pytest.approx(1.0, abs=NOISE)


def test_a_frame_of_nothing_but_noise_scores_nothing() -> None:
    noise = np.random.default_rng(0).poisson(300.0, (512, 512)).astype(np.uint16)
    assert sharpness(noise) == 0.0


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint16), np.full((24, 32), 7, np.uint16), np.ones((8, 8))])
def test_an_empty_or_tiny_image_scores_nothing(image: np.ndarray) -> None:
    assert sharpness(image) == 0.0


def test_a_wave_scores_its_slope() -> None:
    wave = 100.0 + 20.0 * np.sin(2 * np.pi * 0.1 * np.arange(512))
    image = np.tile(wave, (400, 1))
    slope = 2 * np.pi * 0.1 * 20.0 / np.sqrt(2) / 100.0
    # the taper weighs some parts of the wave more than others
    assert sharpness(image) == pytest.approx(slope, rel=0.02)


def test_all_parts_of_a_large_frame_count() -> None:
    frame_dn = np.random.default_rng(0).poisson(300.0, (1024, 1280)).astype(np.uint16)
    assert sharpness(frame_dn) == 0.0
    stripes = (100 * (np.arange(300) // 4 % 2)).astype(np.uint16)
    for top, left in [(0, 0), (0, 980), (724, 0), (724, 980), (362, 490)]:
        in_part = frame_dn.copy()
        in_part[top : top + 300, left : left + 300] += stripes
        assert sharpness(in_part) > 0.0


def test_of_two_images_of_the_same_tells_how_much_sharper_one_is_and_how_sure_that_is() -> None:
    sharp, as_sharp, soft = (frame("chip", OpticsSettings(), 40.0, defocus_um) for defocus_um in (0.0, 0.1, 3.0))
    part, most = sharpness_part(soft, sharp)
    assert part == pytest.approx(sharpness(soft) / sharpness(sharp), abs=0.05)  # soft rings count with their noise
    assert part < most < 1.2 * part
    same, at_most = sharpness_part(as_sharp, sharp)
    assert same == pytest.approx(1.0, abs=2 * NOISE)
    assert same < at_most < 1.2


def test_noise_alone_leaves_open_what_is_sharper() -> None:
    random = np.random.default_rng(3)
    first, second = (random.poisson(150, SHAPE).astype(np.uint16) for _ in range(2))
    assert sharpness_part(first, second) == (0.0, np.inf)
