"""The other Newport controller of the focus stage: calls, states, and motions that hold their connection."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sim.clock import Clock, ManualClock, RealClock
from hardware_sim.faults import Faults
from hardware_sim.focus_drive import FocusDrive
from hardware_sim.settings import FocusSettings
from hardware_sim.wire import Listener, Wire
from hardware_sim.xps_server import XpsController
from tests.hardware_sim.lines import arm, in_pieces, talk

Connect = tuple["Bench", Callable[[], socket.socket]]
EXACT = FocusSettings(encoder_noise_um=0.0, play_um=0.0, scatter_um=0.0)


class Bench:
    """A controller and its stage."""

    def __init__(self, clock: Clock) -> None:
        self.drive = FocusDrive(clock, EXACT)
        self.faults = Faults(clock, seed=1)
        self.controller = XpsController(self.drive)

    def serve(self, connection: socket.socket) -> None:
        self.controller.serve(Wire(connection, "focus", self.faults))

    def ask(self, *sent: str) -> str:
        """Send pieces on a connection of their own; returns all that came back."""
        return talk(self.controller.serve, [piece.encode() for piece in sent], "focus", self.faults).decode()


@pytest.fixture
def bench() -> Bench:
    """Time jumps to the end of each motion."""
    return Bench(ManualClock())


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A controller on real sockets, in a world that goes four times as fast."""
    bench = Bench(RealClock(speed=4.0))
    with closing(Listener("xps", bench.serve)) as listener:
        opened: list[socket.socket] = []

        def connection() -> socket.socket:
            opened.append(socket.create_connection(("127.0.0.1", listener.port), timeout=10))
            return opened[-1]

        yield bench, connection
        for end in opened:
            end.close()


def read(connection: socket.socket) -> str:
    """Read one answer."""
    answer = b""
    while not answer.endswith(b",EndOfAPI"):
        answer += connection.recv(1024)
    return answer.decode()


def test_connecting_finds_it_homed_and_ready_half_way_up(bench: Bench) -> None:
    assert bench.ask("Login(Administrator,Administrator)") == "0,EndOfAPI"
    assert bench.ask("GroupStatusGet(Z,int *)") == "0,12,EndOfAPI"
    assert bench.ask("GroupPositionCurrentGet(Z,double *)") == "0,50.000000,EndOfAPI"
    assert "XPS" in bench.ask("FirmwareVersionGet(char *)")


@pytest.mark.parametrize("torn", ["GroupStatusGet(Z,", "GroupMoveAbsolute(Z,50.", "(", "GroupStatusGet(Z,int *\n"])
def test_a_torn_call_ends_where_the_next_begins(bench: Bench, torn: str) -> None:
    assert bench.ask(torn + " FirmwareVersionGet(char *)").startswith("-7,EndOfAPI0,XPS")


def test_a_stage_that_another_controller_switches_off_is_disabled(bench: Bench) -> None:
    bench.drive.switch_motor(False)
    assert bench.ask("GroupStatusGet(Z,int *)") == "0,20,EndOfAPI"
    assert bench.ask("GroupMoveAbsolute(Z,40)") == "-22,EndOfAPI"
    assert bench.ask("GroupMotionEnable(Z)") == "0,EndOfAPI"
    assert bench.ask("GroupStatusGet(Z,int *)") == "0,13,EndOfAPI"


def test_a_motion_that_another_controller_switches_off_ends_disabled(connect: Connect) -> None:
    bench, connection = connect
    moving, looking = connection(), connection()
    moving.sendall(b"GroupMoveAbsolute(Z,10)")
    while not bench.drive.is_moving():
        looking.sendall(b"GroupStatusGet(Z,int *)")
        read(looking)
    bench.drive.switch_motor(False)
    assert read(moving) == "-27,EndOfAPI"
    looking.sendall(b"GroupStatusGet(Z,int *)")
    assert read(looking) == "0,20,EndOfAPI"


