"""A useq `MDASequence` as a plan: what of it a plan can say is taken, whatever else is asked for is refused by name.

An MDASequence (useq-schema 0.9) is the plan of pymmcore-plus and others. Three of its traps are guarded. Where a field
of view is not given, useq steps by 1 um: here it is the rig's, and another one that is given is refused. Its rows begin
at the largest y: a plan covers the same area and begins at the smallest. Keys that it does not know it drops: here they
are refused. The area is laid out anew as `acquisition.layout` does: evenly, and with at least that overlap.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from acquisition.field import Field
from acquisition.plan import Plan
from acquisition.plan_file import PlanError, read_plan
from devices.model import reasons

OWN = ("grid_plan", "stage_positions", "channels", "axis_order", "z_plan", "time_plan", "autofocus_plan")
"""One of them, and no `region`, makes keys a sequence."""
IGNORED = ("uid", "metadata", "axis_order")
"""Neither asks the rig for anything: with one place, one channel and no z or t the grid is the only axis."""
TAKEN = ("grid_plan", "stage_positions", "channels", *IGNORED)
ORDERS = {"row_wise": "raster", "row_wise_snake": "serpentine", "spiral": "spiral"}
MOST_ALONG = 100_000  # rows or columns
SAME_FIELD = 0.01  # relative: how far the field of view given may differ from the rig's

USUAL_CHANNEL = {"group": "Channel", "do_stack": True, "z_offset": 0.0, "acquire_every": 1, "camera": None}
PLACE_ALONE = ("x", "y", "name")

Span = tuple[float, float]


def load_plan(path: Path, field: Field | None) -> Plan:
    """Read a plan file or an MDASequence (JSON, YAML) for the rig whose camera sees `field`; None: not known.

    Raises:
        PlanError: not readable, neither of them, or a sequence that asks for more than a plan can say.
    """
    raw = read_plan(path)
    try:
        return sequence_plan(raw, field) if is_sequence(raw) else Plan.model_validate(raw)
    except ValidationError as error:
        raise PlanError([f"{path}: {reason}" for reason in reasons(error)]) from error
    except PlanError as error:
        raise PlanError([f"{path}: {reason}" for reason in error.reasons]) from error


def is_sequence(raw: Any) -> bool:
    """Whether these keys are those of an MDASequence."""
    return isinstance(raw, Mapping) and "region" not in raw and any(key in raw for key in OWN)


def sequence_plan(raw: Mapping[str, Any], field: Field | None) -> Plan:
    """Say as a plan what a sequence asks for.

    `metadata.nanoraster` may hold whatever else a plan says, as `{"focus": {"policy": "row"}}`.

    Raises:
        PlanError: it asks for something else, is no sequence, or `field` is None; with every reason.
    """
    if field is None:
        raise PlanError(["a useq sequence counts in fields of view: say on which rig (--rig)"])
    given = {key: value for key, value in raw.items() if value not in (None, [], {}, ())}
    if refused := _refused(given):
        raise PlanError(refused)
    grid = _grid(given["grid_plan"])
    place = _place(given.get("stage_positions"), grid.is_relative)
    exposure_ms, label = _channel(given.get("channels"))
    said: dict[str, Any] = {
        "name": f"useq, {label}" if label else "useq",
        "region": _region(grid, place, _field_of_view(grid, field)),
        "tiles": {"overlap": _overlap(grid), "order": _order(grid)},
        "camera": {} if exposure_ms is None else {"exposure_ms": exposure_ms},
    }
    try:
        return Plan.model_validate(_with_more(said, given.get("metadata")))
    except ValidationError as error:
        raise PlanError(reasons(error)) from error


def _refused(given: Mapping[str, Any]) -> list[str]:
    """What a plan cannot say, or nobody knows."""
    from useq import MDASequence

    known = [*MDASequence.model_fields, "uid"]
    found = [
        f"{key}: a plan has no such axis or setting; leave it out" if key in known else f"{key}: unknown key"
        for key in given
        if key not in TAKEN
    ]
    if "grid_plan" not in given:
        found.append("grid_plan: required, for a plan covers an area")
    try:
        MDASequence.model_validate({key: given[key] for key in ("axis_order", "metadata") if key in given})
    except ValidationError as error:
        found += reasons(error)
    return found


def _grid(raw: Any) -> Any:
    from useq import GridFromEdges, GridFromPolygon, GridRowsColumns, GridWidthHeight

    kinds: dict[str, type[BaseModel]] = {
        "top": GridFromEdges,
        "vertices": GridFromPolygon,
        "rows": GridRowsColumns,
        "width": GridWidthHeight,
    }
    if not isinstance(raw, Mapping):
        raise PlanError([f"grid_plan = {raw!r}: should be a table of keys"])
    kind = next((kind for key, kind in kinds.items() if key in raw), None)
    if kind is None:
        names = ", ".join(each.__name__ for each in kinds.values())
        raise PlanError([f"grid_plan: has the keys {', '.join(map(str, raw))}, and is none of {names}"])
    overlap = raw.get("overlap", 0.0)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in _both(overlap)):
        raise PlanError([f"grid_plan.overlap = {overlap!r}: should be a number, or one for x and one for y"])
    grid: Any = _checked(kind, raw, "grid_plan")
    for key in ("offset", "convex_hull"):
        if getattr(grid, key, None):
            raise PlanError([f"grid_plan.{key} = {getattr(grid, key)!r}: a plan takes a polygon as it is"])
    for key in ("rows", "columns"):
        if not 1 <= getattr(grid, key, 1) <= MOST_ALONG:
            raise PlanError([f"grid_plan.{key} = {str(getattr(grid, key))[:20]}: outside 1..{MOST_ALONG}"])
    return grid


def _both(overlap: Any) -> Sequence[Any]:
    return overlap if isinstance(overlap, list | tuple) else [overlap]


def _place(raw: Any, needed: bool) -> Span:
    """Where a relative grid lies; an absolute one has its place in itself."""
    from useq import Position

    if not needed:
        if raw:
            raise PlanError(["stage_positions: the grid_plan says itself where it lies; leave them out"])
        return 0.0, 0.0
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) != 1:
        count = len(raw) if isinstance(raw, Sequence) else 0
        raise PlanError([f"stage_positions: {count} of them; a relative grid_plan needs one, with x and y"])
    entry = dict(zip("xyz", raw[0], strict=False)) if isinstance(raw[0], list | tuple) else raw[0]
    position: Any = _checked(Position, entry, "stage_positions.0")
    if more := [key for key, value in entry.items() if key not in PLACE_ALONE and value is not None]:
        raise PlanError([f"stage_positions.0.{key}: a plan has no such setting; leave it out" for key in more])
    if position.x is None or position.y is None:
        raise PlanError(["stage_positions.0: needs both x and y"])
    return position.x, position.y


def _channel(raw: Any) -> tuple[float | None, str]:
    """Exposure in ms and name of the one channel there may be: nothing on the rig is switched for it."""
    from useq import Channel

    if not raw:
        return None, ""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) != 1:
        raise PlanError([f"channels: {len(raw) if isinstance(raw, Sequence) else raw!r}; a plan has one at most"])
    entry = {"config": raw[0]} if isinstance(raw[0], str) else raw[0]
    channel: Any = _checked(Channel, entry, "channels.0")
    for key, usual in USUAL_CHANNEL.items():
        if getattr(channel, key) != usual:
            raise PlanError([f"channels.0.{key} = {getattr(channel, key)!r}: a plan has no such setting; leave it out"])
    return channel.exposure, channel.config


def _checked(kind: type[BaseModel], raw: Any, key: str) -> BaseModel:
    """Read a part as useq does, and refuse what useq drops."""
    if not isinstance(raw, Mapping):
        raise PlanError([f"{key} = {raw!r}: should be a table of keys"])
    if unknown := [name for name in raw if name not in kind.model_fields]:
        raise PlanError([f"{key}.{name}: unknown key" for name in unknown])
    try:  # as JSON, and strictly: neither true nor "3" is a number
        return kind.model_validate_json(json.dumps(raw, default=str), strict=True)
    except ValidationError as error:
        raise PlanError([f"{key}.{reason}" for reason in reasons(error)]) from error


def _field_of_view(grid: Any, field: Field) -> Span:
    """Width and height: those of the rig, from which the sequence must not differ."""
    for key, own_um in zip(("fov_width", "fov_height"), field.size_um, strict=True):
        given_um = getattr(grid, key)
        if given_um is not None and not abs(given_um - own_um) <= SAME_FIELD * own_um:
            raise PlanError([f"grid_plan.{key} = {given_um:g}: the camera of the rig sees {own_um:g} um; leave it out"])
    return field.size_um


def _overlap(grid: Any) -> float:
    """As a fraction; useq has percent."""
    across, down = grid.overlap
    if across != down:
        raise PlanError([f"grid_plan.overlap = {across:g}, {down:g}: a plan has the same in x and y"])
    if not 0 <= across <= 90:
        raise PlanError([f"grid_plan.overlap = {across:g}: outside 0..90 %"])
    return float(across) / 100


def _order(grid: Any) -> str:
    mode = grid.mode.value
    if mode not in ORDERS:
        raise PlanError([f"grid_plan.mode = {mode!r}: should be {', '.join(ORDERS)}"])
    return ORDERS[mode]


def _region(grid: Any, place_um: Span, field_um: Span) -> dict[str, Any]:
    """The area: all of what useq's images would show, or at least has to be covered."""
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "GridFromPolygon": lambda: {"polygon_um": [list(corner) for corner in grid.vertices]},
        "GridFromEdges": lambda: {
            "x_um": sorted((grid.left, grid.right)),
            "y_um": sorted((grid.bottom, grid.top)),
        },
        "GridWidthHeight": lambda: _around(grid, place_um, field_um, (grid.width, grid.height)),
        "GridRowsColumns": lambda: _around(
            grid,
            place_um,
            field_um,
            (_filled(grid.columns, field_um[0], _overlap(grid)), _filled(grid.rows, field_um[1], _overlap(grid))),
        ),
    }
    return kinds[type(grid).__name__]()


