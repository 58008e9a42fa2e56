"""Tiles that somebody wants once more: taken the same night, once, and nothing lost if that fails; the world knows."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from pydantic import ValidationError

from acquisition.engine import Watcher, run
from acquisition.field import Field
from acquisition.instructions import Instructions
from acquisition.journal import Attempt, JournalError
from acquisition.plan import Plan
from acquisition.queue_errors import JobRefused, RetakeRefused
from acquisition.retakes import RetakeDesk, left_to_take, wanted_of
from acquisition.run_frames import RunFrames
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from acquisition.summary import run_facts
from acquisition.tile_fates import tile_fates
from devices.errors import DeviceRejected
from devices.protocols import Frame
from hardware_sim.settings import NAMED, WorldSettings
from reconstruction.local_misfit import Misfit
from tests.acquisition.world_rig import EXPOSURE_S, WorldRig, grain

PIXEL_UM = 0.02
SIDE_PX = 128
TILES = 9
LONGER = 2.0
"""At which no pixel of this specimen is saturated yet."""
SPECIMEN = grain(40.0, PIXEL_UM)
PLAN = {"region": {"x_um": (15.0, 21.5), "y_um": (15.0, 21.5)}, "on_failure": {"rejected": "retry:1 then skip"}}
Ask = Callable[[RetakeDesk], None]


class Night:
    """A run of nine tiles in a still world; what is asked for while it goes on, and what came of it."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        still = NAMED["still"].model_dump()
        still["camera"] |= {"frame_shape_px": (SIDE_PX, SIDE_PX)}
        self.stage = WorldRig(WorldSettings.model_validate(still), SPECIMEN, seed=3)
        self.path = folder / "run"
        plan = Plan.model_validate(PLAN | changes)
        rig = self.stage.rig.settings.model_dump(mode="json")
        self.store = RunStore.create(self.path, plan, Field((SIDE_PX, SIDE_PX), PIXEL_UM), rig)
        self.told = Instructions(attended=False)

    def go(self, after: int = -1, ask: Ask = lambda desk: None) -> Outcome:
        """Acquire, and ask once the frame of a tile is durable; -1: before anything begins."""
        desk = RetakeDesk(self.store)
        if after < 0:
            ask(desk)
        once = iter([ask])

        def acquired(attempt: Attempt) -> None:
            if attempt.tile == after and (act := next(once, None)):
                act(desk)

        return run(self.store, self.stage.rig, self.told, Watcher(acquired), desk=desk)

    def come_back(self) -> None:
        """Begin a new life where the last one was cut off."""
        self.store.close()
        self.store, self.told = RunStore.reopen(self.path), Instructions(attended=False)

    def attempts(self, tile: int) -> list[Attempt]:
        return [attempt for _, attempt in self.store.journal.attempts() if attempt.tile == tile]

    def exposed_s(self, attempt: Attempt) -> float:
        """How long the world says that an attempt was exposed."""
        assert attempt.camera_frame is not None
        (exposure, *_) = self.stage.world.exposures_after(attempt.camera_frame - 1)
        return exposure.end_s - exposure.start_s

    def frame(self, attempt: Attempt) -> Any:
        assert attempt.frame is not None
        return np.asarray(zarr.open_array(self.path / "raw.zarr", mode="r")[attempt.frame])


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_a_tile_is_taken_again_before_the_run_ends_and_the_later_frame_counts(night: Night) -> None:
    assert night.go(after=5, ask=lambda desk: desk.ask(4, LONGER, "a hair on it, says mia")) is Outcome.COMPLETED
    first, again = night.attempts(4)
    assert [attempt.tile for _, attempt in night.store.journal.attempts()] == [*range(TILES), 4]
    assert (again.verdict, again.cause, again.reason, again.frame) == ("ok", "asked", "a hair on it, says mia", TILES)
    assert night.exposed_s(first) == pytest.approx(EXPOSURE_S)
    assert night.exposed_s(again) == pytest.approx(LONGER * EXPOSURE_S) == pytest.approx(again.exposure_s)
    light = [float(night.frame(attempt).mean()) for attempt in (first, again)]
    assert light[1] > 1.5 * light[0]
    source = RunFrames(night.path, remember_edges=False)
    night.store.close()
    (arrived,) = source.follow()
    assert [(tile.index, tile.take) for tile in arrived if tile.take > 1] == [(4, 2)]
    # as bright as planned, but for the grey values that the camera adds to every frame
    assert source.pixels(arrived[4]).mean() == pytest.approx(light[0], rel=0.1)


def test_what_comes_after_a_longer_exposure_is_exposed_as_planned(night: Night) -> None:
    def both(desk: RetakeDesk) -> None:
        desk.ask(1, LONGER)
        desk.ask(3)

    night.go(after=4, ask=both)
    assert night.exposed_s(night.attempts(1)[-1]) == pytest.approx(LONGER * EXPOSURE_S)
    assert night.exposed_s(night.attempts(3)[-1]) == pytest.approx(EXPOSURE_S)


