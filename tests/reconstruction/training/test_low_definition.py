"""Drawn scenes and their fast frames: seeded, different, and noisy about the truth that comes with them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.training.low_definition import Recording, any_recording, record
from reconstruction.training.scenes import KINDS, scene

PLAIN = Recording(quanta=50, lag=0.0, read_noise=3.0, line_noise=0.0, blur_px=0.0, black=20, white=220)


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS))
def test_every_kind_of_scene_has_structure_and_is_made_by_its_seed(
    kind: Callable[[int, np.random.Generator], NDArray[np.float32]],
) -> None:
    one, same, other = (kind(64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (64, 64)
    assert one.dtype == np.float32
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.std() > 0.01


def test_scenes_stay_in_range() -> None:
    for seed in range(20):
        image = scene(48, np.random.default_rng(seed))
        assert image.min() >= 0
        assert image.max() <= 1


def test_frames_scatter_about_the_truth_that_comes_with_them() -> None:
    random = np.random.default_rng(3)
    image = 0.2 + 0.6 * scene(48, random)
    how = replace(PLAIN, lag=0.4, line_noise=2.0)
    frames = np.stack([record(image, how, random)[0] for _ in range(400)]).astype(np.float64)
    clean = record(image, how, random)[1]
    # 400 frames of at most 26 grey levels: the mean scatters by 1.3, and by 2/20 from line to line
    assert np.sqrt(np.mean((frames.mean(axis=0) - clean) ** 2)) < 1.3
    assert abs((frames.mean(axis=0) - clean).mean()) < 0.1


def test_a_slow_amplifier_makes_noise_alike_along_lines() -> None:
    """An autoregressive process of first order correlates by its pole from pixel to pixel."""
    random = np.random.default_rng(0)
    frame, clean = record(np.full((200, 200), 0.5, np.float32), replace(PLAIN, lag=0.49, read_noise=0.0), random)
    noise = frame[:, 8:-8] - clean[:, 8:-8]
    across = np.mean(noise[:, 1:] * noise[:, :-1]) / noise.var()
    down = np.mean(noise[1:] * noise[:-1]) / noise.var()
    assert across == pytest.approx(0.49, abs=0.03)
    assert down == pytest.approx(0, abs=0.03)


def test_recordings_reach_from_clean_to_hardly_recognisable() -> None:
    random = np.random.default_rng(0)
    chosen = [any_recording(800, random) for _ in range(300)]
    quanta = [how.quanta for how in chosen]
    assert min(quanta) < 6
    assert max(quanta) > 500
    assert 0.3 < np.mean([how.lag > 0 for how in chosen]) < 0.6
    assert all(how.white - how.black >= 60 for how in chosen)
