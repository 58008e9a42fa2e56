"""Writing measured values into a rig file that somebody wrote by hand."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devices.rig_file import Backlash, Calibration, MeasuredOn, RigFileError, RigSettings, SettleTime, Uncertainty
from devices.rig_writer import edited, refuse_unwritable, write_calibration

RIG = """\
# our rig; do not touch
name = "bench"   # the left one

[calibration]
pixel_size_um = 0.0217          # a guess
frame_shape_px = [
    512,  # rows
    640,
]
backlash_um = { x = 0.1, y = 0.1 }

# what hangs on it
[devices.scanner]
driver = "pi_gcs"
host = "127.0.0.1"
axes = { x = "1", y = "2" }
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
[ devices.force ]  # glued in May
driver = "scpi"
url = "socket://127.0.0.1:2"
sensitivity_nm_per_v = 55 # by the maker
stiffness_n_per_m = 42.0"""

MEASURED = Calibration(
    pixel_size_um=0.02000123456,
    frame_shape_px=(512, 640),
    camera_to_stage_um=((0.02, -0.0003), (0.0003, 0.02)),
    backlash_um=Backlash(x=0.12, y=0.118),
    settle_s=SettleTime(x=0.017, y=0.0171),
    measured_at=datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
    measured_on=MeasuredOn(settle_s=datetime(2026, 11, 20, 12, 0, tzinfo=UTC)),
    uncertainty=Uncertainty(pixel_size_um=4e-6, rotation_deg=0.012, backlash_um=Backlash(x=0.007, y=0.008)),
)


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.toml"
    path.write_text(RIG)
    return path


def test_what_was_measured_is_read_back(rig: Path) -> None:
    write_calibration(rig, MEASURED, 50.25)
    settings = RigSettings.load(rig)
    assert settings.calibration == MEASURED.model_copy(update={"pixel_size_um": 0.02000123})
    assert settings.devices.force.model_dump()["sensitivity_nm_per_v"] == 50.25  # type: ignore[union-attr]


def test_all_else_stays_as_it_was_written(rig: Path) -> None:
    write_calibration(rig, MEASURED, 50.25)
    lines = rig.read_text().splitlines()
    assert "pixel_size_um = 0.02000123          # a guess" in lines
    assert "sensitivity_nm_per_v = 50.25 # by the maker" in lines
    unchanged = [line for line in RIG.splitlines() if not line.startswith(("pixel", "sensitivity", "backlash"))]
    left = iter(lines)
    assert all(line in left for line in unchanged)  # in their order


def test_the_file_as_it_was_is_kept_beside(rig: Path) -> None:
    before = write_calibration(rig, MEASURED, None)
    assert before == rig.with_name("rig.toml.before")
    assert before.read_text() == RIG
    assert sorted(path.name for path in rig.parent.iterdir()) == ["rig.toml", "rig.toml.before"]


def test_written_twice_it_is_the_same(rig: Path) -> None:
    write_calibration(rig, MEASURED, 50.25)
    once = rig.read_text()
    write_calibration(rig, MEASURED, 50.25)
    assert rig.read_text() == once


def test_no_copy_takes_the_place_of_an_earlier_one(rig: Path) -> None:
    copies = [write_calibration(rig, MEASURED, value) for value in (50.0, 51.0, 52.0)]
    assert [copy.name for copy in copies] == ["rig.toml.before", "rig.toml.before-2", "rig.toml.before-3"]
    assert copies[0].read_text() == RIG
    assert "sensitivity_nm_per_v = 51.0" in copies[2].read_text()


def test_a_link_stays_one_and_what_it_leads_to_is_written(rig: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.toml"
    link.parent.mkdir()
    link.symlink_to(rig)
    before = write_calibration(link, MEASURED, 50.25)
    assert link.is_symlink()
    assert RigSettings.load(rig).calibration.measured_at == MEASURED.measured_at
    assert before == rig.with_name("rig.toml.before")


def test_line_ends_of_windows_stay(rig: Path) -> None:
    rig.write_bytes(RIG.replace("\n", "\r\n").encode())
    write_calibration(rig, MEASURED, 50.25)
    text = rig.read_bytes()
    assert text.count(b"\n") == text.count(b"\r\n")


@pytest.mark.parametrize(
    "spelled",
    [
        RIG.replace("backlash_um = { x = 0.1, y = 0.1 }", "[calibration.backlash_um]\nx = 0.1\ny = 0.1"),
        RIG.replace("[ devices.force ]  # glued in May", "[devices]\n[devices.'force']"),
        "calibration.pixel_size_um = 0.02\ncalibration.frame_shape_px = [1, 1]\n",
    ],
)
def test_a_spelling_that_it_cannot_edit_is_left_alone(rig: Path, spelled: str) -> None:
    tomllib.loads(spelled)
    rig.write_text(spelled)
    with pytest.raises(RigFileError, match="cannot be edited in place"):
        write_calibration(rig, MEASURED, 50.25)
    with pytest.raises(RigFileError, match="cannot be edited in place"):
        refuse_unwritable(rig, MEASURED, 50.25)
    assert rig.read_text() == spelled


def test_what_can_be_written_is_not_refused_and_stays_as_it_is(rig: Path) -> None:
    refuse_unwritable(rig, RigSettings.load(rig).calibration, 55.0)
    assert [path.name for path in rig.parent.iterdir()] == ["rig.toml"]
    assert rig.read_text() == RIG


def test_finds_out_beforehand_about_a_key_that_only_a_measurement_will_add(rig: Path) -> None:
    text = RIG.replace("backlash_um = { x = 0.1, y = 0.1 }", "[calibration.uncertainty]\nrotation_deg = 0.1")
    rig.write_text(text)
    with pytest.raises(RigFileError, match="cannot be edited in place"):
        refuse_unwritable(rig, RigSettings.load(rig).calibration, None)


def test_a_key_inside_a_longer_text_is_no_key() -> None:
    text = '[calibration]\nnote = """\npixel_size_um = 3\n[devices]\n"""\npixel_size_um = 1.0\n'
    changed = edited(text, {"calibration": {"pixel_size_um": 2.0}})
    assert changed == text.replace("pixel_size_um = 1.0", "pixel_size_um = 2.0")
