"""The run directory: what is written when, who may write, and what readers see."""

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import zarr

from acquisition import run_store
from acquisition.journal import Attempt, Journal, JournalError
from acquisition.run_folder import RunError, discard_unbegun, ensure_empty
from acquisition.run_frames import RunFrames
from acquisition.run_store import RunStore
from acquisition.shard import PAGE
from reconstruction.local_shifts import NOWHERE, LocalShift, LocalShifts
from reconstruction.registration import Edge
from reconstruction.sharpness import sharpness

NewStore = Callable[..., RunStore]

CONTRACT_COLUMNS = [
    "tile",
    "attempt",
    "row",
    "col",
    "started_at",
    "target_x_um",
    "target_y_um",
    "target_z_um",
    "actual_x_um",
    "actual_y_um",
    "actual_z_um",
    "force_nn",
    "focus_score",
    "mean",
    "sd",
    "verdict",
    "reason",
    "frame",
]


def attempt(tile: int, x_um: float, y_um: float, verdict: str = "ok") -> Attempt:
    return Attempt(
        tile=tile,
        attempt=1,
        row=0,
        col=tile,
        started_at="2026-01-01T00:00:00.000000+00:00",
        target_x_um=x_um,
        target_y_um=y_um,
        target_z_um=0.0,
        actual_x_um=x_um + 0.01,
        actual_y_um=y_um,
        actual_z_um=0.0,
        exposure_s=0.02,
        settle_s=0.03,
        total_s=0.06,
        verdict=verdict,
        reason=None if verdict == "ok" else "camera: no frame",
    )


