"""The scanner's driver against a controller that misbehaves."""

import threading
import time
from collections.abc import Iterator

import pytest
from device_peers import HANG_UP, SILENCE, Answer, GcsPeer

from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, OutOfRange, ProtocolError, Stopped
from devices.scanner_pi import PiScanner
from devices.settings import PiGcsSettings

ANSWER_S = 0.2  # 0.1 s was too little for a peer on a machine with a load of ten
PATIENT_S = 0.5  # where a test shows that something does not wait for it


@pytest.fixture
def peer() -> Iterator[GcsPeer]:
    with GcsPeer() as peer:
        yield peer


def connect(peer: GcsPeer, **changes: object) -> PiScanner:
    settings = {
        "host": "127.0.0.1",
        "port": peer.port,
        "axes": {"x": "1", "y": "2", "z": "3"},
        "limits_um": {"x": (10.0, 200.0)},
        "answer_s": ANSWER_S,
        "settle_s": 0.2,
    }
    return PiScanner("scanner", PiGcsSettings.model_validate(settings | changes))


@pytest.fixture
def scanner(peer: GcsPeer) -> Iterator[PiScanner]:
    scanner = connect(peer)
    yield scanner
    scanner.close()


def test_connecting_sends_nothing_but_queries(peer: GcsPeer, scanner: PiScanner) -> None:
    assert all(command.endswith("?") for command in peer.received)


def test_the_tighter_of_two_limits_wins(scanner: PiScanner) -> None:
    assert scanner.limits_um == {"x": (10.0, 100.0), "y": (0.0, 100.0), "z": (0.0, 10.0)}


def test_refuses_a_rig_file_that_shares_no_range_with_the_controller(peer: GcsPeer) -> None:
    with pytest.raises(OutOfRange, match=r"200\.\.300 um"):
        connect(peer, limits_um={"x": (200.0, 300.0)})


def test_moves_all_axes_with_one_command(peer: GcsPeer, scanner: PiScanner) -> None:
    scanner.move_to({"x": 12.5, "z": 3.0})
    assert [command for command in peer.received if command.startswith("MOV")] == ["MOV 1 12.5 3 3"]
    assert scanner.read_position_um() == {"x": 12.5, "y": 0.0, "z": 3.0}


@pytest.mark.parametrize("bad", [{"x": 9.9}, {"z": 11.0}, {"y": float("nan")}, {"w": 1.0}])
def test_a_target_out_of_range_sends_nothing_for_any_axis(
    peer: GcsPeer, scanner: PiScanner, bad: dict[str, float]
) -> None:
    before = len(peer.received)
    with pytest.raises(OutOfRange):
        scanner.start_move({"x": 20.0, "y": 20.0} | bad)
    assert len(peer.received) == before


