"""What a plan may ask of a probe, and how far it may go between two readings."""

import pytest

from acquisition.force_budget import MOST_STEP_UM, Budget, force_inabilities, force_problems
from acquisition.plan import Force, Plan
from devices.rig_file import RigSettings
from devices.settings import DeflectionSettings, ScpiForceSettings
from tests.acquisition import force_bench


def sensor(**changes: float) -> ScpiForceSettings:
    values = {"url": "socket://h:1", "stiffness_n_per_m": 42.0, "sensitivity_nm_per_v": 50.0, **changes}
    return ScpiForceSettings.model_validate(values)


def plan(mode: str = "step", **force: object) -> Plan:
    region = {"x_um": (0, 10), "y_um": (0, 10)}
    force = {"policy": "contact", **force}
    return Plan.model_validate({"region": region, "tiles": {"mode": mode}, "force": force})


def rig(text: str = force_bench.RIG) -> RigSettings:
    return RigSettings.from_toml(text)


@pytest.mark.parametrize("frozen_after", [0, 3, 10])
def test_all_steps_that_may_go_unseen_stay_below_the_limit(frozen_after: int) -> None:
    force, settings = Force(), sensor(frozen_after=frozen_after)
    step_nn = Budget.of(force, settings).step_um * 1000 * settings.stiffness_n_per_m
    assert force.set_point_nn + max(frozen_after, 2) * step_nn <= force.limit_nn * (1 + 1e-9)


@pytest.mark.parametrize("baseline_nn", [-800.0, 0.0, 839.0])
def test_what_is_read_without_contact_counts_against_the_limit_where_it_pushes(baseline_nn: float) -> None:
    force, settings = Force(), sensor()
    left = Budget.of(force, settings).above(baseline_nn)
    true_nn = force.set_point_nn + max(baseline_nn, 0.0) + 2 * left.step_um * 1000 * settings.stiffness_n_per_m
    assert true_nn <= force.limit_nn * (1 + 1e-9)
    assert left.is_enough
    assert not Budget.of(force, settings).above(1480.0).is_enough


def test_no_spring_is_so_soft_that_the_probe_comes_in_leaps() -> None:
    assert Budget.of(Force(), sensor(stiffness_n_per_m=0.03)).step_um == MOST_STEP_UM


def test_the_default_plan_suits_the_default_probe() -> None:
    assert force_problems(plan(), rig()) == []


def test_without_a_policy_any_rig_will_do() -> None:
    assert force_problems(plan(policy="none"), rig(force_bench.RIG.partition("[devices.force]")[0])) == []


@pytest.mark.parametrize(
    ("force", "problem"),
    [
        ({"limit_nn": 550.0}, "force.limit_nn = 550: at 42 N/m"),
        ({"limit_nn": 20_000.0}, "force.limit_nn = 20000: the detector can be trusted up to 18711 nN"),
    ],
)
def test_refuses_limits_that_cannot_be_kept(force: dict[str, float], problem: str) -> None:
    (found,) = force_problems(plan(**force), rig())
    assert found.startswith(problem)


@pytest.mark.parametrize("policy", ["contact", "hover"])
def test_refuses_to_sweep_with_a_probe_that_the_force_holds(policy: str) -> None:
    (found,) = force_problems(plan("line", policy=policy), rig())
    assert found.startswith(f"force.policy = '{policy}': a sweep of tiles.mode = 'line'")
    assert force_problems(plan("line", policy="none"), rig()) == []


def test_refuses_a_rig_without_a_sensor() -> None:
    (found,) = force_problems(plan(), rig(force_bench.RIG.partition("[devices.force]")[0]))
    assert found == "force.policy = 'contact': the rig has no force sensor"


def test_refuses_a_probe_on_a_stage_that_is_not_there() -> None:
    head, focus, tail = force_bench.RIG.partition("[devices.focus]")
    text = head + tail[tail.index("[devices.force]") :] + 'rides_on = "focus"\n'
    assert focus
    assert force_problems(plan(), rig(text)) == ["devices.force.rides_on = 'focus': the rig has no focus stage"]


def test_refuses_a_scanner_without_a_z_by_its_file() -> None:
    (found,) = force_problems(plan(), rig(force_bench.RIG.replace(', z = "3"', "")))
    assert found == "force.policy = 'contact': the scanner has no z that can be steered while it moves"


def test_refuses_a_scanner_without_a_z_to_steer() -> None:
    bench = force_bench.Bench()
    assert force_inabilities(plan(), bench.rig) == []
    bench.scanner.axes = ("x", "y")
    assert force_inabilities(plan(), bench.rig) != []


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="rides_on"):
        DeflectionSettings.model_validate(
            {"driver": "x", "stiffness_n_per_m": 1.0, "sensitivity_nm_per_v": 1.0, "rides_on": "scanner"}
        )
