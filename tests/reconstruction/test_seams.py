"""What is left in the seams: told from the pixels, not from what the placement believes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.bend_map import bend_map, strongest_px
from reconstruction.distortion import TERMS, Distortion
from reconstruction.placement import PlacedTile, Placement
from reconstruction.seams import seam_shifts
from reconstruction.sources import Tile
from tests.reconstruction.scenes import Scan, scan, texture


def laid(scene: Scan, places_px: NDArray[np.float64], distortion: Distortion | None = None) -> Placement:
    """Lay tiles of two rows of three out, joined to their neighbours."""
    tiles = {
        tile.index: PlacedTile(tile, float(x), float(y), "registration", 1.0)
        for tile, (x, y) in zip(scene.tiles, places_px, strict=True)
    }
    joined = frozenset({(0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)})
    return Placement(tiles, joined, 0.0, 0.0, 0.0, distortion)


@pytest.fixture(scope="module")
def scene() -> Scan:
    return scan("natural", 0.2, size=320, rows=2, columns=3, electrons=2000)


def test_nothing_is_left_where_tiles_lie_right(scene: Scan) -> None:
    left = seam_shifts(laid(scene, scene.truth_px), scene.pixels)
    assert left.patches == 21
    assert left.median_px is not None
    assert left.median_px < 0.05  # the noise of the measurement itself
    assert left.p95_px is not None
    assert left.p95_px < 0.1


def test_tiles_in_wrong_places_show_by_how_much(scene: Scan) -> None:
    wrong = scene.truth_px + np.array([(0, 0), (0.6, 0.8), (0, 0), (0.6, 0.8), (0, 0), (0.6, 0.8)])  # a chessboard
    left = seam_shifts(laid(scene, wrong), scene.pixels)
    assert left.median_px == pytest.approx(1.0, abs=0.05)
    assert left.p95_px == pytest.approx(1.0, abs=0.1)


def test_a_gross_error_is_measured_as_well(scene: Scan) -> None:
    wrong = scene.truth_px.copy()
    wrong[[0, 2, 4]] += 4
    left = seam_shifts(laid(scene, wrong), scene.pixels)
    assert left.median_px == pytest.approx(32**0.5, abs=0.05)


def test_a_blank_seam_says_nothing() -> None:
    blank = scan("blank", 0.2, size=128, rows=2, columns=3)
    left = seam_shifts(laid(blank, blank.truth_px), blank.pixels)
    assert (left.patches, left.median_px, left.p95_px) == (0, None, None)


def test_a_known_distortion_is_no_shift(scene: Scan) -> None:
    bend = Distortion(
        *(tuple(2.5 if term in terms else 0.0 for term in TERMS) for terms in ({(0, 2), (3, 0)}, {(2, 0)}))
    )
    x, y = bend.displacement_px((320, 320))
    specimen = cv2.GaussianBlur(texture("natural", (700, 900), 3), (0, 0), 1.0)
    rows, columns = np.mgrid[:320, :320].astype(np.float32)
    corners = np.array([(c * 256, r * 256) for r in range(2) for c in range(3)], float)
    frames = [
        (6e4 * cv2.remap(specimen, columns + x + 20 + left, rows + y + 20 + top, cv2.INTER_LANCZOS4)).astype(np.uint16)
        for left, top in corners.astype(np.float32)
    ]
    tiles = [Tile(index, str(index), *place) for index, place in enumerate(corners)]
    bent = replace(scene, frames=frames, tiles=tiles)
    without, known = (seam_shifts(laid(bent, corners, each), bent.pixels) for each in (None, bend))
    assert without.median_px is not None
    assert without.median_px > 0.5
    assert known.median_px is not None
    assert known.median_px < 0.2  # of 3 px, which vary within a patch
    assert strongest_px(bend, (320, 320)) > 1
    assert bend_map(bend, (320, 320)).count("<polyline") == 26