def test_a_servo_that_is_off_is_named(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.refuse("MOV 1 20", 5)
    with pytest.raises(DeviceRejected, match="servo is off") as refused:
        scanner.start_move({"x": 20.0})
    assert refused.value.code == 5
    assert not any(command.startswith("SVO ") for command in peer.received)


def test_a_query_that_is_refused_by_silence_tells_the_cause(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.refuse("POS?", 15)
    with pytest.raises(DeviceRejected) as refused:
        scanner.read_position_um()
    assert refused.value.code == 15


def test_the_cause_of_silence_is_asked_on_a_new_connection(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.refuse("POS?", 15)
    with pytest.raises(DeviceRejected):
        scanner.read_position_um()
    assert peer.connections == 2


@pytest.mark.parametrize("late", [b"1\n", b"5\n", b"10\n"])
def test_a_late_answer_is_not_taken_for_the_cause_of_silence(peer: GcsPeer, scanner: PiScanner, late: bytes) -> None:
    errors = peer.answers["ERR?"]

    def answer_first() -> Answer:
        peer.say(late, connection=-2)
        return errors

    peer.answers |= {"POS?": SILENCE, "ERR?": answer_first}
    with pytest.raises(DeviceTimeout, match=r"ERR\? tells of no refusal"):
        scanner.read_position_um()


def test_a_controller_that_takes_no_second_connection_leaves_a_timeout(peer: GcsPeer, scanner: PiScanner) -> None:
    errors = peer.answers["ERR?"]
    peer.answers |= {"POS?": SILENCE, "ERR?": HANG_UP}
    with pytest.raises(DeviceTimeout, match=r"ERR\? is silent, too"):
        scanner.read_position_um()
    peer.answers |= {"POS?": "1=1 \n2=2 \n3=3\n", "ERR?": errors}
    assert scanner.read_position_um() == {"x": 1.0, "y": 2.0, "z": 3.0}


def test_a_stop_refuses_no_query(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.refuse("POS?", 10)
    with pytest.raises(DeviceTimeout, match="POS"):
        scanner.read_position_um()


def test_a_control_character_is_told_by_its_number(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["SVO?"] = "1=1 \n2=1 \n3=1\n"
    peer.refuse("\x07", 53)
    with pytest.raises(DeviceRejected, match=r"^scanner: #7: error 53"):
        scanner.home()


def test_silence_ends_in_a_timeout_soon(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["POS?"] = peer.answers["ERR?"] = SILENCE
    began = time.monotonic()
    with pytest.raises(DeviceTimeout, match="POS"):
        scanner.read_position_um()
    assert time.monotonic() - began < 30 * ANSWER_S  # the answer, and the question why; the rest is a busy machine


def test_a_dripping_answer_does_not_extend_its_deadline(peer: GcsPeer, scanner: PiScanner) -> None:
    done = threading.Event()

    def drip() -> None:
        peer.wait_for("POS?")
        while not done.wait(ANSWER_S / 5):
            peer.say(b"1")

    dripping = threading.Thread(target=drip)
    peer.answers["POS?"] = SILENCE
    dripping.start()
    began = time.monotonic()
    with pytest.raises((DeviceTimeout, ProtocolError)):
        scanner.read_position_um()
    done.set()
    dripping.join()
    assert time.monotonic() - began < 30 * ANSWER_S


def test_a_late_answer_never_becomes_the_next_value(peer: GcsPeer, scanner: PiScanner) -> None:
    positions = peer.answers["POS?"]
    peer.answers["POS?"] = SILENCE
    with pytest.raises(DeviceTimeout):
        scanner.read_position_um()
    peer.say(b"1=77 \n2=77 \n3=77\n")
    peer.answers["POS?"] = positions
    assert scanner.read_position_um() == {"x": 0.0, "y": 0.0, "z": 0.0}


def test_a_late_answer_to_the_question_why_is_not_taken_for_a_code(peer: GcsPeer, scanner: PiScanner) -> None:
    positions, errors = peer.answers["POS?"], peer.answers["ERR?"]
    peer.answers["POS?"], peer.answers["ERR?"] = SILENCE, "1=77 \n2=77 \n3=77\n0\n"
    with pytest.raises(DeviceTimeout):
        scanner.read_position_um()
    peer.answers["POS?"], peer.answers["ERR?"] = positions, errors
    assert scanner.read_position_um() == {"x": 0.0, "y": 0.0, "z": 0.0}


def test_a_late_error_code_never_becomes_the_next_value(peer: GcsPeer, scanner: PiScanner) -> None:
    errors = peer.answers["ERR?"]
    peer.answers["ERR?"] = SILENCE
    with pytest.raises(DeviceTimeout):
        scanner.start_move({"x": 20.0})
    peer.answers["ERR?"] = errors
    peer.say(b"0\n0\n")
    assert scanner.read_position_um()["x"] in (0.0, 20.0)
    scanner.move_to({"x": 30.0})
    assert scanner.read_position_um()["x"] == 30.0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xb1\xff?!\n",
        b"1=abc \n2=0 \n3=0\n",
        b"1=1\r\n2=2\r\n3=3\r\n",
        b"1=0 \n2=0\n",
        b"1=nan \n2=0 \n3=0\n",
        b"4=0 \n5=0 \n6=0\n",
        b"1=0 \n2=0 \n3=0 \n1=5\n",
        b"1=1_0 \n2=0 \n3=0\n",
        b"1=0\n2=0\n3=0\n",
        b"\n\n",
    ],
)
def test_garbage_is_a_protocol_error_and_the_next_answer_is_right(
    peer: GcsPeer, scanner: PiScanner, garbage: bytes
) -> None:
    positions = peer.answers["POS?"]
    peer.answers["POS?"] = garbage
    with pytest.raises(ProtocolError):
        scanner.read_position_um()
    peer.answers["POS?"] = positions
    assert scanner.read_position_um() == {"x": 0.0, "y": 0.0, "z": 0.0}


def test_something_unasked_never_becomes_the_next_value(peer: GcsPeer, scanner: PiScanner) -> None:
    waited = threading.Event()
    positions = peer.answers["POS?"]
    peer.answers["POS?"] = lambda: (waited.set(), positions)[1]
    scanner.read_position_um()
    assert waited.is_set()
    peer.say(b"1=77 \n2=77 \n3=77\n")
    scanner_socket_settles(scanner)
    with pytest.raises(ProtocolError, match="unasked"):
        scanner.read_position_um()
    assert scanner.read_position_um() == {"x": 0.0, "y": 0.0, "z": 0.0}


def scanner_socket_settles(scanner: PiScanner) -> None:
    """Wait until what the peer has sent is there to be read."""
    gateway = scanner._connection._gateway
    assert gateway is not None
    assert gateway._readable.select(5.0)


@pytest.mark.parametrize("garbage", [b"\xb1\n", b"7 8\n", b"0 \n0\n", b"none\n", b"1_0\n"])
def test_an_error_code_that_is_none_is_a_protocol_error(peer: GcsPeer, scanner: PiScanner, garbage: bytes) -> None:
    errors = peer.answers["ERR?"]
    peer.answers["ERR?"] = garbage
    with pytest.raises(ProtocolError, match=r"ERR\?"):
        scanner.start_move({"x": 20.0})
    peer.answers["ERR?"] = errors
    scanner.move_to({"x": 30.0})


def test_a_controller_with_more_axes_than_ours_is_read_by_their_names(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["POS?"] = "3=3 \n4=4 \n2=2 \n1=1\n"
    assert scanner.read_position_um() == {"x": 1.0, "y": 2.0, "z": 3.0}


def test_a_query_costs_one_exchange_and_a_command_another(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.received.clear()
    scanner.read_position_um()
    assert peer.received == ["POS?"]
    peer.received.clear()
    scanner.start_move({"x": 20.0})
    assert peer.received == ["MOV 1 20", "ERR?", "POS?"]


def test_a_busy_controller_is_asked_again(peer: GcsPeer, scanner: PiScanner) -> None:
    def busy_once() -> Answer:
        peer.error = 1005
        peer.answers["MOV 1 20"] = SILENCE
        return SILENCE

    peer.answers["MOV 1 20"] = busy_once
    scanner.start_move({"x": 20.0})
    assert peer.received.count("MOV 1 20") == 2


def test_a_controller_that_stays_busy_is_told(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.refuse("MOV 1 20", 1005)
    with pytest.raises(DeviceRejected) as refused:
        scanner.start_move({"x": 20.0})
    assert refused.value.code == 1005
    assert peer.received.count("MOV 1 20") > 1


def test_a_query_that_finds_the_controller_busy_is_asked_again_once(peer: GcsPeer, scanner: PiScanner) -> None:
    positions = peer.answers["POS?"]

    def busy_once() -> Answer:
        peer.error = 1005
        peer.answers["POS?"] = positions
        return SILENCE

    peer.answers["POS?"] = busy_once
    assert scanner.read_position_um() == {"x": 0.0, "y": 0.0, "z": 0.0}
    peer.refuse("POS?", 1005)
    with pytest.raises(DeviceRejected) as refused:
        scanner.read_position_um()
    assert refused.value.code == 1005


def test_half_a_line_is_a_timeout(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["POS?"] = b"1=1.0 \n2="
    peer.answers["ERR?"] = SILENCE
    with pytest.raises(DeviceTimeout):
        scanner.read_position_um()


def test_a_peer_that_hangs_up_is_lost_at_once_and_found_again(peer: GcsPeer) -> None:
    scanner = connect(peer, answer_s=PATIENT_S)
    positions = peer.answers["POS?"]
    peer.answers["POS?"] = HANG_UP
    began = time.monotonic()
    with pytest.raises(DeviceLost):
        scanner.read_position_um()
    assert time.monotonic() - began < PATIENT_S
    peer.answers["POS?"] = positions
    assert scanner.read_position_um() == {"x": 0.0, "y": 0.0, "z": 0.0}
    assert peer.connections == 2
    scanner.close()


def test_hanging_up_in_the_middle_of_a_wait_ends_the_wait(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["ONT?"] = "1=0 \n2=0 \n3=0\n"
    scanner.start_move({"x": 90.0})
    peer.answers["ONT?"] = HANG_UP
    with pytest.raises(DeviceLost):
        scanner.wait_settled()


def test_nobody_there_is_lost(peer: GcsPeer) -> None:
    with GcsPeer() as gone:
        pass
    with pytest.raises(DeviceLost, match=str(gone.port)):
        connect(gone)


def test_a_peer_that_accepts_and_closes_does_not_hang_the_connecting(peer: GcsPeer) -> None:
    peer.answers["ERR?"] = HANG_UP
    with pytest.raises(DeviceLost):
        connect(peer)


def test_a_controller_of_another_language_is_refused(peer: GcsPeer) -> None:
    peer.answers["CSV?"] = "3.0\n"
    with pytest.raises(ProtocolError, match=r"GCS 3\.0"):
        connect(peer)


def test_an_axis_that_never_arrives_times_out_by_distance_and_speed(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["ONT?"] = "1=0 \n2=1 \n3=1\n"
    with pytest.raises(DeviceTimeout, match=r"not settled at x = 50 um after 0\.45 s"):  # 0.2 + 5 * 50 / 1000
        scanner.move_to({"x": 50.0})


def test_an_axis_on_target_elsewhere_has_not_arrived(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["MOV 1 50"] = SILENCE  # somebody else's stop: on target, but not ours
    with pytest.raises(DeviceTimeout, match="at x = 0 um"):
        scanner.move_to({"x": 50.0})


def test_a_stop_from_another_thread_ends_the_wait(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["ONT?"] = "1=0 \n2=0 \n3=0\n"
    stopper = threading.Thread(target=lambda: (peer.wait_for("ONT?"), scanner.stop()))
    stopper.start()
    with pytest.raises(Stopped):
        scanner.move_to({"x": 90.0})
    stopper.join()
    assert "\x18" in peer.received


def test_a_stop_goes_out_while_another_exchange_hangs(peer: GcsPeer) -> None:
    scanner = connect(peer, answer_s=PATIENT_S)
    peer.answers["POS?"] = SILENCE

    def ask() -> None:
        with pytest.raises(DeviceError):
            scanner.read_position_um()

    asking = threading.Thread(target=ask)
    asking.start()
    peer.wait_for("POS?")
    peer.received.clear()
    began = time.monotonic()
    stopping = threading.Thread(target=scanner.stop)
    stopping.start()
    peer.wait_for("\x18")
    assert time.monotonic() - began < PATIENT_S
    stopping.join()
    asking.join()
    scanner.close()


def test_a_stop_takes_a_connection_of_its_own_while_the_first_one_hangs(peer: GcsPeer) -> None:
    scanner = connect(peer, answer_s=PATIENT_S)
    over = threading.Event()
    peer.answers["POS?"] = lambda: (over.wait(5.0), SILENCE)[1]  # and takes nothing else meanwhile

    def ask() -> None:
        with pytest.raises(DeviceTimeout):
            scanner.read_position_um()

    asking = threading.Thread(target=ask)
    asking.start()
    peer.wait_for("POS?")
    began = time.monotonic()
    stopping = threading.Thread(target=scanner.stop)
    stopping.start()
    peer.wait_for("\x18")
    assert time.monotonic() - began < PATIENT_S
    over.set()
    stopping.join()
    asking.join()
    scanner.close()


def test_a_stop_that_is_not_confirmed_is_sent_again(peer: GcsPeer, scanner: PiScanner) -> None:
    errors = peer.answers["ERR?"]

    def silent_once() -> Answer:
        peer.answers["ERR?"] = errors
        return SILENCE

    peer.answers["ERR?"] = silent_once
    scanner.stop()
    assert peer.connections == 2


def test_a_stop_that_is_refused_twice_is_told(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.refuse("\x18", 602)
    with pytest.raises(DeviceRejected) as refused:
        scanner.stop()
    assert refused.value.code == 602
    assert peer.received.count("\x18") == 3  # once past the queue, twice in turn


def test_a_stop_on_a_dead_connection_finds_another(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.hang_up()
    scanner.stop()
    assert peer.connections == 2
    assert peer.received[-2:] == ["\x18", "ERR?"]


def test_another_speaker_s_stop_ends_the_wait(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["ONT?"] = "1=0 \n2=0 \n3=0\n"
    scanner.start_move({"x": 90.0})
    peer.error = 10
    with pytest.raises(Stopped):
        scanner.wait_settled()


def test_a_move_after_a_stop_is_a_new_one(scanner: PiScanner) -> None:
    scanner.start_move({"x": 20.0})
    scanner.stop()
    with pytest.raises(Stopped):
        scanner.wait_settled()
    scanner.move_to({"x": 30.0})


def test_start_up_does_what_the_rig_file_asks_for_and_no_more(peer: GcsPeer) -> None:
    peer.answers |= {"SAI?": "1 \n2 \n3\n", "SVO?": "1=1 \n2=1 \n3=1\n", "\x07": "\xb1\n", "ATZ?": "1=1 \n2=1 \n3=1\n"}
    connect(peer, start_up=["online", "servo", "autozero"]).close()
    commands = [command for command in peer.received if not command.endswith("?") and command != "\x07"]
    assert commands == ["ONL 1 1 2 1 3 1", "SVO 1 1 2 1 3 1", "ATZ 1 NaN 2 NaN 3 NaN"]


def test_an_autozero_at_start_up_that_fails_is_stopped(peer: GcsPeer) -> None:
    peer.answers |= {"SVO?": "1=1 \n2=1 \n3=1\n", "\x07": SILENCE}
    with pytest.raises(DeviceTimeout, match="#7"):
        connect(peer, start_up=["autozero"])
    begun = peer.received.index("ATZ 1 NaN 2 NaN 3 NaN")
    assert "\x18" in peer.received[begun:]


def test_an_autozero_at_start_up_is_stopped_by_a_controller_that_falls_silent(peer: GcsPeer) -> None:
    def fall_silent() -> Answer:
        peer.answers["ERR?"] = SILENCE
        return SILENCE

    peer.answers |= {"SVO?": "1=1 \n2=1 \n3=1\n", "\x07": fall_silent}
    with pytest.raises(DeviceTimeout, match="#7"):
        connect(peer, start_up=["autozero"])
    assert "\x18" in peer.received


def test_an_autozero_without_servo_is_refused_before_it_is_sent(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["SVO?"] = "1=1 \n2=0 \n3=1\n"
    with pytest.raises(DeviceRejected, match="servo"):
        scanner.home()
    assert not any(command.startswith("ATZ ") for command in peer.received)


def test_an_autozero_ends_when_the_controller_says_so(peer: GcsPeer, scanner: PiScanner) -> None:
    answers = iter(["1=0 \n2=0 \n3=0\n", "1=1 \n2=0 \n3=1\n", "1=1 \n2=1 \n3=1\n"])
    readiness = iter(["\xb0\n", "\xb1\n", "\xb1\n", "\xb1\n"])
    peer.answers |= {
        "SVO?": "1=1 \n2=1 \n3=1\n",
        "\x07": lambda: next(readiness).encode("latin-1"),
        "ATZ?": lambda: next(answers),
    }
    scanner.home()
    assert peer.received.count("ATZ?") == 3


def test_an_autozero_that_fails_is_told(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers |= {"SVO?": "1=1 \n2=1 \n3=1\n", "\x07": b"\xb1\n", "ATZ?": "1=0 \n2=0 \n3=0\n"}
    peer.answers["ATZ 1 NaN 2 NaN 3 NaN"] = lambda: (failing.start(), SILENCE)[1]
    failing = threading.Thread(target=lambda: (peer.wait_for("ATZ?"), setattr(peer, "error", 98)))
    with pytest.raises(DeviceRejected) as told:
        scanner.home()
    failing.join()
    assert told.value.code == 98


def test_axes_may_have_letters(peer: GcsPeer) -> None:
    peer.answers |= {"TMN?": "A=0 \nB=0\n", "TMX?": "A=100 \nB=100\n", "VEL?": "A=1000 \nB=1000\n"}
    peer.answers |= {"POS?": "A=50 \nB=0\n", "ONT?": "A=1 \nB=1\n"}
    scanner = connect(peer, axes={"x": "A", "y": "B"})
    scanner.move_to({"x": 50.0})
    assert "MOV A 50" in peer.received
    scanner.close()


def test_closes_twice_and_says_so_afterwards(scanner: PiScanner) -> None:
    scanner.close()
    scanner.close()
    with pytest.raises(DeviceLost, match="closed"):
        scanner.read_position_um()


def test_a_peer_that_never_stops_talking_is_a_protocol_error(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["POS?"] = b"1=0.5 \n" * 400_000  # more than any answer has, and never a last line
    with pytest.raises((ProtocolError, DeviceTimeout)):
        scanner.read_position_um()
    peer.answers["POS?"] = "1=1 \n2=2 \n3=3\n"
    assert scanner.read_position_um() == {"x": 1.0, "y": 2.0, "z": 3.0}


def test_a_position_beyond_its_limits_does_not_stretch_the_deadline(peer: GcsPeer, scanner: PiScanner) -> None:
    peer.answers["POS?"] = "1=1000 \n2=0 \n3=0\n"
    with pytest.raises(DeviceTimeout, match=r"after 0\.65 s"):  # 0.2 + 5 * 90 um / 1000 um/s
        scanner.move_to({"x": 20.0})


@pytest.mark.parametrize("absurd", ["1E99", "-1001", "1101"])  # ten times 100 um beyond 0..100 um
def test_a_position_far_beyond_the_travel_is_a_protocol_error(peer: GcsPeer, scanner: PiScanner, absurd: str) -> None:
    peer.answers["POS?"] = f"1={absurd} \n2=0 \n3=0\n"
    with pytest.raises(ProtocolError, match="far beyond its travel"):
        scanner.read_position_um()
