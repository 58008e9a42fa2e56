"""How often somebody may ask."""

from api.access.rate import MOST_ASKERS, Buckets, Rate
from tests.api.access.test_lease import Clock


def test_a_burst_then_a_steady_rate_to_each_on_his_own() -> None:
    clock = Clock()
    buckets = Buckets(Rate(2, 3), clock)
    assert [buckets.take("mia") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("max") == 0
    clock.now_s += 0.5
    assert [buckets.take("mia"), buckets.take("mia")] == [0, 0.5]
    clock.now_s += 100
    assert [buckets.take("mia") for _ in range(4)] == [0, 0, 0, 0.5]


def test_askers_without_number_take_no_memory_without_bound() -> None:
    buckets = Buckets(Rate(1, 1), Clock())
    for number in range(3 * MOST_ASKERS):
        buckets.take(str(number))
    assert len(buckets._filled) == MOST_ASKERS