def test_a_call_ends_where_its_parentheses_close_however_it_was_cut(bench: Bench) -> None:
    text = "GroupStatusGet (Z, int *)FirmwareVersionGet(char *)"
    whole = bench.ask(text)
    assert whole.startswith("0,12,EndOfAPI0,XPS")
    assert bench.ask(*[piece.decode() for piece in in_pieces(text.encode(), [1, 5, 2])]) == whole
    assert bench.ask("GroupStatusGet(Z,int *") == ""


def test_a_move_answers_once_it_has_arrived(bench: Bench) -> None:
    assert bench.ask("GroupMoveAbsolute(Z,51.5)") == "0,EndOfAPI"
    assert bench.drive.position_mm() == 51.5
    assert (
        bench.ask("GroupMoveRelative(Z,-0.5)GroupPositionSetpointGet(Z,double *)") == "0,EndOfAPI0,51.000000,EndOfAPI"
    )


def test_the_profile_and_the_limits_are_kept(bench: Bench) -> None:
    assert bench.ask("PositionerSGammaParametersSet(Z.Pos,10,40,0.01,0.05)") == "0,EndOfAPI"
    answer = bench.ask("PositionerSGammaParametersGet(Z.Pos,double *,double *,double *,double *)")
    assert answer == "0,10.000000,40.000000,0.010000,0.050000,EndOfAPI"
    assert bench.ask("PositionerUserTravelLimitsSet(Z.Pos,40,60)") == "0,EndOfAPI"
    answer = bench.ask("PositionerUserTravelLimitsGet(Z.Pos,double *,double *)")
    assert answer == "0,40.000000,60.000000,EndOfAPI"
    assert bench.ask("GroupMoveAbsolute(Z,61)") == "-17,EndOfAPI"
    assert bench.drive.position_mm() == 50.0


def test_a_killed_group_has_to_be_initialised_and_homed_again(bench: Bench) -> None:
    assert bench.ask("GroupKill(Z)GroupStatusGet(Z,int *)") == "0,EndOfAPI0,7,EndOfAPI"
    assert bench.ask("GroupMoveAbsolute(Z,51)GroupHomeSearch(Z)") == "-22,EndOfAPI-22,EndOfAPI"
    assert bench.ask("GroupInitialize(Z)GroupStatusGet(Z,int *)") == "0,EndOfAPI0,42,EndOfAPI"
    assert bench.ask("GroupMoveAbsolute(Z,51)") == "-22,EndOfAPI"
    assert bench.ask("GroupHomeSearch(Z)GroupStatusGet(Z,int *)") == "0,EndOfAPI0,11,EndOfAPI"
    assert bench.drive.position_mm() == 0.0
    assert bench.ask("KillAll()GroupStatusGet(Z,int *)") == "0,EndOfAPI0,7,EndOfAPI"


def test_a_disabled_group_does_not_move_until_it_is_enabled(bench: Bench) -> None:
    assert bench.ask("GroupMotionDisable(Z)GroupStatusGet(Z,int *)") == "0,EndOfAPI0,20,EndOfAPI"
    assert bench.ask("GroupMoveRelative(Z,1)") == "-22,EndOfAPI"
    assert bench.ask("GroupMotionEnable(Z)GroupStatusGet(Z,int *)") == "0,EndOfAPI0,13,EndOfAPI"
    assert bench.ask("GroupMoveRelative(Z,1)") == "0,EndOfAPI"


def test_codes_have_words(bench: Bench) -> None:
    assert bench.ask("GroupStatusStringGet(12,char *)") == "0,Ready state from motion,EndOfAPI"
    assert bench.ask("ErrorStringGet(-27,char *)") == "0,Move Aborted,EndOfAPI"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("GroupFly(Z)", -4),
        ("hello)", -7),
        ("(Z)", -7),
        ("GroupStatusGet(Z)", -9),
        ("GroupMoveAbsolute(Z,1,2)", -9),
        ("GroupMoveAbsolute(Z,far)", -14),
        ("GroupMoveAbsolute(Z,nan)", -14),
        ("GroupMoveAbsolute(Z,5_0)", -14),
        ("GroupStatusStringGet(x,char *)", -15),
        ("GroupMoveAbsolute(Z,101)", -17),
        ("PositionerUserTravelLimitsSet(Z.Pos,60,40)", -17),
        ("PositionerSGammaParametersSet(Z.Pos,21,80,0.01,0.05)", -17),
        ("PositionerUserTravelLimitsGet(Z,double *,double *)", -18),
        ("GroupMoveAbsolute(Y,1)", -19),
        ("GroupMoveAbort(Z)", -22),
        ("GroupInitialize(Z)", -22),
        ("GroupMotionEnable(Z)", -22),
        ("Login(Administrator,guess)", -106),
        ("A" * 1100, -3),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_answered_by_its_code(bench: Bench, call: str, code: int) -> None:
    assert bench.ask(call) == f"{code},EndOfAPI"
    assert bench.drive.target_mm == 50.0


