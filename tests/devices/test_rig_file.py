"""Reading rig files: what they mean, and how they say what is wrong."""

import json
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Literal

import pytest

from devices import drivers
from devices.drivers import GROUP, OURS
from devices.rig import RigFileError, RigSettings
from devices.rig_file import ROLE_KINDS
from devices.settings import DriverSettings, Kind, MmCoreSettings, OpenCvVideoSettings, PiGcsSettings

RIG = """
name = "bench"
[calibration]
pixel_size_um = 0.02
frame_shape_px = [512, 640]
[devices.scanner]
driver = "pi_gcs"
host = "127.0.0.1"
port = 12345
axes = { x = "1", y = "2", z = "3" }
limits_um = { x = [0.0, 100.0], y = [0.0, 100.0], z = [0.0, 10.0] }
[devices.focus]
driver = "esp301"
url = "socket://127.0.0.1:1"
axis = 1
limits_um = [0.0, 100000.0]
[devices.camera]
driver = "mmcore"
cfg = "camera.cfg"
[devices.force]
driver = "scpi"
url = "socket://127.0.0.1:2"
stiffness_n_per_m = 42.0
sensitivity_nm_per_v = 50.0
"""


def test_reads_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_text(RIG)
    rig = RigSettings.load(tmp_path / "rig.toml")
    assert rig.calibration.frame_shape_px == (512, 640)
    assert isinstance(rig.devices.scanner, PiGcsSettings)
    assert rig.devices.scanner.limits_um["z"] == (0.0, 10.0)
    assert list(rig.devices.by_role()) == ["scanner", "focus", "camera", "force"]


def test_a_relative_path_starts_at_the_rig_file(tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_text(RIG)
    camera = RigSettings.load(tmp_path / "rig.toml").devices.camera
    assert isinstance(camera, MmCoreSettings)
    assert camera.cfg == tmp_path / "camera.cfg"


@pytest.mark.parametrize(
    ("source", "meant"), [('"night.avi"', "{folder}/night.avi"), ('"rtsp://sem/1"', "rtsp://sem/1"), ("2", 2)]
)
def test_a_video_is_a_recording_a_stream_or_a_grabber(tmp_path: Path, source: str, meant: str | int) -> None:
    (tmp_path / "rig.toml").write_text(f'{RIG}[devices.video]\ndriver = "opencv"\nsource = {source}\n')
    video = RigSettings.load(tmp_path / "rig.toml").devices.video
    assert isinstance(video, OpenCvVideoSettings)
    assert video.source == (meant.format(folder=tmp_path) if isinstance(meant, str) else meant)


def test_survives_the_way_through_json() -> None:
    rig = RigSettings.from_toml(RIG)
    assert RigSettings.model_validate(json.loads(json.dumps(rig.model_dump(mode="json")))) == rig


def test_focus_and_force_may_be_missing() -> None:
    text = RIG[: RIG.index("[devices.focus]")] + RIG[RIG.index("[devices.camera]") : RIG.index("[devices.force]")]
    devices = RigSettings.from_toml(text).devices
    assert devices.focus is None
    assert devices.force is None


OTHER_KIND = """driver = "scpi"
url = "socket://127.0.0.1:3"
stiffness_n_per_m = 1.0
sensitivity_nm_per_v = 1.0
"""


@pytest.mark.parametrize(
    ("written", "instead", "lines"),
    [
        ("port = 12345", "port = 70000", ["devices.scanner.port = 70000: should be less than"]),
        ("host =", "hots =", ["devices.scanner.host: required, but not given", "devices.scanner.hots: unknown key"]),
        ("pixel_size_um = 0.02", "pixel_size_um = 0", ["calibration.pixel_size_um = 0: should be great"]),
        ("frame_shape_px = [512, 640]", "", ["calibration.frame_shape_px: required, but not given"]),
        ("z = [0.0, 10.0]", "z = [10, 0]", ["devices.scanner.limits_um.z = [10, 0]: the lower limit 10 um is not"]),
        ('z = "3" }', 'z = "2" }', ["devices.scanner.axes", "two axes have the same identifier"]),
        (', z = "3" }', "}", ["limits of z, but the axes are x, y"]),
        ('"esp301"', '"esp302"', [f"devices.focus: no driver 'esp302'; there are {', '.join(sorted(OURS))}"]),
        ('driver = "mmcore"\ncfg = "camera.cfg"', OTHER_KIND,
         ["devices.camera", "driver 'scpi' makes a force, the role needs a camera"]),
        ("[devices.camera]", "[devices.camra]", ["devices.camera: required, but not", "devices.camra: unknown key"]),
        ("stiffness_n_per_m = 42.0", "stiffness_n_per_m = nan", ["devices.force.stiffness_n_per_m = nan"]),
        ("pixel_size_um = 0.02", "pixel_size_um = ", ["not TOML"]),
    ],
)  # fmt: skip
def test_says_what_is_wrong_in_a_line_each(written: str, instead: str, lines: list[str]) -> None:
    assert written in RIG
    with pytest.raises(RigFileError) as wrong:
        RigSettings.from_toml(RIG.replace(written, instead, 1))
    for line in lines:
        assert line in str(wrong.value)
    assert len(str(wrong.value).splitlines()) <= len(lines)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RigFileError, match=r"nowhere\.toml"):
        RigSettings.load(tmp_path / "nowhere.toml")


def test_every_driver_says_which_kind_it_is() -> None:
    for name, (model, _) in OURS.items():
        assert issubclass(model, DriverSettings)
        assert model.model_fields["driver"].default == name
        assert model.kind in ROLE_KINDS.values()


class OtherSettings(DriverSettings):
    """What another package's camera needs to know."""

    kind: ClassVar[Kind] = "camera"
    driver: Literal["other"] = "other"
    serial_number: int


def test_another_package_s_driver_is_read_with_its_own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("other_package")
    package.__dict__["DRIVER"] = (OtherSettings, lambda name, settings: None)
    monkeypatch.setitem(sys.modules, "other_package", package)
    points = EntryPoints([EntryPoint("other", "other_package:DRIVER", GROUP)])
    monkeypatch.setattr(drivers, "entry_points", lambda **wanted: points.select(**wanted))
    theirs = RIG.replace('driver = "mmcore"\ncfg = "camera.cfg"', 'driver = "other"\nserial_number = 7')
    camera = RigSettings.from_toml(theirs).devices.camera
    assert camera == OtherSettings(serial_number=7)
    with pytest.raises(RigFileError, match=r"devices\.camera\.serial_number = 'seven'"):
        RigSettings.from_toml(theirs.replace("= 7", "= 'seven'"))


def test_no_driver_knows_the_twin() -> None:
    for module in Path(__file__).parents[2].joinpath("devices").glob("*.py"):
        text = module.read_text(encoding="utf-8").lower()
        assert "hardware_sim" not in text, module.name
        assert "simulat" not in text, module.name
        assert "twin" not in text, module.name
