"""The control lease: one at a time, and never for ever."""

import pytest

from api.access.lease import Lease, LeaseHeld


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_one_is_in_control_until_it_ends() -> None:
    clock = Clock()
    lease = Lease(clock)
    lease.refuse_others("max")
    lease.take("mia", 60)
    with pytest.raises(LeaseHeld, match="mia has the control lease until 2"):
        lease.refuse_others("max")
    with pytest.raises(LeaseHeld, match="mia"):
        lease.take("max", 60)
    assert (facts := lease.facts()) is not None
    assert (facts["holder"], facts["left_s"]) == ("mia", 60.0)
    clock.now_s += 59
    lease.take("mia", 60)
    clock.now_s += 59
    lease.refuse_others("mia")
    with pytest.raises(LeaseHeld):
        lease.refuse_others("max")
    clock.now_s += 1
    lease.take("max", 60)
    assert (facts := lease.facts()) is not None
    assert facts["holder"] == "max"


def test_it_is_given_up_by_its_holder_or_taken_away() -> None:
    lease = Lease(Clock())
    lease.give_up("mia")
    lease.take("mia", 60)
    with pytest.raises(LeaseHeld):
        lease.give_up("max")
    lease.give_up("max", anyones=True)
    assert lease.facts() is None
