"""Ten minutes of a night with faults on the twin; `benchmarks/night.py` has the whole one."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from acquisition.journal import Event
from benchmarks.night import simulate
from benchmarks.night_faults import UNTOLD, WorldClock, account

NOON_S = 1.8e9  # of the wall's clock; the world's is 0 then
SPEED = 100.0


def test_ten_minutes_of_a_night_with_faults_end_with_every_tile_and_every_fault_told(tmp_path: Path) -> None:
    night, told = simulate(hours=1 / 6, tiles=36, speed=SPEED, seed=2, folder=tmp_path)
    assert night.outcome == "completed"
    assert night.hours >= 1 / 6
    assert (night.ok, night.tiles) == (36, 36)
    assert night.faults > 0
    assert not night.untold, told
    assert night.finished, night


@pytest.mark.parametrize(
    ("device", "what", "after_s", "kind"),
    [
        ("force", "no answer within 0.5 s", 0.5, "overcome"),
        ("scanner", "no answer within 0.5 s", 0.5, UNTOLD),
        ("force", "the detector is saturated", 0.5, UNTOLD),
        ("force", "no answer within 0.5 s", -0.5, UNTOLD),
        ("force", "no answer within 0.5 s", 5.0, UNTOLD),
    ],
)
def test_a_fault_is_told_by_a_line_about_it_and_its_device_at_its_time(
    device: str, what: str, after_s: float, kind: str
) -> None:
    fault = {"number": 1, "name": "silence", "device": "force", "time_s": 600.0, "parameters": {}}
    happened_at = datetime.fromtimestamp(NOON_S + 600.0 / SPEED + after_s, UTC).isoformat()
    trouble = {"device": device, "what": what, "cause": "DeviceTimeout", "happened_at": happened_at}
    line = Event(1, happened_at, "device_trouble", trouble)
    (told,) = account([fault], [], [line], WorldClock(NOON_S, 0.0, SPEED))
    assert told.kind == kind