def _filled(fields: int, field_um: float, overlap: float) -> float:
    """How much so many fields fill."""
    return field_um * (1 + (fields - 1) * (1 - overlap))


def _around(grid: Any, place_um: Span, field_um: Span, size_um: Span) -> dict[str, Any]:
    """An area with its middle at a place, or with the middle of its first field there; up is where y is large."""
    (x_um, y_um), (width_um, height_um) = place_um, size_um
    if grid.relative_to.value == "center":
        left_um, top_um = x_um - width_um / 2, y_um + height_um / 2
    else:
        left_um, top_um = x_um - field_um[0] / 2, y_um + field_um[1] / 2
    return {"x_um": [left_um, left_um + width_um], "y_um": [top_um - height_um, top_um]}


def _with_more(said: dict[str, Any], metadata: Any) -> dict[str, Any]:
    """The plan, with what `metadata.nanoraster` adds to it; neither may say what the other does."""
    more = (metadata or {}).get("nanoraster", {})
    if not isinstance(more, Mapping):
        raise PlanError([f"metadata.nanoraster = {more!r}: should be a table of keys"])
    whole = dict(said)
    for key, value in more.items():
        own = said.get(key)
        if key == "region":
            raise PlanError(["metadata.nanoraster.region: the sequence says that itself"])
        if isinstance(own, dict) and isinstance(value, Mapping):
            if twice := [each for each in value if each in own]:
                raise PlanError([f"metadata.nanoraster.{key}.{twice[0]}: the sequence says that itself"])
            value = {**own, **value}
        whole[key] = value
    return whole
