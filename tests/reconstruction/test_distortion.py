"""The field common to all tiles: what its numbers mean."""

import numpy as np
import pytest

from reconstruction.distortion import TERMS, Distortion
from reconstruction.placement import place
from tests.reconstruction.scenes import errors_px, scan
from tests.reconstruction.test_placement import edges_of, places_px

BENT = Distortion((0.0, 0.0, 0.3, 1.4, -0.3, -0.4, -0.1, 0.8, 0.4), (0.0, 0.0, -0.2, 0.1, 0.3, -0.3, -1.1, 0.5, 0.3))


def only(term: tuple[int, int], axis: int) -> Distortion:
    one = tuple(float(term == other) for other in TERMS)
    none = (0.0,) * len(TERMS)
    return Distortion(*((one, none) if axis == 0 else (none, one)))


def test_a_field_gives_x_then_y_for_every_pixel() -> None:
    field = only((1, 0), axis=0).displacement_px((30, 41))
    assert field.shape == (2, 30, 41)
    assert field.dtype == np.float32
    assert np.allclose(field[0], np.linspace(-1, 1, 41)[None, :])
    assert not field[1].any()
    assert np.allclose(only((0, 1), axis=1).displacement_px((30, 41))[1], np.linspace(-1, 1, 30)[:, None])


@pytest.mark.parametrize("term", [term for term in TERMS if sum(term) > 1])
def test_a_bend_neither_shifts_nor_scales_nor_turns_the_tile(term: tuple[int, int]) -> None:
    field = only(term, axis=1).displacement_px((400, 500))[1]
    y, x = np.meshgrid(np.linspace(-1, 1, 400), np.linspace(-1, 1, 500), indexing="ij")
    for plane in (np.ones_like(x), x, y):
        assert abs((field * plane).mean()) < 0.01  # of a field of 1 px: 400 pixels sum up what is an integral


def rms_px(field: np.ndarray) -> float:
    return float(np.sqrt(np.square(field).sum(axis=0).mean()))


@pytest.mark.parametrize("kind", ["natural", "grains"])
@pytest.mark.parametrize("overlap", [0.15, 0.3])
def test_a_distorted_scan_with_exact_steps_is_seen_through(kind: str, overlap: float) -> None:
    scene = scan(kind, overlap, rows=3, columns=3, error_px=0.0, backlash_px=0.0, distortion=BENT)
    edges = edges_of(scene)
    placement = place(scene.tiles, edges)
    assert placement.distortion is not None
    left = placement.distortion.displacement_px(scene.tile_shape) - BENT.displacement_px(scene.tile_shape)
    assert rms_px(left) < 0.15  # of 0.7
    assert errors_px(places_px(placement), scene.truth_px).max() < 0.2


def test_without_an_exact_stage_a_distorted_scan_is_right_up_to_a_linear_map() -> None:
    scene = scan("grains", 0.15, distortion=BENT)
    edges = edges_of(scene)
    found = places_px(place(scene.tiles, edges))
    plane = np.column_stack([scene.truth_px, np.ones(len(found))])
    away = found - plane @ np.linalg.lstsq(plane, found, rcond=None)[0]
    assert np.hypot(*away.T).max() < 0.2  # without the field 1 px
    change = [found[e.b] - found[e.a] - (e.dx_px, e.dy_px) for e in edges if e.b - e.a == 1]
    assert np.abs(np.mean(change, axis=0)).max() < 0.3  # the mosaic keeps the size that was measured


@pytest.mark.parametrize("electrons", [30.0, 600.0])
@pytest.mark.parametrize("kind", ["natural", "lamellae", "faint"])
def test_no_distortion_is_found_where_none_is(kind: str, electrons: float) -> None:
    scene = scan(kind, 0.15, rows=3, columns=4, electrons=electrons)
    assert place(scene.tiles, edges_of(scene)).distortion is None
