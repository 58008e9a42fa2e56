"""What the detector adds to every frame: found where it is, nowhere else, never taken for the specimen."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reconstruction.fixed_pattern import FixedPattern, PatternEstimate
from reconstruction.registration import register
from reconstruction.restore import restorer
from reconstruction.sources import Tile
from reconstruction.worker import follow
from tests.reconstruction.scenes import FULL_SCALE, Scan, errors_px, scan


def marred(scene: Scan, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Add stripes and dust to the frames of a scan; give both back."""
    rng = np.random.default_rng(seed)
    rows, columns = scene.tile_shape
    stripes = 0.02 * FULL_SCALE * rng.normal(size=columns)
    y, x = np.mgrid[:rows, :columns]
    dust = np.ones((rows, columns))
    for _ in range(10):
        distance = (y - rng.uniform(0, rows)) ** 2 + (x - rng.uniform(0, columns)) ** 2
        dust -= 0.3 * np.exp(-distance / 5.0**2)
    scene.frames = [np.clip(frame * dust + stripes, 0, 65535).astype(np.uint16) for frame in scene.frames]
    return stripes, dust


def learnt(scene: Scan) -> FixedPattern | None:
    estimate = PatternEstimate()
    for frame in scene.frames:
        estimate.add(frame)
    return estimate.pattern()


@pytest.mark.parametrize("kind", ["natural", "grains", "lamellae", "lines", "blank"])
def test_finds_no_pattern_where_there_is_none(kind: str) -> None:
    assert learnt(scan(kind, size=256, rows=3, columns=4)) is None


@pytest.mark.parametrize("kind", ["grains", "blank"])
def test_finds_stripes_and_takes_them_out(kind: str) -> None:
    scene = scan(kind, size=256)
    stripes, _ = marred(scene)
    pattern = learnt(scene)
    assert pattern is not None
    assert np.corrcoef(np.diff(pattern.columns), np.diff(stripes))[0, 1] > 0.9  # broad parts are the specimen's
    assert not pattern.rows.any()
    window = np.s_[20:60, 100:200]
    assert pattern.removed(scene.frames[0][window], window).shape == (40, 100)


def test_finds_dust_on_an_empty_field() -> None:
    scene = scan("blank", size=256)
    _, dust = marred(scene)
    pattern = learnt(scene)
    assert pattern is not None
    assert np.abs(pattern.spots - dust).max() < 0.1  # of 0.3


def test_the_pattern_is_not_taken_for_the_specimen() -> None:
    scene = scan("blank", size=256, rows=4, columns=5)
    marred(scene)
    pattern, without, with_it = learnt(scene), 0, 0
    for a, b, nominal_px in ((0, 1, (230.0, 0.0)), (0, 5, (0.0, 230.0)), (6, 11, (0.0, 230.0))):
        frames = scene.frames[a], scene.frames[b]
        without += register(a, b, *frames, nominal_px).accepted
        with_it += register(a, b, *frames, nominal_px, pattern).accepted
    assert without > 0  # the danger is real
    assert with_it == 0


def test_a_worker_measures_again_once_it_knows_the_pattern(tmp_path: Path) -> None:
    scene = scan("faint", 0.2, size=256, rows=4, columns=4)
    marred(scene)
    result = follow(scene, tmp_path, restorer("none"), lambda progress: None)
    places = np.array([(tile.x_px, tile.y_px) for tile in result.placement.tiles.values()])
    assert errors_px(places, scene.truth_px).max() < 0.3


class BlackAtFirst(Scan):
    """The first frames are dark; they are taken again at the end."""

    bad = (0, 1, 2, 5)

    def follow(self) -> Iterator[list[Tile]]:
        good = list(self.frames)
        for index in self.bad:
            self.frames[index] = np.random.default_rng(index).integers(95, 106, good[0].shape).astype(np.uint16)
        yield from super().follow()
        self.frames[:] = good
        yield [replace(self.tiles[index], take=2) for index in self.bad]


def test_a_pattern_learnt_from_a_bad_frame_is_learnt_anew(tmp_path: Path) -> None:
    scene = scan("faint", 0.2, size=256, rows=6, columns=6)
    marred(scene)
    bad = BlackAtFirst(list(scene.frames), scene.tiles, scene.truth_px)
    places = []
    for name, source in (("good", scene), ("bad", bad)):
        result = follow(source, tmp_path / name, restorer("none"), lambda progress: None)
        places.append([(tile.x_px, tile.y_px) for tile in result.placement.tiles.values()])
    assert places[0] == places[1]


@pytest.mark.parametrize("kind", ["dust", "stripes"])
@pytest.mark.parametrize("tiles", [4, 20])
def test_a_blank_field_does_not_collapse_onto_what_the_detector_adds(tmp_path: Path, kind: str, tiles: int) -> None:
    scene = scan("blank", 0.9, size=256, rows=2, columns=tiles // 2)
    rng = np.random.default_rng(3)
    clean = list(scene.frames)
    stripes, dust = marred(scene)
    if kind == "dust":
        scene.frames = [np.rint(frame * dust).astype(np.uint16) for frame in clean]
    else:
        scene.frames = [np.rint(frame + stripes).astype(np.uint16) for frame in clean]
    scene.frames = [np.rint(frame + rng.normal(0, 200, frame.shape)).astype(np.uint16) for frame in scene.frames]
    result = follow(scene, tmp_path, restorer("none"), lambda progress: None, live=False)
    places = np.array([(tile.x_px, tile.y_px) for tile in result.placement.tiles.values()])
    claimed = np.array([(tile.x_px, tile.y_px) for tile in scene.tiles])
    assert np.abs(places - claimed).max() < 1
