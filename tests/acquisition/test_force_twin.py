"""The force on the twin over its wires: what the world says about a short scan, with and without trouble."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from acquisition.force import ForceControl
from acquisition.force_errors import ForceTripped
from acquisition.instructions import Instructions
from acquisition.plan import Force
from api.twin import Twin, running_twin
from devices.errors import DeviceError
from devices.rig import Rig, open_rig
from devices.rig_file import RigSettings
from tests.acquisition.force_bench import until

WORLD = """
specimen_tilt_mrad = [1.5, -2.0]
[cantilever]
contact_height_um = 12.0
"""
MOST_OVER_S = 0.25
"""Of a force that jumps over the limit by itself: half a second of a busy machine's stalls would be too much, an idle
one takes 5 ms (`benchmarks/force_test.py`)."""
TRIES = 12
"""A stall of 50 ms trips the wire, rightly, and a busy machine has some."""
SETTLED_WITHIN_S = 20.0
"""The loop takes half a second on an idle machine."""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """A tilted specimen beyond the reach of the piezo, in air: the adhesion saturates the detector."""
    world: Path = tmp_path_factory.mktemp("force") / "world.toml"
    world.write_text(WORLD)
    with running_twin(["--world", str(world), "--pixel-nm", "50", "--seed", "3"]) as started:
        yield started


@pytest.fixture
def rig(twin: Twin) -> Iterator[Rig]:
    with open_rig(RigSettings.load(twin.rig)) as opened:
        yield opened


def ask(twin: Twin, path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(twin.world.url + path, data=data), timeout=10) as answer:
        return json.load(answer)


def come_to(control: ForceControl, x_um: float, y_um: float) -> float:
    """Bring the probe to a place; a busy machine may trip the wire by being late."""
    for _ in range(TRIES - 1):
        try:
            control.before_step()
            control.move_to({"x": x_um, "y": y_um})
            return control.at_tile()
        except DeviceError:
            continue
    control.before_step()
    return control.at_tile()


def settled_nn(twin: Twin, wanted_nn: float, tolerance_nn: float) -> float:
    """Mean of 20 looks at a stage that trembles by 21 nN, once it is near what is wanted or had time to get there."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while True:
        mean_nn = fmean(ask(twin, "/truth")["force_nn"] for _ in range(20))
        if abs(mean_nn - wanted_nn) <= tolerance_nn or time.monotonic() > deadline:
            return mean_nn


def test_scans_a_tilted_specimen_at_its_set_point_and_below_its_limit(twin: Twin, rig: Rig) -> None:
    settings = Force(policy="contact")
    ask(twin, "/force", {"over_nn": settings.limit_nn})
    with ForceControl(rig, settings, Instructions(), lambda kind, **data: None) as control:
        for x_um in (40.0, 44.0, 48.0):
            come_to(control, x_um, 50.0)
            assert settled_nn(twin, 500.0, 40.0) == pytest.approx(500.0, abs=40.0)  # settled to 2 %
    watched, truth = ask(twin, "/force"), ask(twin, "/truth")
    assert watched["times_over"] == 0
    assert watched["peak_nn"] < settings.limit_nn
    assert truth["scanner_um"][2] < 0.1
    assert not truth["probe_contact"]


def test_hovering_pulls_off_through_saturation_without_a_trip(twin: Twin, rig: Rig) -> None:
    noted: list[dict[str, Any]] = []
    settings = Force(policy="hover")
    with ForceControl(
        rig, settings, Instructions(), lambda kind, **data: noted.append({"kind": kind, **data})
    ) as control:
        for x_um in (40.0, 44.0):
            come_to(control, x_um, 50.0)
            assert ask(twin, "/truth")["probe_contact"]
            control.before_step()
            assert not ask(twin, "/truth")["probe_contact"]
    late = [note for note in noted if note["kind"] == "force_tripped" and "no reading for" not in note["reason"]]
    assert late == []


def test_a_specimen_that_jumps_trips_the_wire(twin: Twin, rig: Rig) -> None:
    settings = Force(policy="contact")
    with ForceControl(rig, settings, Instructions(), lambda kind, **data: None) as control:
        come_to(control, 40.0, 50.0)
        ask(twin, "/force", {"over_nn": settings.limit_nn})
        ask(twin, "/faults", {"name": "force_runaway", "nn_per_s": 1e6, "for_s": 0.005})
        until(lambda: not ask(twin, "/truth")["probe_contact"])
        with pytest.raises(ForceTripped):
            control.before_step()
        watched, truth = ask(twin, "/force"), ask(twin, "/truth")
        assert truth["scanner_um"][2] < 0.1
        assert watched["peak_nn"] > settings.limit_nn
        assert 0 < watched["longest_over_s"] < MOST_OVER_S
        come_to(control, 40.0, 50.0)
        assert settled_nn(twin, 500.0, 40.0) == pytest.approx(500.0, abs=40.0)


def test_a_contact_with_the_probe_retracted_is_no_baseline(twin: Twin, rig: Rig) -> None:
    noted: list[dict[str, Any]] = []
    with ForceControl(
        rig, Force(policy="contact"), Instructions(), lambda kind, **data: noted.append({"kind": kind, **data})
    ) as control:
        come_to(control, 40.0, 50.0)
        z_um = rig.scanner.read_position_um()["z"]
        control.release()
        rise_nn = z_um * 42_000.0 + 340.0  # so that 500 nN at z become 840 nN at 0
        ask(twin, "/faults", {"name": "force_runaway", "nn_per_s": 1e6, "for_s": rise_nn / 1e6})
        until(lambda: ask(twin, "/truth")["probe_contact"])
        come_to(control, 40.0, 50.0)
        assert settled_nn(twin, 500.0, 40.0) == pytest.approx(500.0, abs=40.0)
    engaged = [note for note in noted if note["kind"] == "force_engaged"]
    assert abs(engaged[-1]["baseline_nn"]) < 100.0


def test_a_specimen_that_rises_beyond_the_piezo_is_left_by_the_coarse_stage(twin: Twin, rig: Rig) -> None:
    noted: list[str] = []
    with ForceControl(rig, Force(policy="contact"), Instructions(), lambda kind, **data: noted.append(kind)) as control:
        come_to(control, 40.0, 50.0)
        ask(twin, "/faults", {"name": "force_runaway", "nn_per_s": 1e6, "for_s": 0.6})  # 14 um
        until(lambda: "force_tripped" in noted)
        until(lambda: ask(twin, "/truth")["force_nn"] > 1e5)  # z is down, and that is not enough
        control.release()
        truth = ask(twin, "/truth")
        assert not truth["probe_contact"]
        assert truth["scanner_um"][2] < 0.1
        come_to(control, 40.0, 50.0)
        assert settled_nn(twin, 500.0, 40.0) == pytest.approx(500.0, abs=40.0)
