"""The denoiser in the box: it loads, it is small, and it is worth having."""

import cv2
import numpy as np
import pytest

from hardware_sim.alloy import draw_alloy
from hardware_sim.chip import draw_chip
from reconstruction.analysis.phase_fraction import fraction_error_pp, otsu_dark
from reconstruction.fei_tiff import read_fei
from reconstruction.metrics.psnr import psnr_db
from reconstruction.model_card import BOX, WEIGHTS
from reconstruction.restore import Restorer, restorer
from reconstruction.training.held_out import Frame, tuned
from reconstruction.training.low_definition import Recording, record
from reconstruction.training.pairs import registered
from reconstruction.training.recipe import Recipe, load_recipe
from reconstruction.weights import load
from tests.reconstruction.scenes import DATA

NAME = "sem_denoise"
LEAST_GAIN_DB = 5.0
RANGE = 255.0  # frames are of 8 bits here
LEAST_LEAD_DB = 0.5  # over the best classical denoiser, tuned on the very frame
POINT_SPREAD_PX = 0.85  # standard deviation; of the twin's camera: detail below it looks like noise to the network


@pytest.fixture(scope="module")
def box() -> Restorer:
    return restorer(NAME, "cpu")


def frame_of(kind: str, quanta: float, seed: int) -> Frame:
    """A specimen of the twin that no training has seen, as its camera sees it, recorded with shot noise alone."""
    draw, pixel_um = {"alloy": (draw_alloy, 0.08), "chip": (draw_chip, 0.04)}[kind]
    random = np.random.default_rng(seed)
    scene, _ = draw((256, 256), pixel_um, random)
    seen = np.asarray(cv2.GaussianBlur(scene, (0, 0), POINT_SPREAD_PX), np.float32)
    return record(seen, Recording(quanta, 0.0, 0.0, 0.0, 0.0, black=10.0, white=245.0), random)


def gain_and_lead_db(box: Restorer, frame: Frame) -> tuple[float, float]:
    """What it gains over the frame, and over the best classical denoiser."""
    low, truth = frame
    made = psnr_db(truth, box.restore(low), RANGE)
    best = max(psnr_db(truth, classical(low), RANGE) for classical in tuned([frame]).values())
    return made - psnr_db(truth, low, RANGE), made - best


@pytest.mark.parametrize("quanta", [30, 100])
def test_it_beats_classical_denoisers_on_a_fresh_eutectic(box: Restorer, quanta: float) -> None:
    gain, lead = gain_and_lead_db(box, frame_of("alloy", quanta, 4711))
    assert gain > LEAST_GAIN_DB
    assert lead > LEAST_LEAD_DB


def test_the_share_of_the_dark_phase_comes_out_right(box: Restorer) -> None:
    low, truth = frame_of("alloy", 100, 4711)
    errors = [fraction_error_pp(otsu_dark(truth), otsu_dark(image)) for image in (low, box.restore(low))]
    assert errors[1] < errors[0]


def test_it_is_small_and_says_what_it_is() -> None:
    network, card = load(NAME)
    assert (BOX / NAME / WEIGHTS).stat().st_size <= 5_000_000
    assert (network.scale, network.out_channels) == (1, 1)
    assert card.licence
    assert Recipe.model_validate(card.training["recipe"]) == load_recipe(NAME)[0]
    assert card.metrics["held_out"]


@pytest.mark.skipif(not DATA.is_dir(), reason="no folder of real recordings beside the repository")
@pytest.mark.parametrize(("fast", "slow"), [("Line_off", "Line_50x"), ("100ns", "30us")])
def test_it_beats_non_local_means_on_a_real_microscope_that_it_never_saw(box: Restorer, fast: str, slow: str) -> None:
    """Non-local means as anybody would use it here; tuned against the slow frame, it comes as close as 0.1 dB."""
    low, high = (read_fei(DATA / "sem_noise_pairs" / f"{name}_021.tif").pixels for name in (fast, slow))
    pair = registered(low, high, fast)
    made, nlm, before = (
        psnr_db(pair.high, image, RANGE)
        for image in (box.restore(pair.low), restorer("nlm").restore(pair.low), pair.low)
    )
    assert made > before + LEAST_GAIN_DB
    assert made > nlm + LEAST_LEAD_DB


@pytest.mark.parametrize("quanta", [2_000, 10_000])
def test_it_leaves_well_lit_frames_alone(box: Restorer, quanta: float) -> None:
    """Little is to be gained there, and nothing to be lost."""
    low, truth = frame_of("chip", quanta, 1)
    assert psnr_db(truth, box.restore(low), RANGE) > psnr_db(truth, low, RANGE)
