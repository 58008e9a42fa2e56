"""Faults are armed by name, drawn by a schedule that the seed fixes, and logged; a bad request is told why."""

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from hardware_sim.clock import ManualClock
from hardware_sim.errors import UsageError
from hardware_sim.fault_kinds import DEVICES, known
from hardware_sim.faults import Armed, Faults, Script, in_one_line, load_script


def test_an_armed_fault_befalls_the_operation_that_was_named() -> None:
    faults = Faults(ManualClock(), seed=1)
    faults.arm(Armed(name="silence", device="scanner", after=2, times=2))
    befallen = [faults.next("scanner") is not None for _ in range(6)]
    assert befallen == [False, False, True, True, False, False]
    assert [fault["operation"] for fault in faults.injected()] == [3, 4]


def test_operations_of_other_devices_do_not_count() -> None:
    faults = Faults(ManualClock(), seed=1)
    faults.arm(Armed(name="silence", device="scanner"))
    assert faults.next("focus") is None
    fault = faults.next("scanner")
    assert fault is not None
    assert fault.name == "silence"


def test_a_fault_waits_for_its_time() -> None:
    clock = ManualClock()
    faults = Faults(clock, seed=1)
    faults.arm(Armed(name="black_frame", device="camera", at_s=5.0))
    assert faults.next("camera") is None
    clock.advance(5.0)
    assert faults.next("camera") is not None


def test_a_fault_of_the_world_acts_at_once() -> None:
    faults, happened = Faults(ManualClock(), seed=1), []
    faults.on("drift_burst", lambda device, parameters: happened.append((device, parameters["x_um"])))
    faults.arm(Armed(name="drift_burst", x_um=1.5))
    assert happened == [("scanner", 1.5)]
    assert faults.injected()[0]["name"] == "drift_burst"


@pytest.mark.parametrize("device", DEVICES)
def test_the_night_spares_99_operations_in_100_and_leaves_no_kind_out(device: str) -> None:
    faults = Faults(ManualClock(), seed=4, script=load_script("night"))
    operations = 6000
    for _ in range(operations):
        faults.next(device)
    names = Counter(fault["name"] for fault in faults.injected())
    assert 0.006 < sum(names.values()) / operations < 0.014  # binomial: 5 sigma are 0.0064
    assert set(names) == set(known(device))


def test_the_same_seed_gives_the_same_night_however_devices_take_turns() -> None:
    first, second = (Faults(ManualClock(), seed=9, script=Script(rate=0.05)) for _ in range(2))
    for _ in range(500):
        first.next("scanner")
    for _ in range(500):
        first.next("camera")
    for _ in range(500):
        second.next("camera")
        second.next("scanner")
    order = sorted((fault["device"], fault["operation"], fault["name"]) for fault in first.injected())
    assert order == sorted((fault["device"], fault["operation"], fault["name"]) for fault in second.injected())


@pytest.mark.parametrize(
    ("request_body", "said"),
    [
        ({"name": "silence"}, "device: silence can befall scanner, focus, force, camera, video"),
        ({"name": "disk_full"}, "'disk_full' is no fault; there are black_frame, buffer_overrun,"),
        ({"device": "scanner"}, "name: Field required"),
        ({"name": "sulk", "device": "scanner"}, "'sulk' is not a fault of scanner, which has silence"),
        ({"name": "silence", "device": "kettle"}, "'kettle' is not one of scanner"),
        ({"name": "silence", "device": "scanner", "colour": 1}, "colour: silence has no parameters"),
        ({"name": "late_answer", "device": "force", "delay_s": "long"}, "delay_s: 'long' is not a number"),
        ({"name": "silence", "device": "scanner", "after": -1}, "after"),
        ({"name": ["a"], "device": "scanner"}, "name"),
        ({"name": "stuck_axis", "device": "scanner", "axis": 7}, "axis: 7 is outside 0..2"),
        ({"name": "stuck_axis", "device": "scanner", "axis": 1.5}, "axis: 1.5 is not a whole number"),
        ({"name": "stuck_axis", "device": "focus", "axis": 1}, "axis: stuck_axis has for_s"),
        ({"name": "controller_error", "device": "scanner", "code": float("inf")}, "code: inf is outside 0..9999"),
        ({"name": "drift_burst", "x_um": float("nan")}, "x_um: nan is outside -50..50"),
        ({"name": "late_answer", "device": "force", "delay_s": -1}, "delay_s: -1 is outside 0..60"),
    ],
)
def test_what_cannot_be_armed_is_told_why(request_body: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Armed.model_validate(request_body)
    assert said in in_one_line(refusal.value)


def test_parameters_may_stand_beside_the_name_or_in_a_table() -> None:
    flat = Armed.model_validate({"name": "late_answer", "device": "focus", "delay_s": 2})
    nested = Armed.model_validate({"name": "late_answer", "device": "focus", "parameters": {"delay_s": 2}})
    assert flat.parameters() == nested.parameters() == {"delay_s": 2}


def test_a_script_arms_faults_and_sets_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('rate = 0.5\n[[fault]]\nname = "lost_frame"\ndevice = "camera"\nafter = 3\n')
    script = load_script(str(path))
    assert script.rate == 0.5
    assert script.fault[0].after == 3
    path.write_text('[[fault]]\nname = "lost_frame"\ndevice = "scanner"\n')
    with pytest.raises(UsageError, match="not a fault of scanner"):
        load_script(str(path))
