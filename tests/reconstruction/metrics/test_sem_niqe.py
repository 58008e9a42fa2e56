"""SEM-NIQE: its statistics against distributions that are known, and whether it tells bad images from good ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import gennorm

from reconstruction.errors import InputError
from reconstruction.metrics.sem_niqe import (
    fit_pristine,
    generalised_gaussian,
    load_model,
    save_model,
    sem_niqe,
    shipped_model,
)
from tests.reconstruction.scenes import texture

KINDS = "lamellae", "grains", "natural"


def clean(seed: int) -> list[np.ndarray]:
    """Long exposures: with as little noise as real ones have."""
    random = np.random.default_rng(seed)
    return [texture(kind, (288, 288), seed) + random.normal(0, 0.005, (288, 288)) for kind in KINDS]


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0, 4.0])
def test_shape_and_deviation_of_a_generalised_gaussian_are_found(shape: float) -> None:
    values = gennorm.rvs(shape, scale=1.5, size=200_000, random_state=1)
    found, left, right = generalised_gaussian(values)
    assert found == pytest.approx(shape, rel=0.03)
    assert (left, right) == pytest.approx((values.std(), values.std()), rel=0.02)
    skewed = np.where(values > 0, 2 * values, values)
    assert generalised_gaussian(skewed)[2] == pytest.approx(2 * left, rel=0.02)


def test_noise_and_blur_lead_away_from_clean_images() -> None:
    model = fit_pristine((image for seed in range(4) for image in clean(seed)), 1.0, "textures")
    for image in clean(9):
        good = sem_niqe(image, 1.0, model)
        noise = np.random.default_rng(0).normal(0, 1, image.shape)
        noisy = [sem_niqe(image + sigma * noise, 1.0, model) for sigma in (0.03, 0.3)]
        assert good < noisy[0] < noisy[1]
        assert good < sem_niqe(ndimage.gaussian_filter(image, 3), 1.0, model)


def test_the_range_of_grey_values_does_not_count() -> None:
    image = clean(2)[1]
    assert sem_niqe(255 * image, 255.0) == pytest.approx(sem_niqe(image, 1.0))


def test_the_shipped_model_says_where_it_comes_from_and_dislikes_noise() -> None:
    assert "twin" in shipped_model().source
    image = clean(3)[0]
    noisy = image + np.random.default_rng(0).normal(0, 0.2, image.shape)
    assert sem_niqe(noisy, 1.0) > sem_niqe(image, 1.0)


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = fit_pristine(clean(1) * 2, 1.0, "here")
    save_model(made, tmp_path / "model.json")
    read = load_model(tmp_path / "model.json")
    assert read.source == "here"
    assert read.covariance == pytest.approx(made.covariance, rel=1e-4)
    (tmp_path / "short.json").write_text(json.dumps({"mean": [1], "covariance": [[1]], "source": ""}))
    for name, words in (("absent.json", "not a SEM-NIQE model"), ("short.json", "36 features")):
        with pytest.raises(InputError, match=words):
            load_model(tmp_path / name)


def test_images_too_small_or_too_few_are_refused() -> None:
    with pytest.raises(InputError, match="90 x 200 px, SEM-NIQE needs 96"):
        sem_niqe(np.zeros((200, 90)), 1.0)
    with pytest.raises(InputError, match="needs 37"):
        fit_pristine([clean(1)[0][:96, :96]], 1.0, "one block")
