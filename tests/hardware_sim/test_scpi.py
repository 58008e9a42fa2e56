"""The voltmeter's words: headers, parameters, errors, registers, and readings that take their time."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sim.clock import ManualClock
from hardware_sim.faults import Faults
from hardware_sim.scpi_server import ScpiVoltmeter
from tests.hardware_sim.lines import arm, talk

OVERLOAD = "+9.90000000E+37"


class Bench:
    """A meter on a voltage that the test sets."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.faults = Faults(self.clock, seed=1)
        self.volts = 0.5
        self.apertures_s: list[float] = []
        self.meter = ScpiVoltmeter(self._read_volts)

    def _read_volts(self, aperture_s: float) -> float:
        self.apertures_s.append(aperture_s)
        self.clock.advance(aperture_s)
        return self.volts

    def ask(self, line: str) -> str:
        """Send a line on a connection of its own; returns what came back."""
        return self.answer(line.encode("latin-1") + b"\n").decode().removesuffix("\n")

    def answer(self, *sent: bytes) -> bytes:
        return talk(self.meter.serve, list(sent), "force", self.faults)

    def errors(self) -> list[int]:
        """Read the error queue until it is empty."""
        numbers = []
        while number := int(self.ask("SYST:ERR?").split(",")[0]):
            numbers.append(number)
        return numbers


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_names_itself_with_four_fields(bench: Bench) -> None:
    assert bench.ask("*IDN?").count(",") == 3
    assert bench.ask("SYST:VERS?") == "1999.0"


@pytest.mark.parametrize(
    "query",
    [
        "MEAS:VOLT:DC?",
        "measure:voltage:dc?",
        "MEAS:VOLT?",
        ":Meas:Volt:Dc?",
        "READ?",
        "CONF:VOLT:DC;:READ?",
        "INIT;FETC?",
    ],
)
def test_all_ways_to_ask_for_a_reading_give_one(bench: Bench, query: str) -> None:
    assert bench.ask(query) == "+5.00000000E-01"
    assert bench.errors() == []


def test_lines_may_end_with_cr_lf_and_come_in_pieces(bench: Bench) -> None:
    assert bench.answer(b"RE", b"AD?\r", b"\n*OPC?\n") == b"+5.00000000E-01\n1\n"


def test_answers_of_one_line_come_in_one_line(bench: Bench) -> None:
    assert bench.ask("*OPC?;SYST:ERR?;VERS?;*TST?") == '1;0,"No error";1999.0;0'


def test_a_header_goes_on_where_the_one_before_it_ended(bench: Bench) -> None:
    assert bench.ask("SENS:VOLT:DC:NPLC 1;*OPC?;APER?;:SAMP:COUN?") == "1;+2.00000000E-02;1"
    assert bench.ask("SENS:VOLT:DC:NPLC 1;READ?") == ""  # SENSe:VOLTage:DC:READ? is nothing
    assert bench.errors() == [-113]


@pytest.mark.parametrize("header", ["SENS:VOLT:DC:NPLC", "VOLT:NPLC", "SENSE:VOLTAGE:NPLCYCLES", "sens:volt:dc:nplc"])
def test_integrating_over_power_line_cycles_takes_their_time(bench: Bench, header: str) -> None:
    bench.ask(f"{header} 10")
    assert float(bench.ask(f"{header}?")) == pytest.approx(10.0)
    bench.ask("READ?")
    assert bench.apertures_s == [pytest.approx(0.2)]
    assert bench.clock.now_s() == pytest.approx(0.2)


def test_the_aperture_may_be_told_in_seconds_and_has_bounds(bench: Bench) -> None:
    bench.ask("VOLT:APER 0.05;:READ?")
    assert bench.apertures_s == [pytest.approx(0.05)]
    assert float(bench.ask("VOLT:NPLC?")) == pytest.approx(2.5)
    assert float(bench.ask("VOLT:APER? MIN")) == 1e-4
    assert float(bench.ask("VOLT:APER MAX;APER?")) == 2.0
    bench.ask("VOLT:APER 3;:VOLT:NPLC 1E9")
    assert bench.errors() == [-222, -222]


def test_measuring_begins_from_the_usual_settings(bench: Bench) -> None:
    bench.ask("VOLT:NPLC 10;:SAMP:COUN 3;:MEAS:VOLT:DC?")
    assert bench.apertures_s == [pytest.approx(4e-4)]


def test_several_samples_come_in_one_answer(bench: Bench) -> None:
    assert bench.ask("SAMP:COUN 3;:READ?").split(",") == ["+5.00000000E-01"] * 3
    assert len(bench.apertures_s) == 3
    assert bench.ask("FETC?") == bench.ask("FETCH?") != ""
    assert len(bench.apertures_s) == 3


@pytest.mark.parametrize(("volts", "shown"), [(10.0, OVERLOAD), (-10.0, "-9.90000000E+37"), (9.99, "+9.99000000E+00")])
def test_a_detector_at_its_stop_is_an_overload(bench: Bench, volts: float, shown: str) -> None:
    bench.volts = volts
    assert bench.ask("READ?") == shown


def test_a_range_that_was_set_can_be_too_small(bench: Bench) -> None:
    bench.ask("VOLT:DC:RANG 0.5")
    assert bench.ask("VOLT:DC:RANG?;RANG:AUTO?") == "+1.00000000E+00;0"
    bench.volts = 1.5
    assert bench.ask("READ?") == OVERLOAD
    assert bench.ask("VOLT:DC:RANG:AUTO ON;:READ?") == "+1.50000000E+00"
    assert bench.ask("MEAS:VOLT:DC? 1") == OVERLOAD
    assert bench.ask("MEAS:VOLT:DC? MIN") == OVERLOAD
    assert bench.ask("MEAS:VOLT:DC? 10,0.001") == "+1.50000000E+00"
    assert bench.errors() == []


