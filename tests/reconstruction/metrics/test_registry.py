"""Every metric prefers a better image."""

import numpy as np
import pytest
from scipy import ndimage

from reconstruction.errors import InputError
from reconstruction.metrics.registry import METRICS, Judged, Metric, metrics_for
from tests.reconstruction.metrics.printed_lines import picture, rough_edges
from tests.reconstruction.metrics.test_lines import TRUTH
from tests.reconstruction.scenes import texture


def judged(sigma: float, lines: bool = False) -> Judged:
    random = np.random.default_rng(0)
    if lines:
        rough = rough_edges(4, 256, 1.0, TRUTH, 1)
        truth = picture(20 + 60 * np.arange(2)[:, None] + rough[:2], 50 + 60 * np.arange(2)[:, None] + rough[2:], 140)
    else:
        truth = ndimage.gaussian_filter(texture("lamellae", (192, 192), 1).astype(float), 0.7)
    deviation = max(sigma, 0.003) * random.uniform(0.2, 2, truth.shape)
    image = truth + random.normal(0, deviation)
    made_of = truth + random.normal(0, 0.1, truth.shape)
    return Judged(image, made_of, truth, 1.0, 1.0, deviation if sigma < 0.1 else random.permuted(deviation / 3))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_less_noise_is_better(metric: Metric) -> None:
    good, bad = (metric.compute(judged(sigma, metric.needs == "lines")) for sigma in (0.0, 0.15))
    if metric.better.startswith("near"):
        ideal = float(metric.better.removeprefix("near "))
        assert abs(good - ideal) < abs(bad - ideal)
    else:
        assert good > bad if metric.better == "higher" else good < bad
    assert metric.meaning
    assert metric.name.endswith(tuple(f"_{unit}" for unit in ("db", "px", "pp", "nm", "pct"))) == (
        metric.unit not in ("", "grey values")
    )


def test_what_is_not_known_is_not_computed() -> None:
    blind = Judged(np.zeros((9, 9)), np.zeros((9, 9)), None, 1.0)
    assert {metric.needs for metric in metrics_for(truth=False, lines=True)} == {"input", "nothing"}
    assert {metric.needs for metric in metrics_for(truth=True)} == {"truth", "input", "nothing"}
    assert metrics_for(truth=True, lines=True, deviation=True) == METRICS
    for metric in METRICS:
        if metric.needs in ("truth", "lines", "deviation"):
            with pytest.raises(InputError, match="not known"):
                metric.compute(blind)
