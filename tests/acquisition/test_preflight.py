"""Preflight: every reason at once, and what a plan costs."""

from acquisition.field import Field
from acquisition.plan import Plan
from acquisition.preflight import cost, problems

FIELD = Field((512, 512), 0.02)
LIMITS_UM = {"x": (0.0, 100.0), "y": (0.0, 100.0), "z": (0.0, 10.0)}


def plan(x_um: tuple[float, float], y_um: tuple[float, float]) -> Plan:
    return Plan.model_validate({"region": {"x_um": x_um, "y_um": y_um}})


def test_has_nothing_against_a_region_inside_the_travel() -> None:
    assert problems(plan((0, 100), (20, 44)), LIMITS_UM, 10**12, FIELD) == []


def test_names_axis_value_and_limits_of_each_axis_that_is_left() -> None:
    found = problems(plan((90, 130), (-5, 20)), LIMITS_UM, 10**12, FIELD)
    assert len(found) == 2
    assert all(word in found[0] for word in ("region.x_um", "90..130", "axis x", "0..100"))
    assert all(word in found[1] for word in ("region.y_um", "-5..20", "axis y", "0..100"))


def test_refuses_a_plan_that_does_not_fit_on_the_disk() -> None:
    (found,) = problems(plan((0, 100), (0, 100)), LIMITS_UM, 10**6, FIELD)
    assert "disk" in found


def test_tells_of_the_disk_beside_a_region_that_is_out_of_reach() -> None:
    found = problems(plan((90, 130), (0, 100)), LIMITS_UM, 10**6, FIELD)
    assert len(found) == 2
    assert "region.x_um" in found[0]
    assert "disk" in found[1]


def test_refuses_an_endless_region_without_counting_its_tiles() -> None:
    assert problems(plan((0, 1e6), (0, 1e6)), LIMITS_UM, 10**12, FIELD)


def test_counts_tiles_overlap_time_and_bytes() -> None:
    costs = cost(plan((20, 50), (20, 44)), FIELD)
    assert (costs.tiles, costs.columns, costs.rows) == (12, 4, 3)
    assert all(overlap >= 0.2 for overlap in costs.overlap)
    assert costs.duration_s > 12 * 0.02
    assert costs.disk_bytes > 12 * 512 * 512 * 2