def test_a_trigger_from_the_bus_is_waited_for(bench: Bench) -> None:
    bench.ask("TRIG:SOUR BUS;:INIT")
    assert bench.ask("FETC?") == ""
    assert bench.errors() == [-230]
    bench.ask("*TRG")
    assert bench.ask("FETC?") == "+5.00000000E-01"
    bench.ask("*TRG;READ?")
    assert bench.errors() == [-211, -214]
    assert bench.ask("*RST;TRIG:SOUR?") == "IMM"


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("FOO:BAR", -113),
        ("MEASU:VOLT:DC?", -113),
        ("MEAS:CURR?", -113),
        ("READ", -113),
        ("*IDN", -113),
        ("\xff\xfe?", -113),
        ("READ? 1", -108),
        ("VOLT:NPLC 1,2", -108),
        ("VOLT:NPLC", -109),
        ("VOLT:NPLC ", -109),
        ("SAMP:COUN many", -104),
        ("VOLT:NPLC nan", -104),
        ("SAMP:COUN 0", -222),
        ("VOLT:RANG 11", -222),
        ("TRIG:SOUR EXT", -224),
        ("VOLT:RANG:AUTO 2", -224),
        ("FETC?", -230),
    ],
)
def test_what_cannot_be_done_waits_in_the_error_queue(bench: Bench, line: str, number: int) -> None:
    assert bench.ask(line) == ""
    assert bench.errors() == [number]


def test_an_error_has_its_words_and_the_rest_of_the_line_is_carried_out(bench: Bench) -> None:
    assert bench.ask("FOO;*OPC?;:SYST:ERR?") == '1;-113,"Undefined header"'


def test_a_full_queue_tells_that_some_were_lost(bench: Bench) -> None:
    for _ in range(25):
        bench.ask("FOO")
    assert bench.ask("SYST:ERR:COUN?") == "20"
    assert bench.errors() == [-113] * 19 + [-350]


def test_a_reset_keeps_the_errors_and_clearing_keeps_the_settings(bench: Bench) -> None:
    bench.ask("VOLT:NPLC 10;:FOO;*RST")
    assert float(bench.ask("VOLT:NPLC?")) == pytest.approx(0.02)
    bench.ask("VOLT:NPLC 10;*CLS")
    assert bench.errors() == []
    assert float(bench.ask("VOLT:NPLC?")) == pytest.approx(10.0)


def test_registers_tell_power_on_errors_and_completion(bench: Bench) -> None:
    assert bench.ask("*ESR?;*ESR?") == "128;0"
    bench.ask("*ESE 32;*SRE 32;FOO;SAMP:COUN 0;*OPC")
    assert bench.ask("*STB?;*ESR?;*STB?;*ESE?;*SRE?") == f"{64 + 32 + 4};{32 + 16 + 1};4;32;32"


def test_an_overload_that_was_armed_spoils_one_reading(bench: Bench) -> None:
    arm(bench.faults, "overload", "force")
    assert bench.ask("READ?") == OVERLOAD
    assert bench.ask("READ?") == "+5.00000000E-01"


def test_frozen_readings_repeat_the_latest_digits(bench: Bench) -> None:
    voltages = count(start=1)
    bench.volts = next(voltages) / 10
    seen = [bench.ask("READ?")]
    arm(bench.faults, "frozen_reading", "force", readings=3)
    for _ in range(5):
        bench.volts = next(voltages) / 10
        seen.append(bench.ask("READ?"))
    assert [float(volts) for volts in seen] == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.5, 0.6])


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60), st.text(alphabet="MEASVOLTDC:;?* 1,.-+\n", max_size=60))
def test_whatever_is_sent_it_goes_on_answering(noise: bytes, text: str) -> None:
    assert Bench().answer(noise, text.encode(), b"\n*OPC?\n").endswith(b"1\n")


def test_averaging_takes_so_many_apertures_for_each_reading(bench: Bench) -> None:
    bench.ask("SENS:VOLT:APER 0.01;:SENS:AVER:COUN 4;STAT ON;:SAMP:COUN 2")
    assert bench.ask("AVER:COUN?;:AVERAGE:STATE?;:SENS:VOLT:DC:AVER?") == "+4.00000000E+00;1;1"
    assert bench.ask("READ?") == "+5.00000000E-01,+5.00000000E-01"
    assert bench.apertures_s == [0.01] * 8
    bench.ask("VOLT:AVER OFF")
    bench.ask("READ?")
    assert len(bench.apertures_s) == 10
    assert bench.errors() == []


@pytest.mark.parametrize(
    ("line", "error"),
    [("AVER:COUN 0", -222), ("AVER:COUN 101", -222), ("SENS:AVER:COUN", -109), ("SENS:AVER 2", -224)],
)
def test_averaging_refuses_what_makes_no_sense(bench: Bench, line: str, error: int) -> None:
    bench.ask(line)
    assert bench.errors() == [error]
    assert bench.ask("AVER:COUN?;:AVER?") == "+1.00000000E+01;0"


def test_an_average_is_that_of_its_readings(bench: Bench) -> None:
    volts = iter([0.1, 0.2, 0.6])
    bench.meter = ScpiVoltmeter(lambda aperture_s: next(volts))
    bench.ask("AVER:COUN 3;STAT 1")
    assert bench.ask("READ?") == "+3.00000000E-01"
