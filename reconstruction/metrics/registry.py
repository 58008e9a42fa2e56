"""All metrics of a restored image by name, with what each needs, its unit, and what is better."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reconstruction.analysis.phase_fraction import bradley_dark, fraction_error_pp, otsu_dark
from reconstruction.errors import InputError
from reconstruction.metrics.calibration import coverage_pct, deviation_rank, deviation_ratio
from reconstruction.metrics.decorrelation import decorrelation
from reconstruction.metrics.edges import edge_gain, edge_preservation_index
from reconstruction.metrics.frc import LEAST_BLOCK_PX, block_frc_map, frc, frc_resolution
from reconstruction.metrics.histograms import histogram_distance
from reconstruction.metrics.line_edges import line_edges
from reconstruction.metrics.ms_ssim import ms_ssim
from reconstruction.metrics.psnr import gain_fitted_psnr_db, psnr_db, shift_fitted_psnr_db
from reconstruction.metrics.roughness import Roughness, psd_error_db, roughness, spectrum_of
from reconstruction.metrics.sem_niqe import sem_niqe
from reconstruction.metrics.spectra import radial_spectrum_error_db
from reconstruction.metrics.squirrel import ErrorMap, squirrel
from reconstruction.metrics.ssim import ssim

MOST_BLOCKS = 10

Needs = Literal["truth", "input", "nothing", "lines", "deviation"]
Better = Literal["higher", "lower", "near 1", "near 95"]


@dataclass(frozen=True, eq=False)
class Judged:
    """A restored image, what it was made of, and the truth where it is known: all (y, x), of one shape.

    `deviation`: how far the restorer says that it may be off, in grey values.
    """

    image: NDArray[Any]
    made_of: NDArray[Any]
    truth: NDArray[Any] | None
    data_range: float
    pixel_nm: float | None = None
    deviation: NDArray[Any] | None = None

    @property
    def true(self) -> NDArray[Any]:
        """The truth, for metrics that need it.

        Raises:
            InputError: it is not known.
        """
        if self.truth is None:
            raise InputError("truth: not known, this metric needs it")
        return self.truth

    @property
    def off(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Truth, image, and how far that may be off.

        Raises:
            InputError: the restorer does not say it.
        """
        if self.deviation is None:
            raise InputError("deviation: not known, this restorer does not say how far it may be off")
        return self.true, self.image, self.deviation

    @cached_property
    def explained(self) -> ErrorMap:
        """What the image explains of what it was made of."""
        return squirrel(self.made_of, self.image)

    @cached_property
    def roughness(self) -> tuple[Roughness, Roughness]:
        """Of the printed lines in the truth and in the image."""
        return _roughness(self.true, self.step_nm), _roughness(self.image, self.step_nm)

    @property
    def step_nm(self) -> float:
        """Size of a pixel, for metrics in nanometre.

        Raises:
            InputError: it is not known.
        """
        if self.pixel_nm is None:
            raise InputError("pixel_nm: not known, widths and roughness of lines need it")
        return self.pixel_nm


@dataclass(frozen=True)
class Metric:
    """`needs`: a truth, what the image was made of, nothing, printed lines, or the restorer's own deviations."""

    name: str
    unit: str
    better: Better
    needs: Needs
    meaning: str
    compute: Callable[[Judged], float]


def _roughness(image: NDArray[Any], pixel_nm: float) -> Roughness:
    return roughness(line_edges(image), pixel_nm)


