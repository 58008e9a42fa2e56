"""What the controllers answer, byte by byte, as recorded sessions have it."""

import math

import pytest

from hardware_sim.gcs_profiles import E517
from tests.hardware_sim.gcs_bench import Bench

SESSION = [
    (b"CSV?\n", b"2.0\n"),
    (b"*IDN?\n", b"(c)2015 Physik Instrumente (PI) GmbH & Co. KG, E-727.3CDA, 0116054321, 13.21.00.09\n"),
    (b"SAI?\n", b"1 \n2 \n3\n"),
    (b"SAI? ALL\n", b"1 \n2 \n3\n"),
    (b"\x18ERR?\n", b"10\n"),
    (b"\x07", b"\xb1\n"),
    (b"SVO 1 1\nERR?\n", b"0\n"),
    (b"MOV 1 0 2 0\nERR?\n", b"0\n"),
    (b"SVO? 1\n", b"1=1\n"),
    (b"\x05", b"0\n"),
    (b"\x09", b"0\n"),
    (b"POS?\n", b"1=0.000000000e+00 \n2=0.000000000e+00 \n3=0.000000000e+00\n"),
    (b"POS? 3 1\n", b"3=0.000000000e+00 \n1=0.000000000e+00\n"),
    (b"TMN?\n", b"1=0.000000000e+00 \n2=0.000000000e+00 \n3=0.000000000e+00\n"),
    (b"TMX?\n", b"1=1.000000000e+02 \n2=1.000000000e+02 \n3=1.000000000e+01\n"),
    (b"VEL? 1\n", b"1=5.000000000e+03\n"),
    (b"STP\nERR?\n", b"10\n"),
    (b"HLT 1\nERR?\n", b"10\n"),
    (b"MOV 1 200\nERR?\nERR?\n", b"7\n0\n"),
    (b"SPA? 1 234881536\n", b"1 0xE000200=5e-05\n"),
    (b"SPA? 1 0x0E000200\n", b"1 0xE000200=5e-05\n"),
    (b"SPA 1 117440512 0.25\nERR?\nSPA? 1 117440512\n", b"0\n1 0x7000000=0.25\n"),
    (b"POS? 7\nERR?\n", b"15\n"),
    (b"\n", b""),
]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_session_in_one_write_is_answered_as_recorded(bench: Bench) -> None:
    asked, expected = (b"".join(side) for side in zip(*SESSION, strict=True))
    assert bench.say(asked) == expected


def test_a_session_byte_by_byte_is_answered_as_recorded(bench: Bench) -> None:
    asked, expected = (b"".join(side) for side in zip(*SESSION, strict=True))
    assert bench.say(*(asked[place : place + 1] for place in range(len(asked)))) == expected


def test_control_bytes_anywhere_in_a_line_are_answered_at_once_and_leave_it_whole(bench: Bench) -> None:
    assert bench.say(b"\x05P\x07O\x09S\x1b? 1\n") == b"0\n\xb1\n0\n1=0.000000000e+00\n"
    assert bench.say(b"MOV 1", b"\x07", b" 4\nMO", b"\x18", b"V? 1\nERR?\n") == b"\xb1\n1=0.000000000e+00\n10\n"


def test_moving_axes_are_a_hex_mask(bench: Bench) -> None:
    bench.do("VEL 1 10 3 10", "MOV 1 50 3 5")
    assert bench.say(b"\x05") == b"5\n"


def test_each_connection_reads_the_same_error_slot_and_the_latest_error_wins(bench: Bench) -> None:
    bench.say(b"MOV 1 200\nFOO\n")
    assert bench.say(b"ERR?\nERR?\n") == b"2\n0\n"


def test_help_has_a_header_a_footer_and_a_line_for_every_command_that_is_understood(bench: Bench) -> None:
    header, *lines, footer = bench.say(b"HLP?\n").decode().splitlines()
    assert header.startswith("The following")
    assert footer == "end of help"
    names = [line.split()[0] for line in lines]
    assert len(set(names)) == len(names)
    for name in names:
        if not name.startswith("#"):
            assert bench.error_after(f"{name} 1 2 3 4 5 6 7 8 9") != 2, name


