"""Displacements of generated pairs: right where there is something to see, refused where there is not."""

import numpy as np
import pytest

from reconstruction.registration import Edge, register
from tests.reconstruction.scenes import Scan, scan


def edge(scene: Scan, a: int, b: int) -> Edge:
    first, second = scene.tiles[a], scene.tiles[b]
    nominal = (second.x_px - first.x_px, second.y_px - first.y_px)
    return register(a, b, scene.frames[a], scene.frames[b], nominal)


def miss_px(scene: Scan, found: Edge) -> float:
    return float(np.hypot(*(scene.truth_px[found.b] - scene.truth_px[found.a] - (found.dx_px, found.dy_px))))


@pytest.mark.parametrize("kind", ["natural", "grains", "lamellae", "faint"])
def test_finds_a_pair_below_a_pixel(kind: str) -> None:
    scene = scan(kind, rows=2, columns=2)
    for a, b in ((0, 1), (0, 2)):
        found = edge(scene, a, b)
        assert found.accepted
        assert miss_px(scene, found) < 0.2  # shot noise of 600 electrons on the faintest of them


def test_finds_a_pair_in_heavy_noise() -> None:
    scene = scan("natural", rows=1, columns=2, electrons=15)
    found = edge(scene, 0, 1)
    assert found.accepted
    assert miss_px(scene, found) < 1.0  # 15 electrons at full scale


@pytest.mark.parametrize("seed", [2, 3, 4, 5])  # one of them lies just outside of the first reach
def test_looks_further_when_the_stage_is_wrong_by_sixty_pixels(seed: int) -> None:
    scene = scan("grains", rows=1, columns=2, overlap=0.3, error_px=60.0, seed=seed)
    found = edge(scene, 0, 1)
    assert found.accepted
    assert miss_px(scene, found) < 0.3


@pytest.mark.parametrize("kind", ["natural", "grains", "lamellae"])
def test_looks_further_still_when_lost_steps_have_added_up(kind: str) -> None:
    scene = scan(kind, rows=1, columns=2, overlap=0.4)
    nominal_px = (scene.tiles[1].x_px - 4, scene.tiles[1].y_px - 117)
    found = register(0, 1, scene.frames[0], scene.frames[1], nominal_px)
    assert found.accepted
    assert miss_px(scene, found) < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_refuses_pure_noise(seed: int) -> None:
    assert not edge(scan("blank", rows=1, columns=2, seed=seed), 0, 1).accepted


def test_refuses_smooth_noise_of_two_different_places() -> None:
    scene = scan("natural", rows=1, columns=2)
    scene.frames[1] = scan("natural", rows=1, columns=2, seed=7).frames[1]
    assert not edge(scene, 0, 1).accepted


def test_refuses_constant_tiles() -> None:
    scene = scan("blank", rows=1, columns=2)
    scene.frames = [np.full_like(frame, 100) for frame in scene.frames]
    assert not edge(scene, 0, 1).accepted


@pytest.mark.parametrize("seed", range(3))
def test_refuses_a_periodic_structure(seed: int) -> None:
    assert not edge(scan("lines", rows=1, columns=2, seed=seed), 0, 1).accepted


def test_gives_the_same_edge_again() -> None:
    scene = scan("grains", rows=1, columns=2)
    assert edge(scene, 0, 1) == edge(scene, 0, 1)


@pytest.mark.parametrize("pitch_px", [8, 16, 24, 40])
@pytest.mark.parametrize("step_px", [360, 460])
def test_never_takes_one_place_of_a_lattice_for_another(pitch_px: int, step_px: int) -> None:
    rng = np.random.default_rng(pitch_px)
    y, x = np.mgrid[0:512, 0:512]

    def lattice(x_px: float, y_px: float) -> np.ndarray:
        waves = np.sin(2 * np.pi * (x + x_px) / pitch_px) * np.sin(2 * np.pi * (y + y_px) / pitch_px)
        return rng.poisson(300 + 250 * waves).astype(np.uint16)

    for _ in range(4):
        dx, dy = step_px + rng.normal(0, 4), rng.normal(0, 3)
        found = register(0, 1, lattice(0, 0), lattice(dx, dy), (float(step_px), 0.0))
        assert not found.accepted or np.hypot(found.dx_px - dx, found.dy_px - dy) < 0.5
