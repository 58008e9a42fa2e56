"""useq's MDASequence as a plan: the same places as useq itself goes to, and a word against all else."""

import json
from pathlib import Path
from typing import Any

import pytest
from useq import MDASequence

from acquisition.field import Field
from acquisition.layout import layout
from acquisition.plan import Plan
from acquisition.plan_file import PlanError
from acquisition.sequence import load_plan, sequence_plan

FIELD = Field((80, 100), 0.1)  # 10 x 8 um
AT = [{"x": 50.0, "y": 40.0}]
ROWS = {"rows": 3, "columns": 4, "overlap": 10}
EDGES = {"top": 60.0, "left": 10.0, "bottom": 30.0, "right": 47.0, "overlap": 15}


def places(plan: Plan) -> set[tuple[float, float]]:
    return {(round(tile.x_um, 6), round(tile.y_um, 6)) for tile in layout(plan, FIELD)}


def of_useq(raw: dict[str, Any]) -> set[tuple[float, float]]:
    """Where useq itself goes with the camera's field of view."""
    grid = {"fov_width": 10.0, "fov_height": 8.0} | raw["grid_plan"]
    events = list(MDASequence.model_validate(raw | {"grid_plan": grid}))
    return {(round(event.x_pos or 0.0, 6), round(event.y_pos or 0.0, 6)) for event in events}


@pytest.mark.parametrize(
    "raw",
    [
        {"grid_plan": ROWS, "stage_positions": AT},
        {"grid_plan": ROWS | {"relative_to": "top_left"}, "stage_positions": AT},
        {"grid_plan": ROWS | {"fov_width": 10.0, "fov_height": 8.0}, "stage_positions": [[50.0, 40.0]]},
        {"grid_plan": {"rows": 1, "columns": 1}, "stage_positions": AT},
    ],
)
def test_rows_and_columns_lie_where_useq_has_them(raw: dict[str, Any]) -> None:
    assert places(sequence_plan(raw, FIELD)) == of_useq(raw | {"stage_positions": AT})


@pytest.mark.parametrize(
    ("raw", "x_um", "y_um"),
    [
        ({"grid_plan": EDGES}, (10.0, 47.0), (30.0, 60.0)),
        ({"grid_plan": EDGES | {"top": 30.0, "bottom": 60.0}}, (10.0, 47.0), (30.0, 60.0)),
        ({"grid_plan": {"width": 30.0, "height": 20.0}, "stage_positions": AT}, (35.0, 65.0), (30.0, 50.0)),
    ],
)
def test_an_area_is_covered_to_its_rim_and_not_beyond(raw: dict[str, Any], x_um: Any, y_um: Any) -> None:
    found = places(sequence_plan(raw, FIELD))
    xs, ys = [x for x, _ in found], [y for _, y in found]
    assert (min(xs) - 5, max(xs) + 5) == pytest.approx(x_um)
    assert (min(ys) - 4, max(ys) + 4) == pytest.approx(y_um)
    assert len(found) <= len(of_useq(raw))


