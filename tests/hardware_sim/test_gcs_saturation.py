"""A closed loop whose amplifier is too weak for the target, as the wire tells it."""

from itertools import pairwise

from tests.hardware_sim.gcs_bench import Bench
from tests.hardware_sim.stage_bench import EXACT


def test_a_saturated_axis_creeps_towards_its_target_and_is_never_on_it() -> None:
    bench = Bench(settings=EXACT.model_copy(update={"headroom": -0.1}))
    bench.say(b"MOV 1 95\n")

    def after(duration_s: float) -> float:
        bench.manual.advance(duration_s)
        assert bench.say(b"ONT? 1\n") == b"1=0\n"
        return float(bench.say(b"POS? 1\n").split(b"=")[1])

    places_um = [after(0.5), after(4.5), after(45.0)]
    assert 89.0 < places_um[0] < 95.0
    steps_um = [later - sooner for sooner, later in pairwise(places_um)]
    assert steps_um[0] > 0.5, "it creeps"
    assert abs(steps_um[1] - steps_um[0]) < 0.1 * steps_um[0], "as far in each decade of time"
