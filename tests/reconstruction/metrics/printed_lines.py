"""Lines with roughness made to order, as an electron microscope shows them (Thorsos 1988: filtered white noise)."""

import numpy as np
from scipy.special import erf

from reconstruction.metrics.roughness import RoughnessModel


def rough_edges(count: int, rows: int, step_nm: float, model: RoughnessModel, seed: int) -> np.ndarray:
    """Deviations (count, rows) in nm whose expected spectrum is that of the model."""
    rng = np.random.default_rng(seed)
    long = 4 * rows  # cut out of a longer one, for no real edge is periodic
    spectrum = model.psd_nm3(np.abs(np.fft.fftfreq(long, step_nm)))
    noise = np.fft.fft(rng.normal(0, 1, (count, long)), axis=1)
    return np.asarray(np.fft.ifft(noise * np.sqrt(spectrum / step_nm), axis=1).real[:, :rows])


def picture(left_px: np.ndarray, right_px: np.ndarray, columns: int, blur_px: float = 1.5) -> np.ndarray:
    """Bright lines (y, x) of 0.2 to 0.8 whose edges (lines, rows) are blurred."""
    x = np.arange(columns)
    image = np.full((left_px.shape[1], columns), 0.2)
    for left, right in zip(left_px, right_px, strict=True):
        for edge, sign in ((left, 0.3), (right, -0.3)):
            image += sign * (1 + erf((x - edge[:, None]) / (np.sqrt(2) * blur_px)))
    return image
