"""Tiles out of videos whose way is known: none of it lost, nothing flawed taken, true below a pixel."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from reconstruction.errors import InputError
from reconstruction.restore import restorer
from reconstruction.video import Options, Seen, Video
from reconstruction.video_choice import Band
from reconstruction.video_rows import Layout
from reconstruction.worker import Reconstruction, follow
from tests.reconstruction.films import Shooting, Way, straight, write_film
from tests.reconstruction.scenes import errors_px, texture

SHAPE = ROWS, COLUMNS = 144, 192
STEP_PX = 7.3
Opened = Callable[..., Video]


def ignore(seen: Seen) -> None:
    """Nobody watches."""


@pytest.fixture
def opened() -> Iterator[Callable[..., Video]]:
    """Take tiles out of files; their scratch goes with the test."""
    with ExitStack() as videos:

        def take(files: Sequence[Path], **options: object) -> Video:
            return videos.enter_context(Video(files, files[0].parent, Options(**options), ignore))  # type: ignore[arg-type]

        yield take


def shooting(kind: str = "natural", size: tuple[int, int] = (420, 1200), noise: float = 8.0) -> Shooting:
    return Shooting(texture(kind, size, 11), SHAPE, noise)


def made(video: Video, out: Path) -> Reconstruction:
    return follow(video, out, restorer("none"), lambda progress: None)


def rms_px(result: Reconstruction, truth: dict[str, tuple[float, float]]) -> float:
    placed = result.placement.tiles.values()
    found = np.array([(tile.x_px, tile.y_px) for tile in placed])
    return float(np.sqrt(np.square(errors_px(found, np.array([truth[tile.tile.name] for tile in placed]))).mean()))


def truth_of(**ways: Way) -> dict[str, tuple[float, float]]:
    return {f"{name}.avi#{number}": place for name, way in ways.items() for number, place in enumerate(way)}


def overlaps(video: Video, part: int = 0) -> list[float]:
    return [chosen.overlap for chosen in video.selected[part].chosen if chosen.overlap is not None]


def numbers(video: Video) -> list[int]:
    return [chosen.picture.number for chosen in video.selected[0].chosen]


def test_rows_in_files_of_their_own_find_each_other(opened: Opened, tmp_path: Path) -> None:
    camera = shooting()
    first = straight((40.0, 20.3), (STEP_PX, 0.05), 110)
    second = straight((75.0, 20.0 + 0.8 * ROWS), (STEP_PX, 0.02), 105)
    back = straight((860.0, 20.0 + 1.6 * ROWS), (-STEP_PX, 0.04), 110)
    ways = {"a": first, "b": second, "c": back}
    files = [write_film(tmp_path / f"{name}.avi", camera.film(way)) for name, way in ways.items()]
    video = opened(files)
    assert all(row.found for row in video.rows)
    for part in range(3):
        assert all(0.42 <= overlap <= 0.48 for overlap in overlaps(video, part)[:-1])  # a step is 0.04
    result = made(video, tmp_path)
    assert len(result.tiles) >= 3 * 8
    # a stage that goes on for the last picture shows something new, however little
    assert all(tile.placed_by == "registration" for tile in result.placement.tiles.values())
    assert rms_px(result, truth_of(**ways)) < 0.1
    video.close()
    assert not list(tmp_path.glob("*.raw"))


def test_a_row_that_comes_later_joins_what_did_not_meet(opened: Opened, tmp_path: Path) -> None:
    camera = shooting(size=(620, 900))
    ways = {
        name: straight((x, 20.0 + y * ROWS), (STEP_PX, 0.03), 70)
        for name, x, y in (("a", 40.0, 0.0), ("b", 90.0, 1.6), ("c", 60.0, 0.8), ("d", 70.0, 2.4))
    }
    video = opened([write_film(tmp_path / f"{name}.avi", camera.film(way)) for name, way in ways.items()])
    assert [row.found for row in video.rows] == [True] * 4
    result = made(video, tmp_path)
    assert all(tile.placed_by == "registration" for tile in result.placement.tiles.values())
    assert rms_px(result, truth_of(**ways)) < 0.1


def test_one_video_with_turns_is_a_chain_that_closes(opened: Opened, tmp_path: Path) -> None:
    """Right, down, left, down, right: neighbouring rows meet at every place but the turns."""
    camera = shooting()
    down = 0.75 * ROWS
    way = [
        *straight((20.0, 20.0), (STEP_PX, 0.0), 110),
        *straight((20.0 + 109 * STEP_PX, 20.0), (0.0, 6.0), round(down / 6.0)),
        *straight((20.0 + 109 * STEP_PX, 20.0 + down), (-STEP_PX, 0.0), 110),
        *straight((20.0, 20.0 + down), (0.0, 6.0), round(down / 6.0)),
        *straight((20.0, 20.0 + 2 * down), (STEP_PX, 0.0), 60),
    ]
    video = opened([write_film(tmp_path / "a.avi", camera.film(way))])
    assert not video.selected[0].gaps
    assert all(0.3 <= overlap <= 0.6 for overlap in overlaps(video)[:-1])
    places, truth = video.rows[0].places_px, np.array([way[number] for number in numbers(video)])
    drift_px = np.hypot(*(places - truth - (places - truth)[0]).T)
    assert drift_px.max() < 0.01 * len(places) + 0.5  # before the loops are closed; 1 px a hundred frames
    assert rms_px(made(video, tmp_path), truth_of(a=way)) < 0.15


def test_flawed_pictures_are_left_out_and_nothing_else(opened: Opened, tmp_path: Path) -> None:
    flaws = dict.fromkeys(range(20, 24), "blurred") | dict.fromkeys((31, 40, 41), "doubled")
    flaws |= dict.fromkeys((52, 53, 61), "torn") | {70: "black", 80: "repeated", 90: "repeated", 91: "repeated"}
    way = straight((20.0, 30.0), (STEP_PX, 0.1), 125)
    video = opened([write_film(tmp_path / "a.avi", shooting().film(way, flaws))])
    selected = video.selected[0]
    assert dict(selected.listed) == flaws
    assert selected.rejected == {kind: list(flaws.values()).count(kind) for kind in set(flaws.values())}
    assert not flaws.keys() & set(numbers(video))
    assert all(0.3 <= overlap <= 0.6 for overlap in overlaps(video)[:-1])
    assert rms_px(made(video, tmp_path), truth_of(a=way)) < 0.1


def test_a_blurred_stretch_costs_no_row(opened: Opened, tmp_path: Path) -> None:
    """Out of focus for longer than the band is wide: rather early, or blurred, than not at all."""
    way = straight((20.0, 30.0), (STEP_PX, 0.0), 110)
    video = opened([write_film(tmp_path / "a.avi", shooting().film(way, dict.fromkeys(range(30, 55), "blurred")))])
    assert not video.selected[0].gaps
    assert len(video.rows) == 1
    result = made(video, tmp_path)
    assert all(tile.placed_by == "registration" for tile in result.placement.tiles.values())
    assert rms_px(result, truth_of(a=way)) < 0.3


@pytest.mark.parametrize(
    "flaw",
    ["blurred", "torn", "doubled"],
)
def test_a_video_may_begin_with_a_flawed_picture(opened: Opened, tmp_path: Path, flaw: str) -> None:
    way = straight((30.0, 30.0), (0.4, 0.0), 12)
    way += straight(way[-1], (STEP_PX, 0.0), 40)
    frames = shooting().film(way)
    frames[0] = shooting().film([(44.0, 30.0), (30.0, 30.0), (30.0, 30.0)], {2: flaw})[2]
    video = opened([write_film(tmp_path / "a.avi", frames)])
    assert 0 < numbers(video)[0] < 12
    assert all(0.3 <= overlap <= 0.6 for overlap in overlaps(video)[:-1])


def test_pauses_and_changes_of_speed_and_direction_are_followed(opened: Opened, tmp_path: Path) -> None:
    way = straight((20.0, 30.0), (3.0, 0.0), 40)
    way += [way[-1]] * 25
    way += straight(way[-1], (14.0, 0.0), 30)
    way += straight(way[-1], (-9.0, 0.0), 20)
    way += straight(way[-1], (11.0, 3.0), 40)
    video = opened([write_film(tmp_path / "a.avi", shooting().film(way))])
    assert not video.selected[0].gaps
    assert all(0.3 <= overlap <= 0.6 for overlap in overlaps(video)[:-1])
    assert rms_px(made(video, tmp_path), truth_of(a=way)) < 0.15


def test_the_speed_of_the_stage_is_told(opened: Opened, tmp_path: Path) -> None:
    way = straight((20.0, 30.0), (STEP_PX, -0.2), 90)
    video = opened([write_film(tmp_path / "a.avi", shooting().film(way))])
    speeds = np.array([chosen.speed_px_s for chosen in video.selected[0].chosen[1:]])
    assert opened([tmp_path / "a.avi"], stage_um_s=2.0).pixel_size_um == pytest.approx(2.0 / (25 * STEP_PX), rel=0.01)
    assert np.median(speeds, axis=0) == pytest.approx([25 * STEP_PX, -25 * 0.2], abs=2.5)  # 0.1 px a picture


def test_a_jump_is_told_and_the_rest_is_found_again(opened: Opened, tmp_path: Path) -> None:
    """The recording stops while the stage goes on to the next row, and beyond what a picture shows."""
    way = straight((20.0, 20.0), (STEP_PX, 0.0), 80)
    way += straight((40.0, 20.0 + 0.8 * ROWS), (STEP_PX, 0.0), 80)
    video = opened([write_film(tmp_path / "a.avi", shooting().film(way))])
    gap = video.selected[0].gaps
    assert [80 <= each.number <= 83 for each in gap] == [True]
    assert gap[0].time_s == pytest.approx(gap[0].number / 25)
    assert [row.found for row in video.rows] == [True, True]
    assert rms_px(made(video, tmp_path), truth_of(a=way)) < 0.1


def test_a_featureless_stretch_is_bridged_by_the_speed(opened: Opened, tmp_path: Path) -> None:
    camera = shooting()
    camera.specimen[:, 400:750] = 0.5
    way = straight((20.0, 30.0), (STEP_PX, 0.0), 130)
    video = opened([write_film(tmp_path / "a.avi", camera.film(way))])
    assert video.selected[0].gaps
    places = np.concatenate([row.places_px for row in video.rows])
    truth = np.array([way[number] for number in numbers(video)])
    assert errors_px(places, truth).max() < 12.0  # the speed is known to 1 %, the way is 550 px long
    steps = np.diff(truth[:, 0])
    assert steps.max() < 0.75 * COLUMNS  # nothing of the specimen is left out
    result = made(video, tmp_path)
    assert {tile.placed_by for tile in result.placement.tiles.values()} == {"registration", "stage"}


@pytest.mark.parametrize("before", [0, 12])
def test_a_slow_scan_is_put_together_whole(opened: Opened, tmp_path: Path, before: int) -> None:
    """Only 12 lines are new in each picture, while the stage goes on: every picture but few mixes two scans.

    The scan may be slow from the start, or after some pictures at TV speed.
    """
    camera = shooting(size=(420, 1300))
    lines, per_scan = 12, ROWS // 12
    way = straight((20.0, 30.0), (40.0, 0.0), 24)  # a step a scan
    scans = camera.film(way)
    frames, shown = [camera.frame(20.0, 30.0) for _ in range(before)], scans[0].copy()
    for scan in scans:
        for part in range(per_scan):
            shown[part * lines : (part + 1) * lines] = scan[part * lines : (part + 1) * lines]
            frames.append(shown.copy())
    video = opened([write_film(tmp_path / "a.avi", frames)])
    selected = video.selected[0]
    assert selected.slow_scan
    assert selected.rejected["refresh line"] >= 0.8 * len(frames)
    assert not selected.gaps
    for tile in video.planned()[1 if before else 0 :]:
        pixels = video.pixels(tile)
        assert any(np.array_equal(pixels, scan) for scan in scans)
    assert all(0.3 <= overlap <= 0.65 for overlap in overlaps(video)[:-1])
    assert len(video.planned()) > 8


def with_overlay(frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    shown = []
    for number, frame in enumerate(frames):
        bar = np.zeros((20, COLUMNS), np.uint8)
        cv2.putText(bar, "EHT 10 kV  WD 8 mm", (4, 14), cv2.FONT_HERSHEY_PLAIN, 0.8, 255)
        cv2.putText(bar, f"{number:04d}", (150, 14), cv2.FONT_HERSHEY_PLAIN, 0.8, 255)
        marked = frame.copy()
        marked[60:80, COLUMNS // 2] = 255
        marked[70, 80:112] = 255
        shown.append(np.vstack([marked, bar]))
    return shown


def test_a_data_bar_is_cut_off_and_a_crosshair_holds_nothing_fast(opened: Opened, tmp_path: Path) -> None:
    way = straight((20.0, 30.0), (2.0, 0.0), 60) + straight((140.0, 30.0), (STEP_PX, 0.0), 90)
    path = write_film(tmp_path / "a.avi", with_overlay(shooting("faint", noise=6.0).film(way)))
    video = opened([path])
    assert video.crop == (0, 0, COLUMNS, ROWS)
    assert 30 < video.marked_px < 600
    assert rms_px(made(video, tmp_path), truth_of(a=way)) < 0.8  # noise alone makes 0.3 of it, the crosshair the rest
    cropped = opened([path], crop=(10, 0, 170, 130))
    assert cropped.tile_shape == (130, 170)


def test_rows_that_cannot_be_found_lie_where_they_were_told(opened: Opened, tmp_path: Path) -> None:
    ways = [straight((20.0, 20.0), (STEP_PX, 0.0), 60), straight((25.0, 20.0 + 1.05 * ROWS), (STEP_PX, 0.0), 60)]
    files = [write_film(tmp_path / f"{i}.avi", shooting().film(way)) for i, way in enumerate(ways)]
    video = opened(files, layout=Layout("same", 1.05 * ROWS))
    assert [row.found for row in video.rows] == [True, False]
    assert video.rows[1].offset_px == pytest.approx((0.0, 1.05 * ROWS), abs=1.0)
    result = made(video, tmp_path)
    assert {tile.placed_by for tile in result.placement.tiles.values()} == {"registration", "stage"}


def test_the_band_can_be_asked_for(opened: Opened, tmp_path: Path) -> None:
    way = straight((20.0, 30.0), (STEP_PX, 0.0), 60)
    video = opened([write_film(tmp_path / "a.avi", shooting().film(way))], band=Band(0.6, 0.8))
    assert all(0.65 <= overlap <= 0.75 for overlap in overlaps(video)[:-1])


@pytest.mark.parametrize(("codec", "name"), [("MJPG", "a.avi"), ("mp4v", "a.mp4"), ("FFV1", "a.mkv")])
def test_any_container_is_read(opened: Opened, tmp_path: Path, codec: str, name: str) -> None:
    way = straight((20.0, 30.0), (STEP_PX, 0.0), 40)
    frames = [cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) for frame in shooting().film(way)]
    writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter.fourcc(*codec), 25, (COLUMNS, ROWS))
    for frame in frames:
        writer.write(frame)
    writer.release()
    video = opened([tmp_path / name])
    truth = np.array([way[number] for number in numbers(video)])
    assert errors_px(video.rows[0].places_px, truth).max() < 0.5


def test_a_series_of_pictures_is_a_video_too(opened: Opened, tmp_path: Path) -> None:
    way = straight((20.0, 30.0), (STEP_PX, 0.0), 30)
    for number, frame in enumerate(shooting().film(way)):
        cv2.imwrite(str(tmp_path / f"f{number:03d}.png"), frame)
    assert len(opened([tmp_path / "f%03d.png"]).planned()) >= 3


def test_bad_input_is_told_in_a_line(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "text.avi").write_text("no video")
    good = write_film(tmp_path / "a.avi", shooting().film(straight((20.0, 30.0), (STEP_PX, 0.0), 10)))
    other = write_film(tmp_path / "b.avi", [np.zeros((100, 100), np.uint8)] * 5)
    for files, said in [([tmp_path / "absent.avi"], "no such video"), ([tmp_path / "text.avi"], "not a video")]:
        with pytest.raises(InputError, match=said):
            opened(files)
    with pytest.raises(InputError, match=r"100 x 100 px of uint8, but a\.avi is 192 x 144 px of uint8"):
        opened([good, other])
    with pytest.raises(InputError, match="reaches beyond pictures of 192 x 144 px"):
        opened([good], crop=(100, 0, 100, 100))
    with pytest.raises(InputError, match="none of its 5 frames can be used"):
        opened([other])


def test_a_damaged_file_is_read_behind_its_damage(opened: Opened, tmp_path: Path) -> None:
    way = straight((20.0, 30.0), (STEP_PX, 0.0), 60)
    path = write_film(tmp_path / "a.avi", shooting().film(way))
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 40_000] = bytes(40_000)  # two pictures and a half
    path.write_bytes(damaged)
    video = opened([path])
    assert 50 < video.selected[0].seen < 60
    truth = np.array([way[number] for number in numbers(video)])
    assert numbers(video)[-1] > 50
    # behind the damage frames are counted by the times of the container, which may be a few frames off
    assert errors_px(np.concatenate([row.places_px for row in video.rows]), truth).max() < 3 * STEP_PX
