"""The XPS driver against a controller that does what a test tells it to."""

import threading
import time
from collections.abc import Iterator

import pytest
from device_peers import HANG_UP, SILENCE, Answer, XpsPeer, ok, refused

from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, OutOfRange, ProtocolError, Stopped
from devices.focus_xps import XpsFocus
from devices.settings import XpsSettings

ANSWER_S = 0.2  # 0.1 s was too little for a peer on a machine with a load of ten
PATIENT_S = 0.5  # where a test shows that something does not wait for it


@pytest.fixture
def peer() -> Iterator[XpsPeer]:
    with XpsPeer() as peer:
        yield peer


def connect(peer: XpsPeer, **changes: object) -> XpsFocus:
    settings = {
        "host": "127.0.0.1",
        "port": peer.port,
        "group": "Z",
        "positioner": "Z.Pos",
        "limits_um": (10_000.0, 200_000.0),
        "answer_s": ANSWER_S,
        "settle_s": 0.2,
    }
    return XpsFocus("focus", XpsSettings.model_validate(settings | changes))


@pytest.fixture
def focus(peer: XpsPeer) -> Iterator[XpsFocus]:
    focus = connect(peer)
    yield focus
    focus.close()


def called(peer: XpsPeer) -> list[str]:
    """Functions that were called, in their order, without their arguments."""
    return [call.partition("(")[0] for call in peer.received]


def test_connecting_logs_in_and_asks(peer: XpsPeer, focus: XpsFocus) -> None:
    assert set(called(peer)) == {"Login", "PositionerUserTravelLimitsGet", "PositionerSGammaParametersGet"}


def test_the_tighter_of_two_limits_wins(focus: XpsFocus) -> None:
    assert focus.limits_um == {"z": (10_000.0, 100_000.0)}


def test_refuses_a_rig_file_that_shares_no_range_with_the_controller(peer: XpsPeer) -> None:
    with pytest.raises(OutOfRange):
        connect(peer, limits_um=(100_000.0, 200_000.0))


def test_micrometres_become_millimetres_and_back(peer: XpsPeer, focus: XpsFocus) -> None:
    focus.move_to({"z": 12_345.6})
    assert "GroupMoveAbsolute(Z,12.345600)" in peer.received
    assert focus.read_position_um() == {"z": pytest.approx(12_345.6)}


def test_a_target_out_of_range_sends_nothing(peer: XpsPeer, focus: XpsFocus) -> None:
    before = len(peer.received)
    with pytest.raises(OutOfRange):
        focus.start_move({"z": 9_999.0})
    assert len(peer.received) == before


