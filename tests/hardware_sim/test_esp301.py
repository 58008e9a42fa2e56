"""The focus stage's controller, byte by byte: grammar, readings, settings, errors."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sim.clock import ManualClock
from hardware_sim.esp301_server import Esp301Controller
from hardware_sim.faults import Faults
from hardware_sim.focus_drive import FocusDrive
from hardware_sim.settings import FocusSettings
from tests.hardware_sim.lines import arm, talk

EXACT = FocusSettings(encoder_noise_um=0.0, play_um=0.0, scatter_um=0.0)


class Bench:
    """A controller, its stage, and a hand on the clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.drive = FocusDrive(self.clock, EXACT)
        self.faults = Faults(self.clock, seed=1)
        self.controller = Esp301Controller(self.drive, self.clock)

    def answer(self, *sent: bytes) -> bytes:
        """Send pieces on a connection of their own; returns every byte that came back."""
        return talk(self.controller.serve, list(sent), "focus", self.faults)

    def ask(self, line: str) -> list[str]:
        """Send a line; returns the lines that came back."""
        answer = self.answer(line.encode() + b"\r").decode()
        assert not answer or answer.endswith("\r\n")
        return answer.split("\r\n")[:-1]

    def errors(self) -> list[int]:
        """Read the error queue until it is empty."""
        codes = []
        while code := int(self.ask("TE?")[0]):
            codes.append(code)
        return codes


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_query_is_answered_by_one_line_with_cr_lf(bench: Bench) -> None:
    assert bench.answer(b"VE?\r") == b"ESP301 Version 3.0.1 6/1/99\r\n"
    assert bench.answer(b"1TP\r") == b"50.000000\r\n"
    assert bench.answer(b"1ID?\r") == b"IMS100V, SN1263\r\n"


@pytest.mark.parametrize(
    "line", [b"1VA10;1VA?\r", b" 1 va 10 ; 1 Va ? \r\n", b"\n;;1VA10.;;1VA ?;\r", b"1vA+1.0e1;1VA?\r"]
)
def test_case_blanks_and_line_feeds_do_not_matter(bench: Bench, line: bytes) -> None:
    assert bench.answer(line) == b"10.000000\r\n"


def test_each_query_of_a_list_gets_its_own_line(bench: Bench) -> None:
    assert bench.answer(b"1MO?;1SN?;1MD?\r") == b"1\r\n2\r\n1\r\n"


def test_a_line_counts_once_its_end_has_come_however_it_was_cut(bench: Bench) -> None:
    assert bench.answer(b"1T", b"P", b"?\r\n1S", b"N?\r1MO") == b"50.000000\r\n2\r\n"


def test_a_line_that_is_too_long_is_not_carried_out(bench: Bench) -> None:
    assert bench.ask("1PA51;" * 20) == []
    assert bench.errors() == [6]
    assert bench.drive.target_mm == 50.0


@pytest.mark.parametrize("name", ["TP", "ID"])
def test_readings_answer_with_and_without_a_question_mark(bench: Bench, name: str) -> None:
    assert bench.ask(f"1{name}") == bench.ask(f"1{name}?") != []


def test_the_status_byte_tells_motion_and_power(bench: Bench) -> None:
    assert bench.ask("TS") == ["P"]
    assert bench.ask("1PA60;TS;TX") == ["Q", "P"]
    bench.clock.advance(5.0)
    assert bench.ask("TX;1MF;TS?") == ["@", "@"]


def test_inputs_and_system_words_are_hexadecimal(bench: Bench) -> None:
    assert bench.ask("PH") == ["18000606H, 6H"]  # axes 2 and 3 have no stage, whose inputs read high
    assert bench.ask("1PA0;1WS;PH") == ["18000606H, 7H"]
    assert bench.ask("ZU") == ["1H"]
    assert bench.ask("1ZS4H;1ZS?;1ZS5;1ZS?") == ["4H", "5H"]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("VA", 20.0, 5.0),
        ("VU", 20.0, 15.0),
        ("AC", 80.0, 40.0),
        ("AG", 80.0, 40.0),
        ("AU", 80.0, 60.0),
        ("AE", 400.0, 200.0),
        ("JK", 2000.0, 500.0),
        ("OH", 10.0, 4.0),
        ("SL", 0.0, -1.0),
        ("SR", 100.0, 70.0),
        ("SH", 0.0, 2.0),
        ("FE", 0.1, 0.5),
    ],
)
def test_settings_are_read_back_in_the_unit_that_is_spoken(
    bench: Bench, name: str, first: float, second: float
) -> None:
    assert float(bench.ask(f"1{name}?")[0]) == first
    assert float(bench.ask(f"1{name}{second};1{name}?")[0]) == second
    assert float(bench.ask(f"1SN3;1{name}?")[0]) == second * 1000.0
    assert bench.errors() == []


@pytest.mark.parametrize(
    ("unit", "per_mm"), [(0, 1e4), (2, 1.0), (3, 1e3), (4, 1 / 25.4), (5, 1e3 / 25.4), (6, 1e6 / 25.4)]
)
def test_positions_follow_the_unit(bench: Bench, unit: int, per_mm: float) -> None:
    assert float(bench.ask(f"1SN{unit};1TP")[0]) == pytest.approx(50.0 * per_mm, rel=1e-6)
    bench.ask(f"1PR{per_mm:.9f};1WS")
    assert bench.drive.position_mm() == pytest.approx(51.0, abs=1e-4)  # the digits that were sent
    assert bench.errors() == []