def test_parameter_help_names_the_type_in_the_fourth_word(bench: Bench) -> None:
    lines = [line for line in bench.say(b"HPA?\n").decode().splitlines() if "=" in line]
    kinds = {int(line.split("=")[0], 16): line.split()[3] for line in lines}
    assert kinds[0x0E000200] == "FLOAT"
    assert kinds[0x16000201] == "INT"
    assert kinds[0x3C] == "CHAR"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("FOO", 2),
        ("A" * 5000, 3),
        ("MOV" + " 1 1" * 17, 24),
        ("ERR? 1", 24),
        ("SAI? SOME", 24),
        ("MOV", 26),
        ("MOV 1", 24),
        ("MOV 1 1 1 2", 22),
        ("MOV ? 1", 23),
        ("MOV 4 1", 15),
        ("MOV 1 nan", 25),
        ("MOV 1 inf", 25),
        ("MOV 1 1e999", 7),
        ("MOV 1 " + "9" * 3000, 7),
        ("MOV 1 ٣", 25),
        ("MVR 1 -1", 7),
        ("VEL 1 0", 8),
        ("VEL 1 1e-300", 8),
        ("SVO 1 2", 17),
        ("SVA 1 3", 79),
        ("SPA? 1 0x123", 54),
        ("SPA? 1 what", 1),
        ("SPA? 1", 24),
        ("SPA 1 0x0E000200 1e-5", 60),
        ("SPA 1 0x07000001 200", 17),
        ("SPA 1 0x07000000 100", 17),
        ("CCL 1 please", 56),
        ("ATZ 1 500", 66),
        ("ONL 1 1", 2),
    ],
)
def test_a_faulty_line_leaves_its_code_and_changes_nothing(bench: Bench, line: str, code: int) -> None:
    before = bench.say(b"MOV?\nSPA?\nSVO?\n")
    assert bench.error_after(line) == code
    assert bench.say(b"ERR?\n") == b"0\n"
    assert bench.say(b"MOV?\nSPA?\nSVO?\n") == before


def test_the_password_opens_what_is_protected_but_not_what_is_read_only(bench: Bench) -> None:
    assert bench.error_after("SPA 1 0x18000300 1") == 60
    bench.do("CCL 1 advanced", "SPA 1 0x18000300 1")
    assert bench.say(b"CCL?\n") == b"1\n"
    assert bench.error_after("SPA 1 0x0E000200 1e-5") == 64
    bench.do("CCL 0")
    assert bench.error_after("SPA 1 0x18000300 0") == 60


def test_narrowed_limits_hold_for_moves_and_are_what_is_answered(bench: Bench) -> None:
    bench.do("SPA 1 0x07000000 10 1 0x07000001 20")
    assert bench.say(b"TMN? 1\nTMX? 1\n") == b"1=1.000000000e+01\n1=2.000000000e+01\n"
    assert bench.error_after("MOV 1 21") == 7
    bench.do("MOV 1 20")


def test_on_target_waits_for_tolerance_and_settling_time_as_the_parameters_say(bench: Bench) -> None:
    constant_s = bench.scanner.settings.time_constant_xy_s
    bench.do("VEL 1 1000", "SPA 1 0x07000900 1.0 1 0x07000901 0.1", "MOV 1 10")
    slew_um = 1000 * constant_s  # below this distance the way is exponential
    inside_s = (10 - slew_um) / 1000 + constant_s * math.log(slew_um / 1.0)
    bench.wait(inside_s + 0.1 - 1e-4)
    assert bench.say(b"ONT? 1\n") == b"1=0\n"
    bench.wait(2e-4)
    assert bench.say(b"ONT? 1\n") == b"1=1\n"


