"""Focus on a running twin, through the drivers: the tilted specimen of a world file, seen by a strong lens."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from acquisition.focus import FocusControl
from acquisition.instructions import Instructions
from acquisition.overlap import PlannedTile
from acquisition.plan import Plan
from api.twin import running_twin
from devices.rig import RigSettings, open_rig

NA = 0.95
HALF_DEPTH_UM = 0.55 / NA**2 / 2
TILT = (2e-3, -1.5e-3)
IN_FOCUS_UM = 50_000.0
REGION = {"x_um": (4.0, 96.0), "y_um": (4.0, 96.0)}
WORLD = """
specimen_tilt_mrad = [2.0, -1.5]
[camera]
pixel_nm = 50.0
frame_shape_px = [256, 256]
[optics]
na = 0.95
"""
PLACES_UM = (10.0, 36.0, 62.0, 88.0)
TILES = [PlannedTile(4 * row + col, row, col, PLACES_UM[col], PLACES_UM[row]) for row in range(4) for col in range(4)]


def asked(url: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/{path}", data=data), timeout=30.0) as answer:
        answered: dict[str, Any] = json.loads(answer.read())
    return answered


def defocus_um(url: str) -> float:
    """How far the plane of sharpness lies from a flat specimen, by the world's own account."""
    truth = asked(url, "truth")
    x_um, y_um, z_um = truth["scanner_um"]
    return float(truth["focus_um"]) - IN_FOCUS_UM - z_um - TILT[0] * x_um - TILT[1] * y_um


def test_a_map_keeps_all_tiles_of_the_twin_within_half_the_depth_of_field(tmp_path: Path) -> None:
    (tmp_path / "world.toml").write_text(WORLD)
    plan = Plan.model_validate({"region": REGION, "focus": {"policy": "map", "map_points": 5}})
    events: list[dict[str, Any]] = []
    options = ["--world", str(tmp_path / "world.toml"), "--specimen", "siemens", "--pixel-nm", "50"]
    with running_twin(options) as twin, open_rig(RigSettings.load(twin.rig), leave_out=("video", "force")) as rig:
        assert rig.focus is not None
        rig.camera.set_exposure_s(plan.camera.exposure_s)
        rig.scanner.move_to({"z": 5.0})
        rig.focus.move_to({"z": IN_FOCUS_UM + 4.0})
        focus = FocusControl(rig, plan, TILES, Instructions(), lambda kind, **data: events.append(data))
        before_um, after_um = [], []
        for tile in (TILES[0], TILES[3], TILES[12], TILES[15]):
            rig.scanner.move_to({"x": tile.x_um, "y": tile.y_um})
            before_um.append(abs(defocus_um(twin.world.url)))
        focus.prepare()
        for i, tile in enumerate(TILES):
            rig.scanner.move_to({"x": tile.x_um, "y": tile.y_um})
            focus.at_tile(tile, i % 4 == 0)
            after_um.append(abs(defocus_um(twin.world.url)))
    assert sum("tile" in data for data in events) == 5
    assert max(before_um) > HALF_DEPTH_UM
    assert max(after_um) < HALF_DEPTH_UM


def test_no_range_of_a_search_takes_the_probe_of_the_twin_to_the_specimen() -> None:
    plan = Plan.model_validate({"region": REGION, "focus": {"policy": "tile", "range_um": 20.0}})
    events: list[tuple[str, dict[str, Any]]] = []
    with (
        running_twin(["--specimen", "siemens", "--pixel-nm", "50"]) as twin,
        open_rig(RigSettings.load(twin.rig), leave_out=("video",)) as rig,
    ):
        rig.retract()
        focus = FocusControl(rig, plan, TILES, Instructions(), lambda kind, **data: events.append((kind, data)))
        rig.camera.set_exposure_s(plan.camera.exposure_s)
        asked(twin.world.url, "force", {"over_nn": 0.0})
        for tile in TILES[5:7]:
            rig.scanner.move_to({"x": tile.x_um, "y": tile.y_um})
            focus.at_tile(tile, first_of_row=False)
        sought = asked(twin.world.url, "truth")
        focus.lift_back()
        assert asked(twin.world.url, "force")["peak_nn"] is None
        assert not sought["probe_contact"]
        assert asked(twin.world.url, "truth")["focus_um"] > IN_FOCUS_UM - 1.0
    assert "focus_measured" in [kind for kind, _ in events]