def test_a_following_error_ends_the_move_and_disables_the_group(bench: Bench) -> None:
    arm(bench.faults, "following_error", "focus")
    assert bench.ask("GroupMoveAbsolute(Z,60)") == "-25,EndOfAPI"
    assert bench.ask("GroupStatusGet(Z,int *)GroupMoveAbsolute(Z,60)") == "0,22,EndOfAPI-22,EndOfAPI"
    assert 50.0 < bench.drive.position_mm() < 60.0
    assert bench.ask("GroupMotionEnable(Z)GroupMoveAbsolute(Z,60)") == "0,EndOfAPI0,EndOfAPI"


def test_a_fault_of_the_controller_is_the_answer(bench: Bench) -> None:
    arm(bench.faults, "controller_error", "focus", code=-21)
    assert bench.ask("GroupMoveAbsolute(Z,60)") == "-21,EndOfAPI"
    assert bench.drive.target_mm == 50.0


@pytest.mark.parametrize("fault", ["garbage", "partial_line"])
def test_faults_of_the_wire_spoil_one_answer(bench: Bench, fault: str) -> None:
    arm(bench.faults, fault, "focus")
    spoilt = talk(bench.controller.serve, [b"GroupStatusGet(Z,int *)"], "focus", bench.faults)
    assert b"0,12" not in spoilt or not spoilt.endswith(b",EndOfAPI")
    assert spoilt.endswith(b",EndOfAPI") == (fault == "garbage")
    assert bench.ask("GroupStatusGet(Z,int *)") == "0,12,EndOfAPI"


def test_an_abort_on_another_connection_answers_the_move_that_it_cuts_short(
    connect: Connect,
) -> None:
    bench, connection = connect
    mover, watcher = connection(), connection()
    mover.sendall(b"GroupMoveAbsolute(Z,100)")
    state = ""
    while state != "0,44,EndOfAPI":
        watcher.sendall(b"GroupStatusGet(Z,int *)")
        state = read(watcher)
    watcher.sendall(b"GroupMoveAbsolute(Z,0)")
    assert read(watcher) == "-22,EndOfAPI"
    watcher.sendall(b"GroupMoveAbort(Z)")
    assert read(watcher) == "0,EndOfAPI"
    assert read(mover) == "-27,EndOfAPI"
    watcher.sendall(b"GroupStatusGet(Z,int *)")
    assert read(watcher) == "0,10,EndOfAPI"
    assert bench.drive.target_mm < 100.0


def test_a_move_holds_its_connection_until_it_ends(connect: Connect) -> None:
    bench, connection = connect
    mover = connection()
    mover.sendall(b"GroupMoveAbsolute(Z,54)GroupPositionCurrentGet(Z,double *)")
    assert read(mover) in ("0,EndOfAPI", "0,EndOfAPI0,54.000000,EndOfAPI")  # the second may come with the first
    assert bench.drive.position_mm() == 54.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.sampled_from("GZ(),.*-1 "), max_size=40))
def test_whatever_is_sent_it_goes_on_answering(noise: list[bytes], text: list[str]) -> None:
    bench = Bench(ManualClock())
    sent = [*noise, "".join(text).encode(), b")" * 300, b"FirmwareVersionGet(char *)"]
    answer = talk(bench.controller.serve, sent, "focus", bench.faults)
    assert answer.endswith(b",XPS-C8 Firmware V2.6.0,EndOfAPI")