def test_the_report_counts_it_as_retried_with_its_cause(night: Night) -> None:
    night.go(after=5, ask=lambda desk: desk.ask(4, reason="a hair on it, says mia"))
    facts: Any = run_facts(night.store)
    assert facts["tiles"] == {"planned": TILES, "ok": TILES, "retried": 1, "flagged": 0, "skipped": 0, "failed": 0}
    fates = tile_fates(night.store.tiles(), (attempt for _, attempt in night.store.journal.attempts()))
    assert [(fate.tile.index, fate.reasons) for fate in fates if fate.fate == "retried"] == [
        (4, ["a hair on it, says mia"])
    ]


def test_what_is_asked_for_while_the_last_tile_is_taken_again_is_granted_too(night: Night) -> None:
    desk = RetakeDesk(night.store)
    wishes = iter([(TILES - 1, 0), (0, 1), (0, 2)])

    def acquired(attempt: Attempt) -> None:
        if (attempt.tile == TILES - 1 or attempt.retake) and (wish := next(wishes, None)):
            desk.ask(wish[0])

    assert run(night.store, night.stage.rig, night.told, Watcher(acquired), desk=desk) is Outcome.COMPLETED
    taken = [attempt.tile for _, attempt in night.store.journal.attempts()]
    assert taken == [*range(TILES), TILES - 1, 0, 0]
    with pytest.raises(JobRefused, match="tile = 0: too late to take it again: acquiring is over"):
        desk.ask(0)


def test_a_wish_outlives_the_process_and_is_granted_once(night: Night) -> None:
    def ask_and_end(desk: RetakeDesk) -> None:
        desk.ask(2, LONGER, "for mia")
        night.told.stop("the service ends")

    assert night.go(after=3, ask=ask_and_end) is Outcome.STOPPED
    for _ in range(2):
        night.come_back()
        assert night.go() is Outcome.COMPLETED
    assert [(a.attempt, a.verdict, a.exposure_s) for a in night.attempts(2)] == [
        (1, "ok", EXPOSURE_S),
        (2, "ok", LONGER * EXPOSURE_S),
    ]
    assert left_to_take(night.store) == []


def test_a_run_with_all_its_frames_still_goes_on_for_a_wish(night: Night) -> None:
    night.go()
    night.come_back()
    RetakeDesk(night.store).ask(6)
    assert [tile.index for tile in left_to_take(night.store)] == [6]
    assert night.go() is Outcome.COMPLETED
    assert len(night.attempts(6)) == 2
    assert wanted_of(night.store) == {}


def test_a_frame_that_is_not_good_enough_leaves_the_one_before(tmp_path: Path) -> None:
    night = Night(tmp_path, camera={"exposure_ms": 150.0})  # at ten times as long most pixels are saturated
    assert night.go(after=5, ask=lambda desk: desk.ask(4, 10.0)) is Outcome.COMPLETED
    first, again = night.attempts(4)
    assert (again.verdict, again.cause, again.frame) == ("skipped", "quality", None)
    assert str(again.reason).startswith("saturated: ")
    assert str(again.reason).endswith("; the frame before stays")
    assert night.frame(first).any()
    assert run_facts(night.store)["tiles"] == {
        "planned": TILES, "ok": TILES, "retried": 1, "flagged": 0, "skipped": 0, "failed": 0
    }  # fmt: skip
    night.come_back()
    assert left_to_take(night.store) == []


def test_a_camera_that_refuses_the_exposure_leaves_the_frame_before(night: Night) -> None:
    def refuse(exposure_s: float) -> None:
        if exposure_s > EXPOSURE_S:
            raise DeviceRejected("camera", "exposure: 40 ms is outside 0.5..30 ms")

    night.stage.camera.set_exposure_s = refuse  # type: ignore[method-assign]
    assert night.go(after=5, ask=lambda desk: desk.ask(4, LONGER)) is Outcome.COMPLETED
    assert [(a.verdict, a.cause) for a in night.attempts(4)] == [("ok", None), ("skipped", "asked")]
    assert night.attempts(4)[-1].reason == "camera: exposure: 40 ms is outside 0.5..30 ms"
    skipped = night.store.journal.events(kind="tile_skipped")[-1].data
    assert (skipped["final"], str(skipped["reason"]).endswith("; the frame before stays")) == (True, True)
    assert night.frame(night.attempts(4)[0]).any()
    night.come_back()
    assert left_to_take(night.store) == []


