"""A run that follows a live video: what it stores, what it warns of, and how it ends."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.plan import Plan, PlanError
from acquisition.readiness import check
from acquisition.run_frames import RunFrames
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from acquisition.summary import run_facts
from acquisition.video_run import VideoWatcher, follow_video, plan_of
from devices.errors import DeviceLost, DeviceTimeout, VideoEnded
from devices.protocols import VideoFrame
from devices.rig import RigSettings
from reconstruction.video_choice import Band, Standing
from tests.acquisition.world_rig import RIG
from tests.reconstruction.films import Shooting, straight
from tests.reconstruction.scenes import errors_px, texture

SHAPE = ROWS, COLUMNS = 120, 160
PIXEL_UM = 0.02
PERIOD_S = 0.04


class Played:
    """A video source that plays pictures, and errors where they stand in their place."""

    name = "video"
    dropped = 0

    def __init__(self, shown: Sequence[NDArray[np.uint8] | Exception]) -> None:
        self._shown = iter(shown)
        self._number = 0

    def read_frame(self) -> VideoFrame:
        shown = next(self._shown, None)
        if shown is None:
            raise VideoEnded(self.name, "no more")
        self._number += 1
        if isinstance(shown, Exception):
            raise shown
        return VideoFrame(shown, self._number, self._number * PERIOD_S)

    def stop(self) -> None: ...

    def close(self) -> None: ...


Followed = Callable[..., tuple[Outcome, RunStore]]


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    """Follow a video into a run; the run stays open for reading."""
    opened: list[RunStore] = []

    def run(shown: Sequence[NDArray[np.uint8] | Exception], **watched: object) -> tuple[Outcome, RunStore]:
        source, told = Played(shown), Instructions()
        field = Field(SHAPE, PIXEL_UM)
        with closing(RunStore.create(tmp_path / "run", plan_of("live", Band(), "none"), field, {})) as store:
            watcher = VideoWatcher(**watched)  # type: ignore[arg-type]
            outcome = follow_video(store, source, source.read_frame(), told, watcher)
        opened.append(RunStore(tmp_path / "run"))
        return outcome, opened[-1]

    yield run
    for store in opened:
        store.close()


def camera(seed: int = 1) -> Shooting:
    return Shooting(texture("natural", (300, 900), 7), SHAPE, 8.0, seed)


def test_chosen_frames_are_tiles_of_a_run_like_any_other(followed: Followed) -> None:
    way = straight((20.0, 40.0), (6.0, 0.5), 70)
    frames = camera().film(way)
    outcome, store = followed(frames)
    assert outcome is Outcome.COMPLETED
    attempts = [attempt for _, attempt in store.journal.attempts()]
    assert [attempt.tile for attempt in attempts] == list(range(len(attempts)))
    assert {attempt.verdict for attempt in attempts} == {"ok"}
    raw = zarr.open_array(store.path / "raw.zarr", mode="r")
    assert raw.shape == (len(attempts), *SHAPE)
    for attempt in attempts:
        assert attempt.camera_frame is not None
        assert np.array_equal(raw[attempt.frame], frames[attempt.camera_frame - 1])
    source = RunFrames(store.path, remember_edges=False)
    tiles = [tile for batch in source.follow() for tile in batch]
    assert len(tiles) == len(source.planned()) == len(attempts) > 4
    truth = np.array([way[(attempt.camera_frame or 0) - 1] for attempt in attempts])
    assert errors_px(np.array([(tile.x_px, tile.y_px) for tile in tiles]), truth).max() < 0.5
    source.store.close()
    facts = run_facts(store)
    assert facts["outcome"] == "completed"
    overlaps = [event.data["overlap"] for event in store.journal.events(kind="video_overlap")]
    assert overlaps[0] is None
    assert all(0.4 < overlap < 0.5 for overlap in overlaps[1:-1])  # type: ignore[operator]


def test_an_operator_is_warned_before_the_overlap_leaves_the_band(followed: Followed) -> None:
    """Out of focus while the stage goes on: nothing good is at hand."""
    way = straight((20.0, 40.0), (3.0, 0.0), 130)
    said: list[tuple[str, float]] = []
    now: list[Standing] = []
    _, store = followed(
        camera().film(way, dict.fromkeys(range(25, 65), "blurred")),
        stands=now.append,
        warned=lambda warning: said.append((warning, now[-1].overlap)),
    )
    assert "slow down" in said[0][0]
    assert 0.3 < said[0][1] <= 0.45
    assert len(store.journal.events(kind="video_overlap_leaving")) == len(said)


def test_a_stage_that_is_too_fast_for_the_frames_is_warned_of(followed: Followed) -> None:
    said: list[str] = []
    followed(camera().film(straight((20.0, 40.0), (32.0, 0.0), 20)), warned=said.append)
    assert said
    assert "slow down" in said[0]


def test_nobody_is_warned_of_a_steady_stage(followed: Followed) -> None:
    said: list[str] = []
    followed(camera().film(straight((20.0, 40.0), (6.0, 0.0), 80)), warned=said.append)
    assert said == []


def test_a_jump_is_noted_and_the_run_goes_on(followed: Followed) -> None:
    way = straight((20.0, 20.0), (5.0, 0.0), 40) + straight((500.0, 120.0), (5.0, 0.0), 40)
    _, store = followed(camera().film(way))
    assert len(store.journal.events(kind="video_gap")) == 1
    rows = [attempt.row for _, attempt in store.journal.attempts()]
    assert rows == sorted(rows)
    assert set(rows) == {0, 1}


def test_a_source_that_fails_for_a_moment_costs_nothing(followed: Followed) -> None:
    frames: list[NDArray[np.uint8] | Exception] = [*camera().film(straight((20.0, 40.0), (5.0, 0.0), 50))]
    frames[20:20] = [DeviceTimeout("video", "late")] * 2
    outcome, store = followed(frames)
    assert outcome is Outcome.COMPLETED
    assert not store.journal.events(kind="video_gap")


def test_a_source_that_is_gone_fails_the_run_and_keeps_what_was_taken(followed: Followed, tmp_path: Path) -> None:
    frames: list[NDArray[np.uint8] | Exception] = [*camera().film(straight((20.0, 40.0), (5.0, 0.0), 50))]
    with pytest.raises(DeviceLost):
        followed([*frames, *[DeviceLost("video", "gone")] * 9])
    with closing(RunStore(tmp_path / "run")) as store:
        assert len(store.tiles()) >= 3
        assert store.journal.events()[-1].kind == "run_failed"


def test_what_follows_a_video_is_no_plan_for_a_scan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"region": {"follows": "video"}}')
    plan = Plan.load(tmp_path / "plan.json")
    assert plan.follows_video
    assert "nanoraster video" in check(plan, RigSettings.from_toml(RIG), tmp_path / "out").problems[0]
    (tmp_path / "plan.json").write_text('{"region": {"follows": "film"}}')
    with pytest.raises(PlanError, match=r"region\.follows"):
        Plan.load(tmp_path / "plan.json")
