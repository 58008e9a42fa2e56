"""Interlocks: when a rule trips and clears, how signals are read, and what the run is told."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from acquisition import interlock_signals
from acquisition.instructions import Instructions
from acquisition.interlock_signals import READING_FAILED, read
from acquisition.interlocks import InterlockWatch, Tripping, standing, with_disk_floor, wrong_with
from devices.errors import DeviceTimeout
from devices.interlock_settings import Interlock
from devices.rig import RigFileError, RigSettings

PLENTY = 10**12
DISK = {"kind": "disk_free_gb"}
SOON_S = 10.0


def rule(**keys: Any) -> Interlock:
    return Interlock.model_validate({"name": "room", "signal": DISK, "poll_s": 0.1} | keys)


@pytest.mark.parametrize(
    ("keys", "value", "wrong"),
    [
        ({"above": 28.0}, 28.0, ""),
        ({"above": 28.0}, 28.1, "interlock room: 28.1 is above 28"),
        ({"below": 5.0}, 5.0, ""),
        ({"below": 5.0}, 4.5, "interlock room: 4.5 is below 5"),
        ({"below": 18.0, "above": 28.0}, 30.0, "interlock room: 30 is above 28"),
        ({"below": 18.0, "above": 28.0}, 20.0, ""),
        ({"other_than": "ok"}, "ok", ""),
        ({"other_than": "ok"}, "open", "interlock room: open is not ok"),
        ({"other_than": "ok"}, "", "interlock room: (empty) is not ok"),
        ({"other_than": 1.0}, 0.0, "interlock room: 0 is not 1"),
        ({"above": 28.0}, None, "interlock room: the signal cannot be read"),
    ],
)
def test_says_what_is_wrong_with_a_value(keys: dict[str, Any], value: Any, wrong: str) -> None:
    assert wrong_with(rule(**keys), value) == wrong


@pytest.mark.parametrize(
    ("keys", "readings", "changes"),
    [
        ({}, [(0, 20.0), (1, 30.0), (2, 30.0)], {1: "tripped"}),
        ({"for_s": 5.0}, [(-1, 20.0), (0, 30.0), (4, 30.0), (5, 30.0)], {5: "tripped"}),
        ({"for_s": 5.0}, [(-1, 20.0), (0, 30.0), (4, 20.0), (5, 30.0), (9, 30.0), (10, 30.0)], {10: "tripped"}),
        ({"for_s": 5.0}, [(0, 30.0)], {0: "tripped"}),  # for how long, nobody knows
        ({"clear_s": 10.0}, [(0, 30.0), (1, 20.0), (10, 20.0), (11, 20.0)], {0: "tripped", 11: "cleared"}),
        ({"clear_s": 10.0}, [(0, 30.0), (1, 20.0), (9, 30.0), (11, 20.0), (20, 20.0)], {0: "tripped"}),
        ({}, [(0, None), (1, None), (2, None)], {2: "tripped"}),
        ({}, [(0, None), (1, None), (2, 20.0), (3, None), (4, None)], {}),
        ({"missing": "ignore"}, [(second, None) for second in range(9)], {}),
        ({"missing": "ignore", "clear_s": 0.0}, [(0, 30.0), (1, None), (2, None), (3, None)], {0: "tripped"}),
    ],
)
def test_trips_and_clears(keys: dict[str, Any], readings: list[tuple[float, Any]], changes: dict[float, str]) -> None:
    state = Tripping(rule(above=28.0, **keys))
    found = {now_s: state.judge(value, now_s) for now_s, value in readings}
    assert {now_s: change for now_s, change in found.items() if change} == changes


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"above": "warm"}, "above"),
        ({}, "never trips"),
        ({"missing": "ignore"}, "never trips"),
        ({"below": 30.0, "above": 20.0}, "no value is well"),
        ({"other_than": "ok", "above": 3.0}, "neither below nor above"),
        ({"above": 1.0, "signal": {"kind": "device", "device": "force", "reading": "z_um"}}, "no z_um"),
        ({"above": 1.0, "signal": {"kind": "http", "url": "ftp://host"}}, "url"),
        ({"above": 1.0, "signal": {"kind": "http", "url": "http://host/room temp"}}, "no blanks"),
        ({"above": 1.0, "signal": {"kind": "http", "url": "http://host:abc/"}}, "port of 1..65535"),
        ({"above": 1.0, "signal": {"kind": "http", "url": "http://host:99999/"}}, "port of 1..65535"),
        ({"above": 1.0, "signal": {"kind": "http", "url": "http://a..b/"}}, "name a host"),
        ({"above": 1.0, "poll_s": 0.01}, "poll_s"),
        ({"above": 1.0, "action": "panic"}, "action"),
    ],
)
def test_refuses_a_rule_that_makes_no_sense(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rule(**keys)


def with_interlocks(text: str) -> RigSettings:
    from tests.acquisition.conftest import RIG

    return RigSettings.from_toml(RIG + text, Path("/lab"))


def test_stands_in_the_rig_file() -> None:
    settings = with_interlocks(
        '[[interlocks]]\nname = "door"\nsignal = { kind = "file", path = "door.txt" }\nother_than = "shut"\n'
    )
    assert settings.interlocks[0].signal.path == Path("/lab/door.txt")  # type: ignore[union-attr]
    assert RigSettings.model_validate(settings.model_dump(mode="json")).interlocks == settings.interlocks


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[interlocks]]\nname = "a"\nsignal = { kind = "disk_free_gb" }\nbelow = 1.0\n' * 2, "two are called 'a'"),
        (
            '[[interlocks]]\nname = "a"\nabove = 1.0\n'
            'signal = { kind = "device", device = "force", reading = "force_nn" }\n',
            "has no force",
        ),
        (
            '[[interlocks]]\nname = "a"\nabove = 1.0\nsignal = { kind = "http", url = "http://host/room temp" }\n',
            "interlocks.0.signal.http.url = 'http://host/room temp': should have no blanks",
        ),
    ],
)
def test_the_rig_file_refuses_rules_that_do_not_fit_it(text: str, words: str) -> None:
    with pytest.raises(RigFileError, match=words):
        with_interlocks(text)


@pytest.mark.parametrize(
    ("disk_bytes", "floor_gb"),
    [(2 * 10**12, 1.0), (10 * 10**9, 0.2)],
)
def test_always_keeps_a_disk_from_filling_up(disk_bytes: int, floor_gb: float) -> None:
    (floor,) = with_disk_floor([], disk_bytes)
    assert (floor.signal.kind, floor.below, floor.action, floor.resume) == ("disk_free_gb", floor_gb, "pause", "auto")


def test_a_rule_of_the_same_name_does_not_let_go_of_the_disk() -> None:
    raid = rule(name="disk", signal={"kind": "file", "path": "raid"}, other_than="ok")
    names = [each.name for each in with_disk_floor([raid], PLENTY)]
    assert len(set(names)) == 2


def test_the_rig_files_own_rule_about_the_disk_takes_its_place() -> None:
    own = rule(below=50.0)
    assert with_disk_floor([own], PLENTY) == [own]


@pytest.fixture
def server() -> Iterator[Any]:
    """A web server that answers everything with its `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.server.answer.encode()  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "keys", "value"),
    [
        ("21.5\n", {"above": 28.0}, 21.5),
        ("ok", {"other_than": "ok"}, "ok"),
        ('{"room": {"temperature_c": 21}}', {"above": 28.0, "key": "room.temperature_c"}, 21.0),
        ('{"open": true}', {"other_than": "false", "key": "open"}, "true"),
        ("warm", {"above": 28.0}, None),
        ("nan", {"above": 28.0}, None),
        ('{"room": {}}', {"above": 28.0, "key": "room.temperature_c"}, None),
        ("[1, 2", {"above": 28.0, "key": "room"}, None),
        ("[" * 60_000, {"above": 28.0, "key": "room"}, None),
        ('{"room": 1' + "0" * 400 + "}", {"above": 28.0, "key": "room"}, None),
        ("20.0" + " " * 70_000, {"above": 28.0}, None),
    ],
)
def test_asks_a_web_server(server: Any, answer: str, keys: dict[str, Any], value: Any) -> None:
    server.answer = answer
    signal = {"kind": "http", "url": f"http://127.0.0.1:{server.server_port}/", "key": keys.pop("key", "")}
    asked = rule(signal=signal, **keys)
    if value is None:
        with pytest.raises(READING_FAILED):
            read(asked, None, lambda: PLENTY)
    else:
        assert read(asked, None, lambda: PLENTY) == value


@pytest.fixture
def raw() -> Iterator[Any]:
    """A server that sends its `pieces`, `every_s`, to whoever has asked, whether or not they are HTTP."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server: Any = self.server
            self.request.recv(65_536)
            with suppress(OSError):
                for piece in server.pieces:
                    self.request.sendall(piece)
                    if server.over.wait(server.every_s):
                        return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as serving:
        serving.every_s, serving.over = 0.0, threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.over.set()  # type: ignore[attr-defined]
        serving.shutdown()
        thread.join()


NO_ANSWERS = {
    "another protocol": [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "half a number": [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n2"],
    "no chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n20"],
    "endless headers": [b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 200],
    "no place to go to": [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:x/\r\n\r\n"],
    "nothing": [],
}


@pytest.mark.parametrize("pieces", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_a_rule_survives_an_answer_that_is_none_and_trips(rig: Any, raw: Any, pieces: list[bytes]) -> None:
    told, journal, raw.pieces = Instructions(), Journal(), pieces
    signal = {"kind": "http", "url": f"http://127.0.0.1:{raw.server_address[1]}/"}
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n20"
    rules = [rule(signal=signal, above=28.0, clear_s=0.0)]
    problems, _ = standing(rules, None, lambda: PLENTY)
    assert [problem.startswith("interlock room: the signal cannot be read: ") for problem in problems] == [True]
    problems, warnings = standing([rule(signal=signal, above=28.0, missing="ignore")], None, lambda: PLENTY)
    assert (problems, len(warnings)) == ([], 1)
    with InterlockWatch(rules, rig, told, journal, lambda: PLENTY):
        assert journal.wait_for("interlock_tripped")
        assert told.why_waits == "interlock room: the signal cannot be read"
        raw.pieces = [good]
        assert journal.wait_for("interlock_cleared")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n"
DRIPS = {
    "status": [b"H"] * 4000,
    "headers": [b"HTTP/1.1 200 OK\r\n", b"A: ", *[b"b"] * 4000],
    "body": [HEAD + b"\r\n", *[b" "] * 4000],
    "go on": [b"HTTP/1.1 100 Continue\r\n\r\n"] * 4000,
}


@pytest.mark.parametrize("pieces", DRIPS.values(), ids=DRIPS.keys())
def test_a_server_that_drips_is_not_waited_for(raw: Any, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]) -> None:
    monkeypatch.setattr("acquisition.interlock_signals.SIGNAL_S", 0.3)
    raw.pieces, raw.every_s = pieces, 0.02  # 80 s in all
    signal = {"kind": "http", "url": f"http://127.0.0.1:{raw.server_address[1]}/"}
    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        read(rule(signal=signal, above=28.0), None, lambda: PLENTY)
    assert time.monotonic() - began_s < 10  # of 80 s; a busy machine


@pytest.mark.parametrize("missing", ["trip", "ignore"])
def test_a_rule_that_cannot_be_judged_for_any_reason_trips(rig: Any, missing: str) -> None:
    told, journal = Instructions(), Journal()
    free: list[int] = []  # the first reading fails as nobody has foreseen

    def unforeseen() -> int:
        return free[0]

    with InterlockWatch([rule(below=1.0, missing=missing, clear_s=0.0)], rig, told, journal, unforeseen):
        assert journal.wait_for("interlock_tripped")
        assert told.interrupting
        assert told.why_waits == "interlock room: it cannot be judged: IndexError: list index out of range"
        free.append(PLENTY)
        assert journal.wait_for("interlock_cleared")
    assert [kind for kind, _ in journal.noted] == ["interlock_tripped", "interlock_cleared"]


def test_a_mount_that_does_not_answer_is_waited_for_by_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, answers, asked = tmp_path / "door", threading.Event(), []

    def hang(path: Path) -> str:
        asked.append(path)
        answers.wait()
        return "shut"

    monkeypatch.setattr(interlock_signals, "SIGNAL_S", 0.05)
    monkeypatch.setattr(interlock_signals, "_text", hang)
    door = rule(signal={"kind": "file", "path": str(path)}, other_than="shut")
    for _ in range(3):
        with pytest.raises(READING_FAILED, match=r"door has not been read after 0.05 s"):
            read(door, None, lambda: PLENTY)
    assert len(asked) == 1
    answers.set()
    monkeypatch.setattr(interlock_signals, "SIGNAL_S", SOON_S)
    assert read(door, None, lambda: PLENTY) == "shut"


def test_reads_files_devices_and_the_disk(tmp_path: Path, rig: Any) -> None:
    (tmp_path / "humidity").write_text("41.5\n")
    in_file = rule(signal={"kind": "file", "path": str(tmp_path / "humidity")}, above=60.0)
    at_z = rule(signal={"kind": "device", "device": "scanner", "reading": "z_um"}, above=9.0)
    rig.scanner.moves.append({"z": 3.5})
    assert read(in_file, rig, lambda: PLENTY) == 41.5
    assert read(at_z, rig, lambda: PLENTY) == 3.5
    assert read(rule(below=1.0), rig, lambda: 5 * 10**9) == 5.0
    (tmp_path / "humidity").unlink()
    with pytest.raises(READING_FAILED):
        read(in_file, rig, lambda: PLENTY)


class Journal:
    """Keeps what is noted, and lets others wait for it."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def __call__(self, kind: str, **data: Any) -> None:
        with self._changed:
            self.noted.append((kind, data))
            self._changed.notify_all()

    def wait_for(self, kind: str) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: any(noted == kind for noted, _ in self.noted), SOON_S)


class Disk:
    free = PLENTY

    def __call__(self) -> int:
        return self.free


@pytest.mark.parametrize("action", ["pause", "retract"])
def test_pauses_while_it_has_tripped_and_goes_on_by_itself(rig: Any, action: str) -> None:
    told, journal, disk = Instructions(), Journal(), Disk()
    with InterlockWatch([rule(below=1.0, action=action, clear_s=0.0)], rig, told, journal, disk):
        disk.free = 0
        assert journal.wait_for("interlock_tripped")
        assert told.interrupting
        assert "0 is below 1" in told.why_waits
        disk.free = PLENTY
        assert journal.wait_for("interlock_cleared")
        assert told.wait_while_paused(SOON_S)
    assert [kind for kind, _ in journal.noted] == ["interlock_tripped", "interlock_cleared"]


def test_what_stood_before_the_run_holds_its_first_move(rig: Any) -> None:
    """As after a power cut: for how long the rule has been broken, nobody knows."""
    told, journal = Instructions(), Journal()
    with InterlockWatch([rule(below=1.0, for_s=3600.0)], rig, told, journal, lambda: 0):
        assert told.waiting


def test_a_manual_rule_waits_for_somebody_after_it_has_cleared(rig: Any) -> None:
    told, journal, disk = Instructions(), Journal(), Disk()
    with InterlockWatch([rule(below=1.0, resume="manual", clear_s=0.0)], rig, told, journal, disk):
        disk.free = 0
        assert journal.wait_for("interlock_tripped")
        told.resume()
        assert told.interrupting
        disk.free = PLENTY
        assert journal.wait_for("interlock_cleared")
        assert not told.wait_while_paused(0.2)
        told.resume()
        assert told.wait_while_paused(SOON_S)


@pytest.mark.parametrize(
    ("action", "stopped", "aborted", "interrupting"),
    [("warn", False, False, False), ("stop", True, False, True), ("abort", True, True, True)],
)
def test_does_what_the_rule_says(rig: Any, action: str, stopped: bool, aborted: bool, interrupting: bool) -> None:
    told, journal = Instructions(), Journal()
    with InterlockWatch([rule(below=1.0, action=action)], rig, told, journal, lambda: 0):
        assert journal.wait_for("interlock_tripped")
    assert (told.stopped, told.aborted, told.interrupting) == (stopped, aborted, interrupting)


def test_a_signal_that_fails_now_and_then_trips_nothing(rig: Any) -> None:
    told, journal, asked = Instructions(), Journal(), threading.Semaphore(0)

    def unsteady() -> int:
        asked.release()
        unsteady.calls += 1  # type: ignore[attr-defined]
        if unsteady.calls % 3:  # type: ignore[attr-defined]
            raise DeviceTimeout("disk", "no answer")
        return PLENTY

    unsteady.calls = 0  # type: ignore[attr-defined]
    with InterlockWatch([rule(below=1.0)], rig, told, journal, unsteady):
        for _ in range(7):
            assert asked.acquire(timeout=SOON_S)
    assert journal.noted == []


def test_a_journal_that_cannot_be_written_does_not_keep_a_rule_from_acting(rig: Any) -> None:
    told = Instructions()
    full = threading.Event()

    def note(kind: str, **data: Any) -> None:
        full.set()
        raise OSError(28, "No space left on device")

    with InterlockWatch([rule(below=1.0)], rig, told, note, lambda: 0):
        assert full.wait(SOON_S)
        assert told.interrupting


def test_tells_before_the_run_what_stands_against_it(rig: Any, tmp_path: Path) -> None:
    rules = [
        rule(name="disk", below=1.0),
        rule(name="warned", below=1.0, action="warn"),
        rule(name="gone", signal={"kind": "file", "path": str(tmp_path / "none")}, above=1.0),
        rule(name="spare", signal={"kind": "file", "path": str(tmp_path / "none")}, above=1.0, missing="ignore"),
        rule(name="stage", signal={"kind": "device", "device": "scanner", "reading": "z_um"}, above=-1.0),
    ]
    problems, warnings = standing(rules, rig, lambda: 0)
    assert [problem.split(":")[0] for problem in problems] == ["interlock disk", "interlock gone", "interlock stage"]
    assert [warning.split(":")[0] for warning in warnings] == ["interlock warned", "interlock spare"]
    problems, _ = standing(rules, None, lambda: PLENTY)
    assert [problem.split(":")[0] for problem in problems] == ["interlock gone"]
