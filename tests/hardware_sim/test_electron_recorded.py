"""The electron microscope beside recorded frames: the same field, dwell, flyback and passes."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.twin_vs_sem import Noise, fitted_current_pa, measure, read, scanned

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "sem_noise_pairs"  # beside the repository

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded SEM pairs are not here")


@pytest.fixture(scope="module")
def noises() -> tuple[Noise, Noise]:
    """Noise of a recorded pair and of its twin; the current is fitted to another pair."""
    fit = measure(read(RECORDED, "Line_off_003"), read(RECORDED, "Line_50x_003"))
    slow = read(RECORDED, "Line_50x_021")
    frames = scanned(slow, fitted_current_pa(fit.slope), 1)
    return measure(read(RECORDED, "Line_off_021"), slow), measure(frames["fast"], frames["passes"])


def test_noise_is_as_strong_and_grows_with_the_signal_as_recorded(noises: tuple[Noise, Noise]) -> None:
    real, twin = noises
    assert twin.slope == pytest.approx(real.slope, rel=0.1)  # single levels scatter by as much
    assert twin.psnr_db == pytest.approx(real.psnr_db, abs=0.5)  # 0.2 dB apart; the slow frame's own noise is in both


def test_grey_levels_are_distributed_as_recorded(noises: tuple[Noise, Noise]) -> None:
    real, twin = noises
    assert np.abs(np.array(twin.histogram) - np.array(real.histogram)).sum() / 2 < 0.04  # share of pixels elsewhere


def test_noise_is_alike_along_the_line_and_white_across_as_recorded(noises: tuple[Noise, Noise]) -> None:
    real, twin = noises
    assert np.abs(np.array(twin.alike_x) - np.array(real.alike_x)).max() < 0.05  # 0.03 apart: one pole is not quite it
    assert np.abs(np.array(twin.alike_y) - np.array(real.alike_y)).max() < 0.04  # the rest of the registration
    assert np.abs(np.array(twin.spectrum_x) - np.array(real.spectrum_x)).max() < 0.25  # a band is known to 3 %


def test_lines_jitter_no_more_than_recorded_ones(noises: tuple[Noise, Noise]) -> None:
    real, twin = noises
    assert twin.line_shift_px == pytest.approx(real.line_shift_px, abs=0.04)
