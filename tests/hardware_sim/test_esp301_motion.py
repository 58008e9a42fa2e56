"""What the focus stage's controller does over time: moves, home search, limits, waiting, and what goes wrong."""

import pytest

from tests.hardware_sim.lines import arm
from tests.hardware_sim.test_esp301 import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_move_takes_its_time_and_then_is_done(bench: Bench) -> None:
    assert bench.ask("1PA60;1MD?") == ["0"]
    bench.clock.advance(0.7)
    assert bench.ask("1MD?") == ["0"]
    bench.clock.advance(0.1)  # 10 mm at 20 mm/s and 80 mm/s2: 0.75 s
    assert bench.ask("1MD?;1TP") == ["1", "60.000000"]


def test_a_new_target_replaces_one_that_is_not_reached(bench: Bench) -> None:
    bench.ask("1PA90")
    bench.clock.advance(0.5)
    assert bench.ask("1PA20;1WS;1TP;TE?") == ["20.000000", "0"]


@pytest.mark.parametrize(("stop", "way_mm"), [("1ST", 2.5), ("ST", 2.5), ("1AB", 0.5), ("AB", 0.5)])
def test_a_stop_slows_down_and_an_abort_at_once(bench: Bench, stop: str, way_mm: float) -> None:
    bench.ask("1PA90")
    bench.clock.advance(1.0)
    before_mm = bench.drive.position_mm()
    bench.ask(f"{stop};1WS")
    assert bench.drive.position_mm() == pytest.approx(before_mm + way_mm)  # v^2 / 2a
    assert bench.ask("1TP") == bench.ask("1DP?")
    assert bench.errors() == []


def test_home_is_searched_fast_then_slowly_and_other_moves_have_to_wait(bench: Bench) -> None:
    assert bench.ask("1OR2;1MD?") == ["0"]
    bench.ask("1PA5;1OR;1DH")
    assert bench.errors() == [130, 130, 130]
    bench.clock.advance(5.3)  # 50 mm at 10 mm/s, and past the switch
    assert bench.ask("1MD?") == ["0"]
    assert bench.drive.position_mm() < 0.0
    assert bench.ask("1WS;1MD?;1TP") == ["1", "0.000000"]
    assert bench.drive.position_mm() == 0.0


@pytest.mark.parametrize(
    ("mode", "at_mm"), [("", 0.0), (0, 0.0), (1, 0.0), (2, 0.0), (3, 101.5), (4, -1.5), (5, 101.0), (6, -1.0)]
)
def test_each_way_to_search_ends_at_its_mark_which_is_called_by_the_preset(
    bench: Bench, mode: int | str, at_mm: float
) -> None:
    bench.ask(f"1SH0.25;1OR{mode};1WS")
    assert bench.drive.position_mm() == pytest.approx(at_mm)
    assert bench.ask("1TP;TE?;1MO?") == ["0.250000", "0", "1"]


def test_home_is_found_from_below_too(bench: Bench) -> None:
    bench.ask("1SL-1;1PA-1;1WS;1OR2;1WS")
    assert bench.drive.position_mm() == 0.0


@pytest.mark.parametrize("ended", ["1ST", "AB", "1MF"])
def test_a_search_that_is_cut_short_is_an_error_and_leaves_zero_where_it_was(bench: Bench, ended: str) -> None:
    bench.ask("1OR2")
    bench.clock.advance(1.0)
    bench.ask(f"{ended};1WS")
    assert bench.errors() == [120]
    assert float(bench.ask("1TP")[0]) == pytest.approx(bench.drive.position_mm(), abs=1e-4)  # one count


def test_moving_on_ends_at_the_software_limit(bench: Bench) -> None:
    assert bench.ask("1SR60;1MV+;TX") == ["T"]
    assert bench.ask("1WS;1TP;1MO?;TX") == ["60.000000", "1", "@"]
    assert bench.errors() == [106]
    bench.ask("1MV+")
    assert bench.errors() == [106]
    bench.ask("1MV-")
    bench.clock.advance(0.5)
    assert bench.ask("ST;1WS;TE?") == ["0"]


@pytest.mark.parametrize(("sign", "code"), [("+", 104), ("-", 105)])
def test_a_limit_switch_ends_the_motion_and_switches_the_motor_off(bench: Bench, sign: str, code: int) -> None:
    assert bench.ask(f"1MT{sign};1WS;1MO?;TS") == ["0", "@"]
    assert bench.errors() == [code]
    assert bench.ask("1PA50;TE?;1MO;1PA50;1WS;1TP;TE?") == ["113", "50.000000", "0"]


def test_limit_switches_show_in_the_hardware_status(bench: Bench) -> None:
    assert bench.ask("1MT+;1WS;PH") == ["18000607H, 6H"]
    assert bench.ask("1MO;1MT-;1WS;PH") == ["18000706H, 7H"]


def test_waiting_holds_back_what_follows(bench: Bench) -> None:
    assert bench.ask("1PA60;1WS500;1TP;1MD?") == ["60.000000", "1"]
    assert bench.clock.now_s() == pytest.approx(0.75 + 0.5)
    bench.ask("1PA80;1WP70")
    assert bench.drive.position_mm() == pytest.approx(70.0, abs=0.25)  # 10 ms of looking at 20 mm/s
    bench.ask("1WS;WT2000")
    assert bench.clock.now_s() == pytest.approx(0.75 + 0.5 + 1.25 + 2.0)


def test_a_wait_for_a_position_that_is_never_passed_ends_with_the_motion(bench: Bench) -> None:
    assert bench.ask("1PA55;1WP70;1TP") == ["55.000000"]


def test_a_stuck_stage_ends_in_a_following_error(bench: Bench) -> None:
    bench.ask("1PA60")
    bench.clock.advance(0.2)
    bench.drive.stick(for_s=1.0)
    stood_mm = bench.drive.position_mm()
    bench.clock.advance(2.0)
    assert bench.ask("1MD?;1MO?") == ["1", "0"]
    assert bench.errors() == [103]
    assert bench.drive.position_mm() == stood_mm


def test_following_errors_are_not_looked_for_when_switched_off(bench: Bench) -> None:
    bench.ask("1ZF0")
    bench.drive.stick(for_s=1.0)
    assert bench.ask("1PA60;1WS;TE?;1MO?") == ["0", "1"]


def test_an_armed_following_error_ends_the_next_motion(bench: Bench) -> None:
    arm(bench.faults, "following_error", "focus")
    bench.ask("1PA60")
    bench.clock.advance(5.0)
    assert bench.errors() == [103]
    assert bench.ask("1MO?") == ["0"]
    assert 50.0 < bench.drive.position_mm() < 60.0


def test_a_following_error_while_homing_aborts_it_too(bench: Bench) -> None:
    bench.ask("1OR2")
    bench.clock.advance(1.0)
    bench.drive.fail_following()
    assert bench.ask("1WS") == []
    assert bench.errors() == [103, 120]