def test_what_else_a_plan_says_comes_along() -> None:
    more = {"name": "die 4", "focus": {"policy": "row"}, "tiles": {"dwell_s": 1.0}}
    raw = {
        "grid_plan": {"vertices": [[10, 10], [40, 10], [40, 30]], "overlap": 20, "mode": "spiral"},
        "channels": [{"config": "green", "exposure": 35.0}],
        "metadata": {"nanoraster": more, "operator": "mia"},
        "axis_order": "tpgcz",
        "time_plan": None,
    }
    plan = sequence_plan(raw, FIELD)
    assert plan.region.outline_um == ((10, 10), (40, 10), (40, 30))
    assert (plan.tiles.overlap, plan.tiles.order, plan.tiles.dwell_s) == (0.2, "spiral", 1.0)
    assert (plan.name, plan.camera.exposure_ms, plan.focus.policy) == ("die 4", 35.0, "row")
    assert sequence_plan({**raw, "metadata": {}}, FIELD).name == "useq, green"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"time_plan": {"interval": 1, "loops": 3}}, "time_plan: a plan has no such axis"),
        ({"z_plan": {"range": 3, "step": 1}}, "z_plan: a plan has no such axis"),
        ({"autofocus_plan": {"autofocus_motor_offset": 1, "axes": ["p"]}}, "autofocus_plan"),
        ({"keep_shutter_open_across": ["z"]}, "keep_shutter_open_across"),
        ({"zplan": 1}, "zplan: unknown key"),
        ({"axis_order": "tpgcq"}, "axis_order"),
        ({"channels": ["a", "b"]}, "channels: 2"),
        ({"channels": [{"config": "a", "z_offset": 1.0}]}, r"channels.0.z_offset = 1.0"),
        ({"channels": [{"config": "a", "exposre": 1.0}]}, r"channels.0.exposre: unknown key"),
        ({"channels": [{"config": "a", "exposure": -1.0}]}, r"channels.0.exposure = -1.0"),
        ({"stage_positions": [*AT, *AT]}, "stage_positions: 2"),
        ({"stage_positions": []}, "stage_positions: 0"),
        ({"stage_positions": [{"x": 1, "y": 2, "z": 3}]}, r"stage_positions.0.z"),
        ({"stage_positions": [{"x": 1}]}, "needs both x and y"),
        ({"grid_plan": None}, "grid_plan: required"),
        ({"grid_plan": 3}, "grid_plan = 3"),
        ({"grid_plan": EDGES}, "leave them out"),
        ({"grid_plan": {"num_points": 9, "max_width": 3}}, "is none of GridFromEdges"),
        ({"grid_plan": ROWS | {"overlap": [10, 20]}}, "the same in x and y"),
        ({"grid_plan": ROWS | {"overlap": True}}, "should be a number"),
        ({"grid_plan": ROWS | {"overlap": "10"}}, "should be a number"),
        ({"grid_plan": ROWS | {"rows": True}}, r"grid_plan.rows = True"),
        ({"grid_plan": ROWS | {"columns": "4"}}, r"grid_plan.columns = '4'"),
        ({"grid_plan": ROWS | {"overlap": -5}}, "outside 0..90"),
        ({"grid_plan": ROWS | {"overlap": float("nan")}}, "grid_plan.overlap"),
        ({"grid_plan": ROWS | {"mode": "column_wise"}}, "'column_wise'"),
        ({"grid_plan": ROWS | {"fov_width": 20.0}}, "the camera of the rig sees 10 um"),
        ({"grid_plan": ROWS | {"rows": 10**400}}, r"outside 1..100000"),
        ({"grid_plan": ROWS | {"row": 3}}, r"grid_plan.row: unknown key"),
        (
            {"grid_plan": {"vertices": [[0, 0], [9, 0], [9, 9]], "offset": 2.0}, "stage_positions": None},
            "grid_plan.offset",
        ),
        ({"metadata": {"nanoraster": {"region": {}}}}, r"nanoraster.region"),
        ({"metadata": {"nanoraster": {"tiles": {"overlap": 0.5}}}}, r"nanoraster.tiles.overlap"),
        ({"metadata": {"nanoraster": {"nam": 1}}}, "nam: unknown key"),
        ({"metadata": {"nanoraster": 3}}, "metadata.nanoraster = 3"),
    ],
)
def test_what_a_plan_cannot_say_is_refused_by_name(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(PlanError, match=word):
        sequence_plan({"grid_plan": ROWS, "stage_positions": AT} | changes, FIELD)


def test_files_are_read_as_what_they_hold(tmp_path: Path) -> None:
    sequence = MDASequence.model_validate({"grid_plan": ROWS, "stage_positions": AT})
    (tmp_path / "useq.yaml").write_text(sequence.yaml() or "")
    (tmp_path / "useq.json").write_text(sequence.model_dump_json())
    (tmp_path / "plan.yaml").write_text("region:\n  x_um: [0, 9]\n  y_um: [0, 9]\n")
    (tmp_path / "plan.json").write_text(json.dumps({"region": {"x_um": [0, 9], "y_um": [0, 9]}}))
    assert load_plan(tmp_path / "useq.yaml", FIELD) == load_plan(tmp_path / "useq.json", FIELD)
    assert load_plan(tmp_path / "plan.yaml", None) == load_plan(tmp_path / "plan.json", None)
    with pytest.raises(PlanError, match=r"useq.yaml: .*--rig"):
        load_plan(tmp_path / "useq.yaml", None)


@pytest.mark.parametrize("text", ["a: &x 1\nb: *x", "a: 1\na: 2", "a: [", "- 1", "a: !!python/name:os.system x", ""])
def test_yaml_holds_plain_values_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(PlanError, match=r"plan.yaml: "):
        load_plan(path, FIELD)