def test_open_loop_takes_volts_within_the_amplifiers_range(bench: Bench) -> None:
    bench.do("SVO 1 0")
    assert bench.error_after("MOV 1 5") == 5
    assert bench.error_after("SVA 1 121") == 66
    bench.do("SVA 1 60")  # the middle of the range
    assert bench.say(b"SVA? 1\n") == b"1=6.000000000e+01\n"
    bench.wait(1.0)
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(50.0, abs=15.0)  # hysteresis: 15 % of the travel
    assert bench.say(b"ONT? 1\n") == b"1=0\n"


def test_opening_the_loop_keeps_the_axis_about_where_it_is(bench: Bench) -> None:
    bench.move(40.0)
    bench.do("SVO 1 0")
    volts = float(bench.values("SVA? 1")["1"])
    bench.wait(0.05)
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(40.0, abs=0.1)
    bench.do(f"SVA 1 {volts!r}")
    bench.wait(0.05)
    assert float(bench.values("POS? 1")["1"]) == pytest.approx(40.0, abs=0.5)  # creep


def test_autozero_drives_over_the_range_and_ends_at_zero(bench: Bench) -> None:
    bench.move(40.0)
    assert bench.values("ATZ?") == {"1": "0", "2": "0", "3": "0"}
    bench.do("ATZ 1 0 2 NaN")
    assert bench.error_after("MOV 1 5") == 61
    assert bench.error_after("MOV 3 5") == 0
    seen_um = []
    for _ in range(200):
        bench.wait(0.05)
        seen_um.append(float(bench.values("POS? 1")["1"]))
    assert max(seen_um) > 99
    assert seen_um[-1] == pytest.approx(0.0, abs=1e-3)
    assert bench.values("ATZ?") == {"1": "1", "2": "1", "3": "0"}


def test_a_stop_ends_an_autozero_that_then_counts_for_nothing(bench: Bench) -> None:
    bench.do("ATZ 1 NaN")
    bench.wait(0.1)
    assert bench.say(b"\x18ERR?\nATZ? 1\n") == b"10\n1=0\n"
    bench.do("MOV 1 5")


def test_the_second_controller_names_its_axes_by_letters_and_obeys_only_channels_that_are_online() -> None:
    bench = Bench(E517)
    assert bench.say(b"SAI?\n") == b"A \nB \nC\n"
    assert b"E-517" in bench.say(b"*IDN?\n")
    assert bench.values("ONL?") == {"1": "0", "2": "0", "3": "0"}
    assert bench.error_after("MOV A 3") == 34
    bench.do("ONL 1 1", "MOV A 3", "ONL 1 0")
    assert bench.error_after("MOV A 4") == 34
    assert bench.error_after("MOV 1 4") == 15
    assert bench.error_after("WGO 1 1") == 2
    bench.do("ONL 1 1", "MOV A 4")


@pytest.mark.parametrize("name", ["controller_error", "controller_busy"])
def test_a_fault_of_the_controller_carries_nothing_out_and_tells_its_code(bench: Bench, name: str) -> None:
    bench.arm(name)
    assert bench.say(b"MOV 1 7\n") == b""
    code = int(bench.say(b"ERR?\n"))
    assert code in (505, 506, 602, 603, 604, 1005)
    assert bench.values("MOV? 1")["1"] == "0.000000000e+00"
    bench.arm(name)
    assert bench.say(b"POS?\n") == b""
    bench.say(b"ERR?\n")
    bench.arm(name)
    assert bench.say(b"\x07") == b"\xb0\n"
    bench.say(b"ERR?\n")
    bench.arm(name)
    assert int(bench.say(b"ERR?\n")) > 0
    assert bench.say(b"ERR?\n") == b"0\n"


def test_a_fault_can_choose_its_code_and_never_prevents_a_stop(bench: Bench) -> None:
    bench.do("VEL 1 10", "MOV 1 50")
    bench.arm("controller_error", code=602)
    assert bench.say(b"\x18") == b""
    assert bench.say(b"ERR?\n\x05") == b"602\n0\n"