def _median_block_px(judged: Judged) -> float:
    """Median of as many blocks as there can be, up to 10 along each axis."""
    blocks = min(MOST_BLOCKS, min(judged.true.shape) // LEAST_BLOCK_PX)
    return float(np.median(block_frc_map(judged.true, judged.image, blocks))) if blocks else np.nan


def _width_psd_error_db(judged: Judged) -> float:
    spectra = []
    for image in (judged.true, judged.image):
        edges = line_edges(image)
        spectra.append(spectrum_of((edges.right_px - edges.left_px) * judged.step_nm, judged.step_nm))
    return psd_error_db(*spectra)


def _off(name: str) -> Callable[[Judged], float]:
    """How far a number of the printed lines is from the truth's."""

    def compute(judged: Judged) -> float:
        truth, found = judged.roughness
        return abs(float(getattr(found, name)) - float(getattr(truth, name)))

    return compute


METRICS: tuple[Metric, ...] = (
    Metric(
        "psnr_db", "dB", "higher", "truth", "peak signal to noise", lambda j: psnr_db(j.true, j.image, j.data_range)
    ),
    Metric(
        "psnr_gain_fitted_db",
        "dB",
        "higher",
        "truth",
        "the same after the best gain and offset",
        lambda j: gain_fitted_psnr_db(j.true, j.image, j.data_range),
    ),
    Metric(
        "psnr_shift_fitted_db",
        "dB",
        "higher",
        "truth",
        "the same after the best shift",
        lambda j: shift_fitted_psnr_db(j.true, j.image, j.data_range),
    ),
    Metric("ssim", "", "higher", "truth", "structural similarity", lambda j: ssim(j.true, j.image, j.data_range)),
    Metric(
        "ms_ssim",
        "",
        "higher",
        "truth",
        "structural similarity at five scales",
        lambda j: ms_ssim(j.true, j.image, j.data_range),
    ),
    Metric(
        "epi", "", "higher", "truth", "correlation of Laplacians", lambda j: edge_preservation_index(j.true, j.image)
    ),
    Metric("edge_gain", "", "near 1", "truth", "gradients over the truth's", lambda j: edge_gain(j.true, j.image)),
    Metric(
        "frc_period_px",
        "px",
        "lower",
        "truth",
        "finest period that agrees with the truth (FRC 1/7)",
        lambda j: frc_resolution(frc(j.true, j.image)).period_px,
    ),
    Metric("frc_block_period_px", "px", "lower", "truth", "median of the same in blocks", _median_block_px),
    Metric(
        "spectrum_error_db",
        "dB",
        "lower",
        "truth",
        "rms of the radial power against the truth's",
        lambda j: radial_spectrum_error_db(j.true, j.image),
    ),
    Metric(
        "histogram_distance",
        "grey values",
        "lower",
        "truth",
        "Wasserstein's distance of the grey values",
        lambda j: histogram_distance(j.true, j.image),
    ),
    Metric(
        "dark_bradley_error_pp",
        "percentage points",
        "lower",
        "truth",
        "share of the dark phase, Bradley's threshold",
        lambda j: fraction_error_pp(bradley_dark(j.true), bradley_dark(j.image)),
    ),
    Metric(
        "dark_otsu_error_pp",
        "percentage points",
        "lower",
        "truth",
        "share of the dark phase, Otsu's threshold",
        lambda j: fraction_error_pp(otsu_dark(j.true), otsu_dark(j.image)),
    ),
    Metric("rsp", "", "higher", "input", "blurred, correlation with the input (SQUIRREL)", lambda j: j.explained.rsp),
    Metric("rse", "grey values", "lower", "input", "blurred, rms distance from the input", lambda j: j.explained.rse),
    Metric(
        "decorrelation_px",
        "px",
        "lower",
        "nothing",
        "finest period that stands out of the noise",
        lambda j: decorrelation(j.image).resolution_px,
    ),
    Metric(
        "sem_niqe",
        "",
        "lower",
        "nothing",
        "distance from the statistics of clean images",
        lambda j: sem_niqe(j.image, j.data_range),
    ),
    Metric(
        "deviation_ratio",
        "",
        "near 1",
        "deviation",
        "rms error over the rms of the deviations that the model gives",
        lambda j: deviation_ratio(*j.off),
    ),
    Metric(
        "deviation_coverage_pct",
        "%",
        "near 95",
        "deviation",
        "errors within two of them",
        lambda j: coverage_pct(*j.off),
    ),
    Metric(
        "deviation_rank",
        "",
        "higher",
        "deviation",
        "rank correlation with the errors",
        lambda j: deviation_rank(*j.off),
    ),
    Metric("cd_error_nm", "nm", "lower", "lines", "width of lines", _off("cd_nm")),
    Metric("lwr_error_nm", "nm", "lower", "lines", "line width roughness, unbiased", _off("unbiased_lwr_nm")),
    Metric("ler_error_nm", "nm", "lower", "lines", "line edge roughness, unbiased", _off("unbiased_ler_nm")),
    Metric("lwr_psd_error_db", "dB", "lower", "lines", "spectrum of the line widths", _width_psd_error_db),
)


def metrics_for(truth: bool, lines: bool = False, deviation: bool = False) -> tuple[Metric, ...]:
    """Choose those that can be computed.

    Args:
        truth: whether it is known; without it, the others do not matter.
        lines: whether the images show printed lines along y.
        deviation: whether a restorer says how far it may be off.
    """
    there = {"input": True, "nothing": True, "truth": truth, "lines": truth and lines, "deviation": truth and deviation}
    return tuple(metric for metric in METRICS if there[metric.needs])
