"""The morning report: what a stranger reads in it, of a good night, a bad one, and one that is not over."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from acquisition.field import Field
from acquisition.journal import Attempt
from acquisition.overlap import PlannedTile
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from api.night.charts import Level, Series, time_chart
from api.night.report import TOLD_PICTURE_BYTES, mosaic_picture, write_night_report
from api.night.sections import MOST_ROWS
from api.night.time_axis import TimeAxis
from api.night.words import duration, flat
from tests.api.conftest import told

SIDE_PX, PIXEL_UM = 96, 0.05
FIELD = Field((SIDE_PX, SIDE_PX), PIXEL_UM)
Command = Callable[..., subprocess.CompletedProcess[str]]


class Specimen:
    """Grains, photographed without any error of place."""

    def __init__(self) -> None:
        noise = np.random.default_rng(7).standard_normal((800, 800))
        grains = cv2.GaussianBlur(noise, (0, 0), 2.0)
        self._image = np.clip(3000 + 9000 * grains, 1, 65535).astype(np.uint16)

    def frame(self, tile: PlannedTile) -> Any:
        left, top = (round(place_um / PIXEL_UM - SIDE_PX / 2) for place_um in (tile.x_um, tile.y_um))
        return self._image[top : top + SIDE_PX, left : left + SIDE_PX]


def attempt(tile: PlannedTile, number: int = 1, **changes: Any) -> Attempt:
    started_at = datetime.now(UTC).isoformat(timespec="microseconds")
    taken = Attempt(
        tile=tile.index,
        attempt=number,
        row=tile.row,
        col=tile.col,
        started_at=started_at,
        target_x_um=tile.x_um,
        target_y_um=tile.y_um,
        target_z_um=1.0,
        exposure_s=0.02,
        actual_x_um=tile.x_um,
        actual_y_um=tile.y_um,
        actual_z_um=1.0,
        settle_s=0.03,
        total_s=0.06,
        force_nn=500.0,
        verdict="ok",
    )
    return replace(taken, **changes)


def failed(tile: PlannedTile, number: int, verdict: str) -> Attempt:
    nothing = {"actual_x_um": None, "actual_y_um": None, "force_nn": None}
    return attempt(tile, number, verdict=verdict, cause="timeout", reason="camera: no <frame>", total_s=2.5, **nothing)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    """A run of 3 x 3 tiles of which none is taken yet."""
    plan = {"name": "pads & <vias>", "region": {"x_um": (10.0, 21.5), "y_um": (10.0, 21.5)}, "tiles": {"overlap": 0.25}}
    plan["force"] = {"policy": "contact"}
    measured_at = "2026-01-01T12:00:00+00:00"
    calibration = {"pixel_size_um": PIXEL_UM, "frame_shape_px": FIELD.shape_px, "measured_at": measured_at}
    found = RunStore.create(
        tmp_path / "run", Plan.model_validate(plan), FIELD, {"name": "rig 2", "calibration": calibration}
    )
    yield found
    found.close()


def a_night(store: RunStore) -> None:
    """One tile at the second attempt, one not at all, one doubtful; a pause, a drift and a crash in between."""
    specimen, journal = Specimen(), store.journal
    journal.add_event("run_started")
    for tile in store.tiles():
        match tile.index:
            case 2:
                store.record(failed(tile, 1, "retry"), None)
                store.record(attempt(tile, 2), specimen.frame(tile))
            case 4:
                store.record(attempt(tile, reason="focus: below half of its neighbours"), specimen.frame(tile))
                journal.add_event("paused", reason="somebody looks at the specimen")
                journal.add_event("continued")
            case 6:
                store.record(failed(tile, 1, "skipped"), None)
                journal.add_event("tile_skipped", tile=6, reason="camera: no <frame>")
                journal.add_event("run_resumed")
            case _:
                drift = {"drift_x_um": 0.01 * tile.index, "drift_y_um": 0.0}
                store.record(attempt(tile, **drift), specimen.frame(tile))
        journal.add_event("drift_measured", x_um=0.01 * tile.index, y_um=0.0)
    journal.add_event("force_tripped", reason="2041 nN is above 2000 nN")
    journal.add_event("run_completed")
    store.release()


class _Strict(HTMLParser):
    """Refuses elements that are closed in the wrong order or not at all."""

    EMPTY = frozenset({"meta", "img", "rect", "circle", "path", "polyline", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in self.EMPTY

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def read_page(run: Path) -> str:
    """The page, checked to be well formed and to need nothing else."""
    text = (run / "report" / "report.html").read_text()
    parser = _Strict()
    parser.feed(text.removeprefix("<!doctype html>"))
    assert parser.open == []
    assert all(address.startswith("data:image/png;base64,") for address in parser.addresses)
    assert not re.search(r"https?:|<script|@import|url\(", text)
    return text


def test_tells_what_a_night_was_like(store: RunStore) -> None:
    a_night(store)
    subprocess.run([sys.executable, "-m", "api.worker", str(store.path)], check=True, timeout=100, capture_output=True)
    page = read_page(store.path)
    assert "pads &amp; &lt;vias&gt;" in page
    assert "<b>8 of 9</b>" in page
    for reason in ("1 tile was given up", "1 tile was taken but doubtful", "The force tripped once", "was down once"):
        assert reason in page
    counts = re.findall(r'<i class="(\w+)"></i>(\d+) ', page)
    assert dict(counts) == {"ok": "6", "retried": "1", "flagged": "1", "skipped": "1"}
    assert page.count('<rect class="ok"') == 6
    for chart in ("Time per attempt", "Drift of the specimen", "Force of the probe", "Sharpness of the tiles"):
        assert chart in page
    assert "Focus, z in um" not in page  # it was not sought
    assert page.count('class="kept"') >= 6  # of 12 pairs of neighbours, a tile with four of them is missing
    assert "camera: no &lt;frame&gt;" in page
    picture = re.search(r'src="data:image/png;base64,([^"]+)"', page)
    assert picture is not None
    image = cv2.imdecode(np.frombuffer(base64.b64decode(picture[1]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape == pytest.approx((230, 230), abs=4)  # 11.5 um of 0.05 um, and what the registration found
    assert image.std() > 20


def test_summary_counts_the_night(store: RunStore) -> None:
    a_night(store)
    summary = write_night_report(store.path)
    assert json.loads((store.path / "report" / "summary.json").read_text()) == summary
    assert summary["tiles"] == {"planned": 9, "ok": 8, "retried": 1, "flagged": 1, "skipped": 1, "failed": 0}
    assert summary["resumed"] == 1
    assert summary["lost_time_s"]["timeout"] == pytest.approx(5.0)
    assert set(summary["lost_time_s"]) == {"timeout", "paused", "down"}


def test_a_run_that_has_not_begun_has_a_report(store: RunStore) -> None:
    summary = write_night_report(store.path)
    assert summary["tiles"]["ok"] == 0
    page = read_page(store.path)
    assert "Nothing was taken yet" in page
    assert "There is no mosaic yet" in page


def test_a_run_that_goes_on_says_until_when(store: RunStore) -> None:
    store.journal.add_event("run_started")
    first, *_ = store.tiles()
    store.record(attempt(first), Specimen().frame(first))
    write_night_report(store.path)
    page = read_page(store.path)
    assert '<span class="badge running">' in page
    assert "Expected to end" in page
    assert "8 not tried" in page


def test_a_run_that_was_cut_off_says_how_to_go_on(store: RunStore) -> None:
    store.journal.add_event("run_started")
    store.release()
    write_night_report(store.path)
    assert "`nanoraster resume` takes the rest" in read_page(store.path)


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        ({"reason": "stopped over HTTP"}, "stopped over HTTP; `nanoraster resume` takes the rest."),
        (
            {"reason": "interlock gas: leak is not ok"},
            "interlock gas: leak is not ok; `nanoraster resume` takes the rest.",
        ),
        ({"reason": ""}, "Somebody stopped the run at "),
        ({"reason": "its window has closed", "for_now": True}, "its window has closed; its job goes on with it."),
    ],
)
def test_a_stopped_run_says_who_or_what_stopped_it(store: RunStore, ended: dict[str, Any], told: str) -> None:
    store.journal.add_event("run_started")
    store.journal.add_event("needs_somebody", reason="hands in the rig")
    store.journal.add_event("run_stopped", **ended)
    store.release()
    write_night_report(store.path)
    page = read_page(store.path)
    assert told in page
    assert ("Somebody stopped" in page) == (not ended["reason"])
    assert ("will be paused when it goes on: hands in the rig." in page) == ("for_now" in ended)


def test_the_end_of_a_night_with_very_many_events_is_shown(store: RunStore) -> None:
    for number in range(MOST_ROWS + 5):
        store.journal.add_event("device_trouble", reason=f"trouble-{number}-")
    store.journal.add_event("run_failed", reason="the last straw")
    write_night_report(store.path)
    page = read_page(store.path)
    assert "After 6 earlier events" in page
    shown = page[page.index("After 6 earlier events") :]
    assert "the last straw" in shown
    assert ("trouble-5-" in shown, "trouble-6-" in shown) == (False, True)


def test_damaged_positions_are_named(store: RunStore, nanoraster: Command) -> None:
    positions = store.path / "positions.csv"
    for damaged in (b"file,x_px\xff\xfe", b"file,x_px,y_px\n0,1,2\n", b"file,x_px,y_px,placed_by,score\n0,1\n"):
        positions.write_bytes(damaged)
        refused = nanoraster("report", store.path)
        assert refused.returncode == 2
        assert f"{positions}: damaged" in refused.stderr


def test_a_full_disk_is_named(store: RunStore, nanoraster: Command) -> None:
    (store.path / "report").mkdir(exist_ok=True)
    (store.path / "report" / "summary.partial").symlink_to("/dev/full")
    refused = nanoraster("report", store.path)
    assert refused.returncode != 0
    assert "No space left on device" in refused.stderr
    assert str(store.path / "report" / "summary.json") in refused.stderr


def test_a_failed_run_says_why(store: RunStore) -> None:
    store.journal.add_event("run_started")
    store.journal.add_event("run_failed", reason="camera: the connection is gone")
    write_night_report(store.path)
    assert "camera: the connection is gone." in read_page(store.path)


def test_everything_that_a_run_went_on_without_is_worth_a_look(store: RunStore) -> None:
    journal = store.journal
    journal.add_event("run_started")
    first, second, third, *_ = store.tiles()
    for tile in (first, second, third):
        store.record(failed(tile, 1, "skipped"), None)
        journal.add_event("tile_skipped", tile=tile.index, reason="camera: no frame", final=True)
    store.record(attempt(first, 2), Specimen().frame(first))
    for _ in range(2):
        journal.add_event("focus_measured", tile=0, z_um=1.0, score=2.0)
        journal.add_event("focus_refused", tile=0, reason="nothing stands out")
        journal.add_event("telling_failed", channel="lab chat", reason="Connection refused")
        journal.add_event("quality_refused", tile=5, reason="black")
    journal.add_event("telling_failed", channel="mail", reason="the server refused d@e.f", partly=True)
    journal.add_event("drift_refused", reason="anchor: nothing to hold on to")
    journal.add_event("overlap_unknown", row=1, missing=2, waited_s=10.0)
    journal.add_event("calibration_doubtful", row=1, reason="pixels are 5 % larger than the calibration says")
    journal.add_event("force_tripped", reason="2041 nN is above 2000 nN")
    journal.add_event("guardian_died", code=-9)
    journal.add_event("guardian_retracted", retracted=True, reason="the service was silent for 0.31 s", engaged=True)
    write_night_report(store.path)
    worth_a_look = read_page(store.path).partition("Worth a look")[2].partition("</ul>")[0]
    for said in (
        "2 tiles were given up",
        "3 tiles in a row failed",
        "1 tile was refused by the quality check",
        "The force tripped once, and the probe was retracted: 2041 nN is above 2000 nN.",
        "The guardian retracted the probe once: the service was silent for 0.31 s.",
        "The guardian has not given the probe back since.",
        "The guardian died once",
        "Drift was not corrected at all: anchor: nothing to hold on to.",
        "The focus was not found 2 of 4 times: nothing stands out.",
        "The overlaps of 1 row were not known in time",
        "Pixels are 5 % larger than the calibration says.",
        "Not everybody could be told by mail: the server refused d@e.f.",
    ):
        assert f"<li>{said}" in worth_a_look, said
    assert worth_a_look.count("Nobody could be told by lab chat: Connection refused.") == 1


def test_one_failure_of_a_sweep_is_one(tmp_path: Path) -> None:
    plan = {"region": {"x_um": (10.0, 21.5), "y_um": (10.0, 21.5)}, "tiles": {"mode": "line"}}
    rig = {"name": "rig 2", "calibration": {"pixel_size_um": PIXEL_UM, "frame_shape_px": FIELD.shape_px}}
    with closing(RunStore.create(tmp_path / "run", Plan.model_validate(plan), FIELD, rig)) as store:
        store.journal.add_event("run_started")
        row = [tile for tile in store.tiles() if tile.row == 0]
        assert len(row) >= 3
        for tile in row:
            store.record(failed(tile, 1, "retry"), None)
        write_night_report(store.path)
        assert "in a row failed" not in read_page(store.path)
        for number, tile in enumerate(row):  # stepped through
            store.record(replace(failed(tile, 2, "skipped"), total_s=1.0 + number / 8), None)
        write_night_report(store.path)
        assert f"{len(row)} tiles in a row failed" in read_page(store.path)


def test_a_run_that_is_paused_says_what_it_waits_for(store: RunStore) -> None:
    store.journal.add_event("run_started")
    first, *_ = store.tiles()
    store.record(attempt(first), Specimen().frame(first))
    store.journal.add_event("needs_somebody", reason="lunch")
    store.journal.add_event("paused", reason="lunch")
    store.journal.add_event("still_paused")
    write_night_report(store.path)
    page = read_page(store.path)
    assert "Paused, waits for somebody." in page
    assert "Expected to end" not in page
    assert "still paused" not in page


def test_the_command_writes_it(store: RunStore, nanoraster: Command) -> None:
    a_night(store)
    said = told(nanoraster("report", store.path, "--json"))
    assert Path(said["report"]).exists()
    assert said["summary"]["tiles"]["ok"] == 8


def test_the_command_refuses_what_is_no_run(tmp_path: Path, nanoraster: Command) -> None:
    refused = nanoraster("report", tmp_path)
    assert refused.returncode == 2
    assert f"{tmp_path}: not a run directory" in refused.stderr


def test_a_picture_for_a_message_is_small(store: RunStore) -> None:
    assert mosaic_picture(store.path) is None
    a_night(store)
    subprocess.run([sys.executable, "-m", "api.worker", str(store.path)], check=True, timeout=100, capture_output=True)
    picture = mosaic_picture(store.path)
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    assert len(picture) <= TOLD_PICTURE_BYTES


def test_a_long_night_is_thinned_but_keeps_its_extremes() -> None:
    times_s = [float(second) for second in range(100_000)]
    values = [1.0] * 100_000
    values[70_001] = 9.0
    chart = time_chart("", TimeAxis(0.0, 1e5), [Series("force", times_s, values, "first", "dots")])
    assert ": 9</title>" in chart
    assert chart.count("<circle") < 2000


def test_a_chart_without_a_point_is_left_out() -> None:
    axis = TimeAxis(0.0, 10.0)
    assert time_chart("", axis, [Series("force", [], [], "first")], [Level("limit", 2000.0)]) == ""
    assert time_chart("", axis, [Series("time", [1.0], [0.0], "first")], log=True) == ""


@pytest.mark.parametrize("length_s", [0.0, 3.0, 600.0, 36_000.0, 3e5, 3e7])
def test_ticks_are_round_and_few(length_s: float) -> None:
    start = datetime(2026, 3, 1, 21, 3, 7).astimezone()
    axis = TimeAxis(start.timestamp(), (start + timedelta(seconds=length_s)).timestamp())
    ticks = axis.ticks()
    assert len(ticks) <= 10
    assert all(axis.at(axis.start_s) <= x <= axis.at(axis.end_s) for _, x in ticks)
    if length_s == 36_000.0:
        assert [label for label, _ in ticks] == ["22:00", "00:00", "02:00", "04:00", "06:00"]


def test_durations_in_two_units() -> None:
    said = [duration(seconds) for seconds in (0.0042, 6.1412, 59.9, 60, 754, 34_573, 360_000)]
    assert said == ["4 ms", "6.14 s", "59.9 s", "1 min", "12 min 34 s", "9 h 36 min", "100 h 0 min"]


def test_settings_are_shown_by_their_whole_names() -> None:
    plan = {"tiles": {"overlap": 0.2, "overlap_band": None}, "region": {"x_um": [1.0, 2.5]}, "force": True}
    assert flat(plan) == [("tiles.overlap", "0.2"), ("region.x_um", "1, 2.5"), ("force", "yes")]