def frame(value: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    return np.full((24, 32), value, np.uint16)


def test_holds_plan_rig_and_hash_before_anything_else(new_store: NewStore) -> None:
    store = new_store(name="night")
    run = json.loads((store.path / "run.json").read_text())
    assert run["plan"]["name"] == "night"
    assert run["plan_hash"] == store.plan.hash
    assert run["rig"]["name"] == "stand-ins"
    assert run["versions"]["nanoraster"]


def test_a_journalled_frame_can_be_read(new_store: NewStore) -> None:
    store = new_store()
    stored = store.record(attempt(0, 21.6, 31.2), frame(7))
    read = zarr.open_array(store.path / "raw.zarr", mode="r")
    assert stored.frame == 0
    assert (read[0] == 7).all()


def test_the_journal_has_the_columns_that_scripts_rely_on(new_store: NewStore) -> None:
    store = new_store()
    store.record(attempt(0, 21.6, 31.2), frame(7))
    with sqlite3.connect(store.path / "journal.db") as db:
        row = db.execute(f"SELECT {', '.join(CONTRACT_COLUMNS)} FROM tiles").fetchone()
    db.close()
    assert row[-3:] == ("ok", None, 0)


def test_refuses_a_folder_in_use(new_store: NewStore) -> None:
    new_store().close()
    with pytest.raises(RunError, match="in use"):
        new_store()


def test_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json"):
        RunStore(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="not readable"):
        RunStore(tmp_path)
    (tmp_path / "run.json").write_text('{"plan": {"region": 7, "x": 1}}')
    with pytest.raises(RunError, match=r"not readable as a run: plan: .*x: unknown key") as refusal:
        RunStore(tmp_path)
    assert "https://" not in str(refusal.value)


@pytest.mark.parametrize("part", ["journal.db", "raw.zarr/zarr.json"])
def test_refuses_a_run_of_which_a_part_is_gone_and_adds_nothing_to_it(new_store: NewStore, part: str) -> None:
    store = new_store()
    store.close()
    (store.path / part).unlink()
    with pytest.raises(RunError, match=str(store.path)):
        RunStore(store.path)
    assert not (store.path / part).exists()


def test_goes_on_numbering_frames_where_the_journal_ends(new_store: NewStore) -> None:
    store = new_store()
    store.record(attempt(0, 21.6, 31.2), frame(7))
    store.close()
    with closing(RunStore.reopen(store.path)) as again:
        assert again.record(attempt(1, 23.0, 31.2), frame(8)).frame == 1


def test_goes_on_where_it_was_cut_off(new_store: NewStore) -> None:
    with closing(new_store()) as store:
        store.record(attempt(0, 21.6, 31.2), frame(7))
        store.record(attempt(1, 23.0, 31.2, verdict="retry"), None)
    with closing(RunStore.reopen(store.path, store.plan)) as again:
        assert [tile.index for tile in again.missing()] == [1, 2, 3, 4, 5]
        assert again.attempts() == {0: 1, 1: 1}
        assert again.is_being_acquired()


def test_leaves_nothing_of_a_frame_that_was_never_acknowledged(new_store: NewStore) -> None:
    store = new_store()
    store.record(attempt(0, 21.6, 31.2), frame(7))
    before = {file: file.read_bytes() for file in store.path.glob("raw.zarr/**/*") if file.is_file()}
    store.raw.write(1, [store.encode(frame(8))])  # as far as a crash lets it
    store.close()
    RunStore.reopen(store.path).close()
    assert {file: file.read_bytes() for file in store.path.glob("raw.zarr/**/*") if file.is_file()} == before


def test_names_the_frames_that_are_gone_although_the_journal_has_them(new_store: NewStore) -> None:
    with closing(new_store()) as store:
        for tile in range(3):
            store.record(attempt(tile, 20 + tile, 30), frame(tile))
    with (store.path / "raw.zarr/c/0/0/0").open("r+b") as file:
        file.write(b"torn")
    with pytest.raises(RunError, match="3 frames that the journal names are damaged: 0, 1, 2"):
        RunStore.reopen(store.path)


def test_mends_what_a_power_cut_has_torn_and_takes_the_rest_again(new_store: NewStore) -> None:
    with closing(new_store()) as store:
        for tile in range(3):
            store.record(attempt(tile, 20 + tile, 30), frame(tile))
    with (store.path / "raw.zarr/c/0/0/0").open("r+b") as file:
        file.write(b"torn")
        file.seek(3 * PAGE)
        file.write(bytes(PAGE))  # the last frame
    with closing(RunStore.reopen(store.path, mend=True)) as again:
        assert [tile.index for tile in again.missing()] == [2, 3, 4, 5]
        assert [(event.kind, event.data) for event in again.journal.events()] == [
            ("run_mended", {"damaged": 3, "lost": [2]})
        ]
        again.record(dataclasses.replace(attempt(2, 22, 30), attempt=2), frame(2))
        read = zarr.open_array(store.path / "raw.zarr", mode="r")
        assert [int(read[number].max()) for number in range(3)] == [0, 1, 2]
    RunStore.reopen(store.path).close()


@pytest.mark.parametrize("mend", [False, True])
def test_refuses_a_run_of_which_two_tiles_claim_the_same_frame(new_store: NewStore, mend: bool) -> None:
    store = new_store()
    for tile in (0, 1, 2):
        store.record(attempt(tile, 20.0 + tile, 30.0), frame(tile))
    store.journal._db.execute("UPDATE tiles SET frame = 0 WHERE tile = 2")
    store.close()
    with pytest.raises(RunError, match=r"journal\.db: tiles 0 and 2 both claim frame 0"):
        RunStore.reopen(store.path, mend=mend)
    raw = RunStore(store.path).raw
    assert raw.lost([0, 1, 2]) == [], "nothing is taken away from it"


def test_refuses_another_plan(new_store: NewStore) -> None:
    store = new_store()
    store.close()
    other = store.plan.model_copy(update={"name": "another"})
    with pytest.raises(RunError, match=f"{store.plan.hash}, not {other.hash}"):
        RunStore.reopen(store.path, other)
    run = json.loads((store.path / "run.json").read_text())
    run["plan"]["camera"]["exposure_ms"] = 99
    (store.path / "run.json").write_text(json.dumps(run))
    with pytest.raises(RunError, match=f"its plan was changed: plan_hash = {store.plan.hash}"):
        RunStore.reopen(store.path)


def test_has_one_writer(new_store: NewStore) -> None:
    with closing(new_store()) as store:
        with pytest.raises(RunError, match="being acquired by another process"):
            RunStore.reopen(store.path)
        with pytest.raises(RunError, match="reading only"):
            RunStore(store.path).record(attempt(0, 20, 30), None)
    RunStore.reopen(store.path).close()


def test_a_run_that_never_began_is_told_and_can_be_discarded(
    new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut_off:
        cut_off.setattr(run_store, "write_durably", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            new_store()
    for way in (RunStore, RunStore.reopen, ensure_empty):
        with pytest.raises(RunError, match="before it began"):
            way(tmp_path / "run")
    assert discard_unbegun(tmp_path / "run")
    new_store().close()
    assert not discard_unbegun(tmp_path / "run")


def test_reads_and_goes_on_with_the_journal_of_an_older_version(new_store: NewStore) -> None:
    with closing(new_store()) as store:
        store.record(attempt(0, 20, 30), frame(0))
    with closing(sqlite3.connect(store.path / "journal.db")) as db:
        db.execute("ALTER TABLE tiles DROP COLUMN drift_x_um")
    assert RunStore(store.path).journal.attempts()[0][1].drift_x_um == 0.0
    with closing(RunStore.reopen(store.path)) as again:
        again.record(dataclasses.replace(attempt(1, 20, 30), drift_x_um=0.25), frame(1))
        assert [attempt.drift_x_um for _, attempt in again.journal.attempts()] == [0.0, 0.25]


def test_enters_mean_and_spread_of_a_frame(new_store: NewStore) -> None:
    with closing(new_store()) as store:
        pixels = np.random.default_rng(0).integers(0, 65536, (24, 32), dtype=np.uint16)
        stored = store.record(attempt(0, 20, 30), pixels)
        assert (stored.mean, stored.sd) == pytest.approx((pixels.mean(), pixels.std()))


@pytest.mark.parametrize("text", ['{"missing": ', "[]", "", None])
def test_a_damaged_line_of_the_journal_is_named(new_store: NewStore, text: str | None) -> None:
    store = new_store()
    store.journal.add_event("run_started", missing=6)
    store.journal.add_event("overlap_corrected")
    store.journal._db.execute("UPDATE events SET data = ? WHERE seq = 2", (text,))
    with pytest.raises(JournalError, match=r"journal\.db: table events, row 2: damaged"):
        store.missing()


def test_edges_come_back_as_they_were_measured(new_store: NewStore) -> None:
    store = new_store()
    local = LocalShifts([LocalShift(0.9, -0.5, -0.8, -0.5, 0.31, 1e-3, 400.0, -3.5, 12.0), LocalShift(*range(9))])
    edges = [Edge(0, 1, 0.1 + 0.2, -1e-17, 0.987, True, local=local), Edge(1, 2, 3.0, 4.0, 0.0, False)]
    for edge in edges:
        store.journal.add_edge(edge)
    assert store.journal.edges(local=True) == edges


def test_edges_of_an_older_journal_are_read_and_added_to(new_store: NewStore) -> None:
    store = new_store()
    old = Edge(0, 1, 1.0, 2.0, 0.9, True)
    new = Edge(1, 2, 1.0, 2.0, 0.9, True, local=LocalShifts([LocalShift(*range(9))]))
    store.journal.add_edge(old)
    store.close()
    with closing(sqlite3.connect(store.path / "journal.db")) as database:
        database.execute("ALTER TABLE edges DROP COLUMN local")
        database.commit()
    with closing(Journal(store.path / "journal.db")) as journal:
        journal.add_edge(new)
        assert journal.edges(local=True) == [old, dataclasses.replace(new, local=NOWHERE)]
        journal.add_new_columns()
        journal.add_edge(new)
        assert journal.edges(local=True) == [old, new]


def test_followers_see_each_tile_once_and_end_with_the_writer(new_store: NewStore) -> None:
    store = new_store()
    source = RunFrames(store.path, remember_edges=True)
    batches = source.follow()
    assert next(batches) == []
    store.record(attempt(0, 21.6, 31.2), frame(7))
    store.record(attempt(1, 23.0, 31.2, verdict="retry"), None)
    (tile,) = next(batches)
    assert (tile.x_px, tile.y_px) == (pytest.approx(216.1 - 15.5), pytest.approx(312.0 - 11.5))
    assert (source.pixels(tile) == 7).all()
    store.record(dataclasses.replace(attempt(1, 23.0, 31.2), attempt=2), frame(8))
    store.release()
    assert [tile.index for batch in batches for tile in batch] == [1]


def test_trusts_only_what_was_approached_in_the_positive_direction(new_store: NewStore) -> None:
    store = new_store()
    places_um = [(20, 30), (22, 30), (24, 30), (24, 32), (22, 32), (22, 34)]
    for tile, (x_um, y_um) in enumerate(places_um):
        store.record(attempt(tile, x_um, y_um), frame(tile))
    store.release()
    (batch,) = RunFrames(store.path, remember_edges=False).follow()
    assert [tile.anchor for tile in batch] == [True, True, True, True, False, False]


def test_a_calibrated_backlash_corrects_what_the_scanner_says(new_store: NewStore) -> None:
    store = new_store(rig={"calibration": {"backlash_um": {"x": 0.5, "y": 0.25}}})
    for tile, (x_um, y_um) in enumerate([(20, 30), (22, 30), (22, 32), (20, 32)]):
        store.record(attempt(tile, x_um, y_um), frame(tile))
    store.release()
    (batch,) = RunFrames(store.path, remember_edges=False).follow()
    before_um = [x_um + 0.01 for x_um in (20, 22, 22, 20)]
    corrected_um = [(tile.x_px + 15.5) * 0.1 - x_um for tile, x_um in zip(batch, before_um, strict=True)]
    assert corrected_um == pytest.approx([0, 0, 0, 0.5])
    assert all(tile.anchor for tile in batch)


WRITER = """
import sys, time
from pathlib import Path
from acquisition.plan import Plan
from acquisition.field import Field
from acquisition.run_store import RunStore
plan = Plan.model_validate({"region": {"x_um": [0, 9], "y_um": [0, 9]}})
store = RunStore.create(Path(sys.argv[1]), plan, Field((24, 32), 0.1), {})
print("ready", flush=True)
time.sleep(60)
"""


def test_the_writers_hold_ends_with_its_process(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    store = RunStore(tmp_path / "run")
    assert store.is_being_acquired()
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    assert not store.is_being_acquired()


def test_enters_how_sharp_a_frame_is_by_the_measure_of_the_focus(new_store: NewStore) -> None:
    x_px = np.arange(32)
    wave = np.tile(1000 + 300 * np.sin(2 * np.pi * 0.25 * x_px), (24, 1)).astype(np.uint16)
    with closing(new_store()) as store:
        stored = store.record(attempt(0, 20, 30), wave)
        assert stored.focus_score == pytest.approx(sharpness(wave))
        assert stored.focus_score == pytest.approx(2 * np.pi * 0.25 * 0.3 / np.sqrt(2), rel=0.2)  # rms slope; tapered
        assert store.journal.attempts()[0][1].focus_score == stored.focus_score
        assert store.record(attempt(1, 25, 30, verdict="retry"), None).focus_score is None
