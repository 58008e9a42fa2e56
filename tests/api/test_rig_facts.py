"""What the API tells of a rig file: enough to plan with, and nothing that opens doors."""

import json
from pathlib import Path

import pytest

from api.rig_facts import rig_facts
from devices.rig import RigSettings
from tests.api.service_bench import rig_file

RULES = """
[[interlocks]]
name = "laser"
signal = { kind = "file", path = "laser" }
other_than = "ok"
action = "retract"
resume = "manual"
[[interlocks]]
name = "rail"
signal = { kind = "device", device = "scanner", reading = "x_um" }
above = 60.0
[[interlocks]]
name = "room"
signal = { kind = "http", url = "http://127.0.0.1:9/room?key=secret", key = "temperature_c" }
above = 28
missing = "ignore"
"""


@pytest.fixture
def rig(tmp_path: Path) -> RigSettings:
    path = rig_file(tmp_path)
    path.write_text(path.read_text() + RULES)
    (tmp_path / "laser").write_text("off")
    return RigSettings.load(path)


def test_field_and_travel_are_those_of_the_rig_file(rig: RigSettings, tmp_path: Path) -> None:
    facts = rig_facts(rig, tmp_path)
    assert facts["field_um"] == pytest.approx([3.2, 2.4])
    assert facts["field_corners_um"][2] == pytest.approx([1.6, 1.2])
    assert facts["limits_um"]["x"] == [0, 100]
    assert facts["drivers"] == {"scanner": "pi_gcs", "camera": "mmcore"}


def test_interlocks_say_what_they_have_against_a_run_now(rig: RigSettings, tmp_path: Path) -> None:
    laser, rail, room, disk = rig_facts(rig, tmp_path)["interlocks"]
    assert laser == {
        "name": "laser",
        "watches": "file laser",
        "trips": "other than ok",
        "action": "retract",
        "resume": "manual",
        "is_read_now": True,
        "wrong": "off is not ok",
    }
    assert (rail["watches"], rail["trips"], rail["is_read_now"], rail["wrong"]) == (
        "x_um of scanner",
        "above 60",
        False,
        None,
    )
    assert (room["watches"], room["trips"]) == ("temperature_c at 127.0.0.1/room", "above 28")
    assert "cannot be read" in room["wrong"]
    assert (disk["name"], disk["wrong"]) == ("disk", None)


def test_no_secret_of_an_address_is_told(rig: RigSettings, tmp_path: Path) -> None:
    assert "secret" not in json.dumps(rig_facts(rig, tmp_path))