def test_a_refused_move_is_told_in_the_controller_s_words(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.answers["GroupMoveAbsolute"] = refused(-22)
    with pytest.raises(DeviceRejected, match="error -22, In words") as told:
        focus.move_to({"z": 20_000.0})
    assert told.value.code == -22


def test_a_refused_login_is_told(peer: XpsPeer) -> None:
    peer.answers["Login"] = refused(-106)
    with pytest.raises(DeviceRejected, match="Login: error -106"):
        connect(peer)


def test_asks_on_one_connection_while_the_other_waits_for_the_end_of_a_move(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.move_until_aborted()
    focus.start_move({"z": 90_000.0})
    assert focus.read_position_um() == {"z": 50_000.0}
    assert peer.connections == 2
    focus.stop()


def test_a_stop_from_another_thread_ends_the_wait(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.move_until_aborted()
    stopper = threading.Thread(target=lambda: (peer.under_way.wait(5.0), focus.stop()))
    stopper.start()
    with pytest.raises(Stopped):
        focus.move_to({"z": 90_000.0})
    stopper.join()


def test_a_stop_takes_a_connection_of_its_own_while_a_question_hangs(peer: XpsPeer) -> None:
    focus = connect(peer, answer_s=PATIENT_S)
    peer.answers["GroupPositionCurrentGet"] = SILENCE

    def ask() -> None:
        with pytest.raises(DeviceError):
            focus.read_position_um()

    asking = threading.Thread(target=ask)
    asking.start()
    peer.wait_for("GroupPositionCurrentGet")
    began = time.monotonic()
    stopping = threading.Thread(target=focus.stop)
    stopping.start()
    peer.wait_for("GroupMoveAbort")
    assert time.monotonic() - began < PATIENT_S
    stopping.join()
    asking.join()
    focus.close()


def test_stopping_what_does_not_move_is_nothing_wrong(peer: XpsPeer, focus: XpsFocus) -> None:
    focus.stop()
    assert any(command.startswith("GroupMoveAbort") for command in peer.received)
    assert focus.read_position_um() == {"z": 50_000.0}


def test_a_move_during_a_move_ends_the_first(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.move_until_aborted()
    focus.start_move({"z": 90_000.0})
    assert peer.under_way.wait(5.0)
    peer.answers["GroupMoveAbsolute"] = ok()
    focus.move_to({"z": 20_000.0})
    assert focus.read_position_um() == {"z": 20_000.0}


def test_an_abort_that_overtakes_its_move_is_sent_again(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.move_until_aborted()
    focus.start_move({"z": 90_000.0})
    assert peer.under_way.wait(5.0)
    abort = peer.answers["GroupMoveAbort"]

    def too_early() -> str:
        peer.answers["GroupMoveAbort"] = abort
        return refused(-22)

    peer.answers["GroupMoveAbort"] = too_early
    peer.answers["GroupMoveAbsolute"] = ok()
    focus.move_to({"z": 20_000.0})
    aborts = [command for command in peer.received if command.startswith("GroupMoveAbort")]
    assert len(aborts) == 2


def test_a_move_that_never_answers_times_out_by_distance_and_speed(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.answers["GroupMoveAbsolute"] = SILENCE
    with pytest.raises(DeviceTimeout, match=r"after 0\.45 s"):  # 0.2 + 5 * 1 mm / 20 mm/s
        focus.move_to({"z": 51_000.0})


def test_a_late_end_of_a_move_is_not_taken_for_the_next_one_s(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.answers["GroupMoveAbsolute"] = SILENCE
    with pytest.raises(DeviceTimeout):
        focus.move_to({"z": 51_000.0})
    peer.answers["GroupMoveAbort"] = ok()
    with pytest.raises(DeviceTimeout):  # neither does the aborted call answer
        focus.move_to({"z": 52_000.0})
    peer.say(b"0,EndOfAPI")
    peer.answers["GroupMoveAbsolute"] = refused(-5)
    with pytest.raises(DeviceRejected):
        focus.move_to({"z": 53_000.0})


def test_a_stage_that_stands_elsewhere_has_not_arrived(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.answers["GroupMoveAbsolute"] = "0,EndOfAPI"
    peer.answers["GroupPositionCurrentGet"] = ok("50.5")
    with pytest.raises(DeviceTimeout, match="at z = 50500 um"):
        focus.move_to({"z": 51_000.0})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (SILENCE, DeviceTimeout),
        ("0,50.0,EndOf", DeviceTimeout),
        (HANG_UP, DeviceLost),
        ("rubbish,EndOfAPI", ProtocolError),
        ("0,EndOfAPI", ProtocolError),
        ("0,1.0,2.0,EndOfAPI", ProtocolError),
        ("0,nan,EndOfAPI", ProtocolError),
        ("0,50.0,EndOfAPI0,60.0,EndOfAPI", ProtocolError),
        (b"\xff" * 70_000, ProtocolError),
        (refused(-22), DeviceRejected),
    ],
    ids=str,
)
def test_each_fault_ends_in_its_error_and_the_next_answer_is_right(
    peer: XpsPeer, focus: XpsFocus, answer: Answer, error: type[DeviceError]
) -> None:
    positions = peer.answers["GroupPositionCurrentGet"]
    peer.answers["GroupPositionCurrentGet"] = answer
    with pytest.raises(error):
        focus.read_position_um()
    peer.answers["GroupPositionCurrentGet"] = positions
    assert focus.read_position_um() == {"z": 50_000.0}


def test_a_late_answer_never_becomes_the_next_value(peer: XpsPeer, focus: XpsFocus) -> None:
    positions = peer.answers["GroupPositionCurrentGet"]
    peer.answers["GroupPositionCurrentGet"] = SILENCE
    with pytest.raises(DeviceTimeout):
        focus.read_position_um()
    peer.say(b"0,77.0,EndOfAPI")
    peer.answers["GroupPositionCurrentGet"] = positions
    assert focus.read_position_um() == {"z": 50_000.0}


def test_hanging_up_in_the_middle_of_a_move_ends_the_wait(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.answers["GroupMoveAbsolute"] = HANG_UP
    with pytest.raises(DeviceLost):
        focus.move_to({"z": 51_000.0})


def test_homes_from_scratch_when_it_is_told_to(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.answers |= dict.fromkeys(("GroupKill", "GroupInitialize", "GroupHomeSearch"), ok())
    focus.home()
    assert [call for call in peer.received[-4:] if "(Z)" in call] == [
        "GroupKill(Z)",
        "GroupInitialize(Z)",
        "GroupHomeSearch(Z)",
    ]


def test_homes_at_connecting_if_the_rig_file_asks_for_it(peer: XpsPeer) -> None:
    peer.answers |= {"GroupStatusGet": ok("42"), "GroupHomeSearch": ok()}
    connect(peer, home_on_connect=True).close()
    assert "GroupHomeSearch(Z)" in peer.received
    assert "GroupKill(Z)" not in peer.received  # it was initialised already


@pytest.mark.parametrize(("status", "function"), [("7", "GroupInitialize"), ("20", "GroupMotionEnable")])
def test_switches_the_motor_on_if_the_rig_file_asks_for_it(peer: XpsPeer, status: str, function: str) -> None:
    peer.answers |= {"GroupStatusGet": ok(status), function: ok()}
    connect(peer, motor_on_connect=True).close()
    assert f"{function}(Z)" in peer.received


def test_a_home_search_at_connecting_that_fails_is_stopped(peer: XpsPeer) -> None:
    peer.answers |= {"GroupStatusGet": ok("42"), "GroupHomeSearch": HANG_UP}
    with pytest.raises(DeviceLost):
        connect(peer, home_on_connect=True)
    assert "GroupMoveAbort(Z)" in peer.received


def test_a_position_far_beyond_the_travel_is_a_protocol_error(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.position_mm = 1e9
    with pytest.raises(ProtocolError, match="far beyond its travel"):
        focus.read_position_um()


def test_a_stop_ends_a_home_search(peer: XpsPeer, focus: XpsFocus) -> None:
    peer.answers["GroupStatusGet"] = ok("42")
    peer.move_until_aborted()
    stopper = threading.Thread(target=lambda: (peer.under_way.wait(5.0), focus.stop()))
    stopper.start()
    with pytest.raises(Stopped):
        focus.home()
    stopper.join()


def test_closes_twice_and_says_so_afterwards(focus: XpsFocus) -> None:
    focus.close()
    focus.close()
    with pytest.raises(DeviceLost, match="closed"):
        focus.read_position_um()