def test_of_two_wishes_for_a_tile_the_last_one_counts(night: Night) -> None:
    def twice(desk: RetakeDesk) -> None:
        desk.ask(4)
        desk.ask(4, LONGER)

    night.go(after=5, ask=twice)
    assert [a.exposure_s for a in night.attempts(4)] == [EXPOSURE_S, LONGER * EXPOSURE_S]
    night.come_back()
    assert left_to_take(night.store) == []


def test_somebody_may_skip_it_after_all(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    snap = night.stage.camera.snap

    def skipped_at_last() -> Frame:
        if night.stage.camera.snaps == TILES:
            night.told.skip("never mind")
        return snap()

    monkeypatch.setattr(night.stage.camera, "snap", skipped_at_last)
    assert night.go(after=5, ask=lambda desk: desk.ask(4)) is Outcome.COMPLETED
    assert [(a.verdict, a.cause) for a in night.attempts(4)] == [("ok", None), ("skipped", "told")]
    night.come_back()
    assert left_to_take(night.store) == []


@pytest.mark.parametrize(
    ("tile", "factor", "said"),
    [
        (TILES, 1.0, "tile = 9: outside 0..8, the tiles of the plan"),
        (-1, 1.0, "tile = -1: outside 0..8, the tiles of the plan"),
        (0, 11.0, "exposure_factor = 11: outside 1..10"),
        (0, 0.5, "exposure_factor = 0.5: outside 1..10"),
        (0, float("nan"), "exposure_factor = nan: outside 1..10"),
    ],
)
def test_refuses_what_there_is_not(night: Night, tile: int, factor: float, said: str) -> None:
    desk = RetakeDesk(night.store)
    with pytest.raises(RetakeRefused) as refused:
        desk.ask(tile, factor)
    assert str(refused.value) == said
    assert night.store.journal.events() == []


def test_refuses_an_exposure_longer_than_any_plan_may_have(tmp_path: Path) -> None:
    desk = RetakeDesk(Night(tmp_path, camera={"exposure_ms": 20_000}).store)
    with pytest.raises(
        RetakeRefused, match=r"exposure_factor = 4: outside 1\.\.3, .*exposure_ms = 20000 and at most 60000"
    ):
        desk.ask(0, 4.0)


def test_refuses_a_tile_that_is_not_taken_yet(night: Night) -> None:
    desk = RetakeDesk(night.store)
    with pytest.raises(JobRefused, match="tile = 0: not taken yet"):
        desk.ask(0)


def test_a_wish_asks_the_journal_for_its_one_tile(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.go()
    desk = RetakeDesk(night.store)
    monkeypatch.delattr(type(night.store.journal), "attempts")
    desk.ask(4)
    assert desk.numbers() == [4]


def test_a_wish_that_cannot_be_noted_does_not_count(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.go()
    night.come_back()
    desk = RetakeDesk(night.store)

    def full(*rows: object) -> None:
        raise JournalError("journal: database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(night.store.journal, "add_event", lambda kind, **data: full())
        with pytest.raises(JournalError):
            desk.ask(0)
    assert desk.left() == []
    desk.ask(1)
    assert [tile.index for tile in desk.left()] == [1]
    with closing(RunStore(night.path)) as seen:
        assert list(wanted_of(seen)) == [1]


class Restorer:
    """Stands for the worker: tells of each frame, as soon as it is durable, how far its restored self explains it."""

    def __init__(self, night: Night, **agreements: float | None) -> None:
        self._night = night
        self._agreements = {int(name.removeprefix("tile")): value for name, value in agreements.items()}

    def __call__(self, attempt: Attempt) -> None:
        if attempt.frame is not None:
            agreement = self._agreements.get(attempt.tile, 0.98) if attempt.attempt == 1 else 0.98
            said = {"tile": attempt.tile, "attempt": attempt.attempt, "agreement": agreement, "least": 0.9}
            self._night.store.journal.note("tile_restored", **said)


@pytest.fixture
def doubting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Night]:
    """A night whose plan has doubtful restorations taken again; no worker registers anything."""
    monkeypatch.setattr("acquisition.judging.WORKER_S", 0.0)

    def begin(**changes: Any) -> Night:
        quality = {"policy": "retake", "budget": 0.5, "doubtful_exposure": LONGER} | changes
        return Night(tmp_path, quality=quality, reconstruction={"model": "nlm"})

    return begin


def test_what_was_invented_is_taken_again_with_a_longer_exposure(doubting: Callable[..., Night]) -> None:
    night = doubting()
    hears = Restorer(night, tile2=0.5, tile5=0.1, tile6=None)
    assert run(night.store, night.stage.rig, night.told, Watcher(hears)) is Outcome.COMPLETED
    assert [attempt.tile for _, attempt in night.store.journal.attempts()] == [*range(TILES), 2, 5]
    again = night.attempts(2)[-1]
    assert (again.verdict, again.cause) == ("ok", "doubtful")
    assert again.reason == "doubtful: restored, it explains 0.5 of its frame; at least 0.9 is wanted"
    assert night.exposed_s(again) == pytest.approx(LONGER * EXPOSURE_S)
    facts: Any = run_facts(night.store)
    assert (facts["tiles"]["ok"], facts["tiles"]["retried"], facts["tiles"]["flagged"]) == (TILES, 2, 0)


def test_doubtful_tiles_share_the_budget_of_retakes_over_a_new_start(doubting: Callable[..., Night]) -> None:
    night = doubting(budget=0.2)  # two of nine tiles
    hears = Restorer(night, tile2=0.5, tile5=0.1, tile6=0.2)

    def ends_at_the_first(attempt: Attempt) -> None:
        hears(attempt)
        if attempt.retake:
            night.told.stop("the service ends")

    assert run(night.store, night.stage.rig, night.told, Watcher(ends_at_the_first)) is Outcome.STOPPED
    night.come_back()
    assert run(night.store, night.stage.rig, night.told, Watcher(hears)) is Outcome.COMPLETED
    assert [attempt.tile for _, attempt in night.store.journal.attempts()] == [*range(TILES), 2, 5]


def test_a_run_without_that_setting_waits_for_nobody(night: Night) -> None:
    hears = Restorer(night, tile2=0.5)
    assert run(night.store, night.stage.rig, night.told, Watcher(hears)) is Outcome.COMPLETED
    assert len(night.attempts(2)) == 1


def test_a_worker_that_does_not_get_on_keeps_no_run_from_its_end(
    doubting: Callable[..., Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acquisition.doubts.PATIENCE_S", 0.05)
    night = doubting()
    hears = Restorer(night, tile0=0.5)

    def hears_of_the_first(attempt: Attempt) -> None:
        if attempt.tile == 0:
            hears(attempt)

    assert run(night.store, night.stage.rig, night.told, Watcher(hears_of_the_first)) is Outcome.COMPLETED
    (late,) = night.store.journal.events(kind="restoration_late")
    assert late.data["missing"] == TILES - 1
    assert len(night.attempts(0)) == 2


def test_the_worker_tells_of_restored_tiles_what_the_plan_wants_to_know(doubting: Callable[..., Night]) -> None:
    night = doubting()
    source = RunFrames(night.path, remember_edges=True)
    (tile, *_) = source.planned()
    misfit = Misfit(8.123, 5.5, 40, 70, 4.0, excess=True)
    source.report_restored(tile, 0.87654, 0.9, misfit.facts())
    source.report_restored(tile, None, 0.9)
    (said, again) = night.store.journal.events(kind="tile_restored")
    where = {"strength": 8.12, "limit": 5.5, "radius_px": 4.0, "x_px": 40, "y_px": 70, "excess": True}
    assert said.data == {"tile": 0, "attempt": 1, "agreement": 0.8765, "least": 0.9, "misfit": where}
    assert again.data == {"tile": 0, "attempt": 1, "agreement": None, "least": 0.9}


def test_a_tile_with_one_invented_particle_is_taken_again(doubting: Callable[..., Night]) -> None:
    """All of it but a few pixels agrees; the journal says where it does not."""
    night = doubting()

    def hears(attempt: Attempt) -> None:
        strength = 8.12 if attempt.tile == 3 and attempt.attempt == 1 else 4.9
        misfit = {"strength": strength, "limit": 5.5, "radius_px": 4.0, "x_px": 40, "y_px": 70, "excess": False}
        said = {"tile": attempt.tile, "attempt": attempt.attempt, "agreement": 0.98, "least": 0.9, "misfit": misfit}
        night.store.journal.note("tile_restored", **said)

    assert run(night.store, night.stage.rig, night.told, Watcher(hears)) is Outcome.COMPLETED
    assert [attempt.tile for _, attempt in night.store.journal.attempts()] == [*range(TILES), 3]
    reason = night.attempts(3)[-1].reason
    assert reason is not None
    assert reason.startswith("doubtful: at x 40, y 70 px its restored image is off by 8.12 deviations")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quality": {"doubtful_exposure": 4}}, "doubtful_exposure = 4: needs policy = 'retake', not 'flag'"),
        (
            {"quality": {"policy": "retake", "doubtful_exposure": 4}},
            "doubtful_exposure = 4: needs a reconstruction.model, not 'none'",
        ),
        (
            {
                "quality": {"policy": "retake", "doubtful_exposure": 4},
                "reconstruction": {"model": "nlm"},
                "camera": {"exposure_ms": 20_000},
            },
            "doubtful_exposure = 4: outside 1..3, for camera.exposure_ms = 20000 and at most 60000",
        ),
        ({"quality": {"policy": "retake", "doubtful_exposure": 11}}, "1..10"),
    ],
)
def test_a_plan_that_cannot_have_doubtful_tiles_taken_again_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Plan.model_validate(PLAN | changes)
    assert said in str(refused.value)
