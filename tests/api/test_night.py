"""Ten minutes of a night with faults on the twin; `benchmarks/night.py` has the whole one."""

from pathlib import Path

from benchmarks.night import simulate


def test_ten_minutes_of_a_night_with_faults_end_with_every_tile_and_every_fault_told(tmp_path: Path) -> None:
    night, told = simulate(hours=1 / 6, tiles=36, speed=100.0, seed=2, folder=tmp_path)
    assert night.outcome == "completed"
    assert night.hours >= 1 / 6
    assert (night.ok, night.tiles) == (36, 36)
    assert night.faults > 0
    assert not night.untold, told
    assert night.finished, night