def test_desired_position_and_velocity_are_not_the_actual_ones(bench: Bench) -> None:
    bench.ask("1PA60")
    bench.clock.advance(0.1)
    assert bench.ask("1DP?;1PA?;1DV?;1TP?") == ["60.000000", "60.000000", "8.000000", "50.400000"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("1QQ5", 6),
        ("hello", 6),
        ("1", 6),
        ("+1PA5", 6),
        ("4PA5", 9),
        ("0PA5", 9),
        ("2PA5", 208),
        ("3TP?", 308),
        ("PA3", 37),
        ("TP", 37),
        ("1PA", 38),
        ("1MV", 38),
        ("1PAfar", 7),
        ("1PA5,6", 7),
        ("1PA1e5e", 7),
        ("1TP7", 7),
        ("1MO2", 7),
        ("1PR?", 7),
        ("1OR7", 7),
        ("LC3", 7),
        ("1VA-1", 101),
        ("1AC1e-99", 101),
        ("1SN7", 101),
        ("1SL200", 101),
        ("1SR60;1PA61", 106),
        ("1SL0.5;1PA0.1", 107),
        ("1PR51", 106),
        ("1VA25", 110),
        ("1VU10;1VA11", 110),
        ("1AC500", 111),
        ("1AU20;1AC21", 111),
        ("1MF;1PA5", 113),
        ("1MF;1OR", 113),
        ("1JK1e9", 115),
        ("1SU0.5", 117),
        ("1FR0.5", 117),
        ("1VU25", 124),
        ("1TJ2", 132),
    ],
)
def test_a_refused_command_waits_in_the_error_queue(bench: Bench, line: str, code: int) -> None:
    assert bench.ask(line) == []
    assert bench.errors() == [code]
    assert bench.drive.target_mm == 50.0


def test_errors_are_read_once_oldest_first_with_ticks_and_words(bench: Bench) -> None:
    bench.ask("1QQ")
    bench.clock.advance(1.0)
    bench.ask("PA3;1MF;1PA4")
    assert bench.ask("TB?;TB?;TB;TB?") == [
        "6, 0, COMMAND DOES NOT EXIST",
        "37, 2500, AXIS NUMBER MISSING",
        "113, 2500, MOTOR NOT ENABLED",
        "0, 2500, NO ERROR DETECTED",
    ]


def test_ten_errors_wait_and_the_oldest_give_way(bench: Bench) -> None:
    bench.ask("1QQ;PA3")
    for _ in range(10):
        bench.ask("1PA")
    assert bench.errors() == [38] * 10


def test_what_was_saved_survives_a_reset_and_the_motor_is_off(bench: Bench) -> None:
    bench.ask("1VA7;SM;1VA3;LC2;1QQ;RS")
    assert bench.ask("1VA?;1MO?;LC?;TE?") == ["7.000000", "0", "0", "0"]


def test_home_can_be_defined_where_it_stands(bench: Bench) -> None:
    assert bench.ask("1DH;1TP;1PA-2;TE?") == ["0.000000", "107"]
    assert bench.ask("1DH5;1TP;1PA6;1WS;1TP") == ["5.000000", "6.000000"]
    assert bench.drive.position_mm() == 51.0


def test_software_limits_can_be_switched_off(bench: Bench) -> None:
    assert bench.ask("1ZS0;1PA100.5;1WS;1TP;TE?") == ["100.500000", "0"]


@pytest.mark.parametrize(("named", "code"), [(0, None), (109, 109), (999, 999)])
def test_a_fault_of_the_controller_loses_the_command_and_waits_in_the_queue(
    bench: Bench, named: int, code: int | None
) -> None:
    arm(bench.faults, "controller_error", "focus", code=named)
    assert bench.ask("1PA60") == []
    errors = bench.errors()
    assert len(errors) == 1
    assert errors[0] in ((1, 23, 109) if code is None else (code,))
    assert bench.drive.target_mm == 50.0


def test_a_fault_of_the_controller_can_still_be_asked_for(bench: Bench) -> None:
    arm(bench.faults, "controller_error", "focus", code=23)
    assert bench.ask("TB?") == ["23, 0, SERVO CYCLE TICK FAILURE"]


NOISE = st.binary(max_size=60)
COMMANDS = st.lists(
    st.builds(
        lambda axis, name, parameter: f"{axis}{name}{parameter}",
        st.sampled_from(["", "1", "2", "7"]),
        st.sampled_from(
            ["PA", "PR", "OR", "MV", "MT", "ST", "AB", "MO", "MF", "SN", "SL", "SR", "VA", "DH", "WS", "RS"]
        ),
        st.sampled_from(["", "?", "+", "-", "1", "-3.5", "1e9", "1e-99", "99", "é"]),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(NOISE, COMMANDS, NOISE)
def test_whatever_is_sent_it_goes_on_answering_and_stays_between_its_stops(
    before: bytes, commands: list[str], after: bytes
) -> None:
    bench = Bench()
    line = ";".join(commands).encode("latin-1")
    answer: Callable[..., bytes] = bench.answer
    assert answer(before, line, after, b"\r", b"VE?\r").endswith(b"ESP301 Version 3.0.1 6/1/99\r\n")
    bench.clock.advance(100.0)
    assert -2.5 < bench.drive.position_mm() < 102.5  # a braking distance behind the limit switches
