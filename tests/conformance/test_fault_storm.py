"""A short storm of random faults over all drivers at once; `benchmarks/fault_storm.py` has the long one."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.fault_storm import players, rage, running_world


def test_no_fault_hangs_a_driver_or_passes_for_the_truth(tmp_path: Path) -> None:
    with running_world(tmp_path) as world, ExitStack() as opened:
        storm = rage(world, players(world, opened), faults=60, seed=11, said=lambda line: None)
    assert storm.broken == []
    assert {outcome for _, _, outcome in storm.outcomes} > {"right", "DeviceTimeout", "DeviceLost"}
