"""Telling people, over real HTTP and SMTP: the servers here only write down what arrives."""

import ast
import base64
import email
import email.policy
import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from acquisition import telling_channel
from acquisition.events import KINDS, Class
from acquisition.journal import Event, utc_now
from acquisition.progress import Progress
from acquisition.run_store import RunStore
from acquisition.states import Outcome
from acquisition.telling import Telling
from acquisition.telling_mail import letter
from acquisition.telling_mail import mail as send
from acquisition.telling_memory import ToldMemory
from acquisition.telling_message import WORDS, Message, told_kinds
from acquisition.telling_trial import try_channels, unset_secrets
from acquisition.telling_webhook import NotTold, body
from devices.rig import RigFileError, RigSettings
from devices.telling_settings import EVENT_CLASSES, Mail, TellingSettings, Webhook
from tests.acquisition.conftest import RIG

NewStore = Callable[..., RunStore]
PICTURE = b"\x89PNG not quite"
SOON_S = 20.0  # a busy machine; what is waited for takes milliseconds


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true, and fail if it does not come true soon."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


class Hook:
    """A chat service: keeps what is posted; answers `status`, or nothing at all while `silent`."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.asked = 0
        self.status = 200
        self.silent = threading.Event()
        self.over = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.asked += 1
                said = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.silent.is_set():
                    hook.over.wait(SOON_S)
                    return
                self.send_response(hook.status)
                self.send_header("Location", "http://elsewhere.invalid/")
                self.end_headers()
                if hook.status == 200:
                    hook.posted.append(json.loads(said))
                    hook.headers.append(dict(self.headers))

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def classes(self) -> list[str]:
        return [said["class"] for said in list(self.posted)]


class Postman(socketserver.StreamRequestHandler):
    """As much SMTP as a client needs to leave a message (RFC 5321)."""

    def handle(self) -> None:
        server: Any = self.server
        self._say("220 sink")
        while line := self.rfile.readline().decode().strip():
            server.heard.append(line)
            match line.split()[0].upper():
                case "EHLO":
                    self._say(server.hello)
                case "RCPT" if "nobody@" in line:
                    self._say("550 no such user")
                case "DATA":
                    self._say("354 go on")
                    server.mails.append(email.message_from_bytes(self._data(), policy=email.policy.default))
                    self._say("250 taken")
                case "AUTH":
                    self._say(f"535 {line} is not known here")
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _data(self) -> bytes:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same waits, shorter."""
    monkeypatch.setattr(telling_channel, "POLL_S", 0.02)
    monkeypatch.setattr(telling_channel, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(telling_channel, "LONGEST_WAIT_S", 0.1)
    monkeypatch.setattr(telling_channel, "END_S", 0.5)


@contextmanager
def listening() -> Iterator[Hook]:
    found = Hook()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.over.set()
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as found:
        yield found


@pytest.fixture
def smtp() -> Iterator[Any]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Postman) as server:
        server.mails, server.heard, server.hello = [], [], "250 sink"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def to_hook(hook: Hook, **more: Any) -> TellingSettings:
    skipped = {"skipped_every_min": more.pop("skipped_every_min")} if "skipped_every_min" in more else {}
    return TellingSettings.model_validate({"webhooks": [{"url": hook.url, **more}], **skipped})


def events_of(store: RunStore, kind: str) -> list[Event]:
    return [event for event in store.journal.events() if event.kind == kind]


def test_tells_what_happened_why_how_far_and_until_when(new_store: NewStore, hook: Hook) -> None:
    store = new_store(name="pads")
    with Telling(to_hook(hook), store.path, lambda: PICTURE):
        store.journal.add_event("run_started")
        store.journal.add_event("worker_started", pid=1)
        until(lambda: len(hook.posted) == 1)
        store.journal.add_event("paused", reason="the lid is open")
        until(lambda: len(hook.posted) == 2)
    started, paused = hook.posted
    assert started["class"] == "started"
    assert started["progress"] == {"done": 0, "planned": 6}
    assert started["expected_end"] > utc_now()[:10]
    assert started["picture_png_base64"] is None
    assert paused["class"] == "paused"
    assert paused["reason"] == "the lid is open"
    assert "pads: paused, 0 of 6 tiles" in paused["text"]
    assert base64.b64decode(paused["picture_png_base64"]) == PICTURE


def test_tells_the_end_of_a_run_that_ends_at_once(new_store: NewStore, hook: Hook) -> None:
    store = new_store()
    with Telling(to_hook(hook, classes=["completed", "failed"]), store.path):
        store.journal.add_event("run_started")
        store.journal.add_event("run_completed")
    assert hook.classes() == ["completed"]
    assert hook.posted[0]["expected_end"] is None


def test_a_run_that_starts_again_tells_nothing_twice(new_store: NewStore, hook: Hook) -> None:
    store = new_store()
    store.journal.add_event("run_started")
    with Telling(to_hook(hook), store.path):
        store.journal.add_event("tile_skipped", tile=3, reason="camera: no frame")
    store.journal.add_event("interlock_tripped", name="lid")
    with Telling(to_hook(hook), store.path):
        pass
    assert sorted(hook.classes()) == ["interlock", "skipped", "started"]


def test_what_many_channels_are_told_at_once_is_remembered_of_each(
    new_store: NewStore, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store()
    channels = [f"chat {number}" for number in range(6)]
    together = threading.Barrier(len(channels))

    def post(settings: Webhook, message: Message) -> None:
        together.wait(SOON_S)

    monkeypatch.setattr(telling_channel, "post", post)
    with Telling(
        TellingSettings.model_validate({"webhooks": [{"name": name, "url": hook.url} for name in channels]}), store.path
    ):
        store.journal.add_event("run_started")
    told = json.loads((store.path / "told.json").read_text())
    assert told == {name: {"started": 1} for name in channels}


def test_skipped_tiles_are_summed_up(new_store: NewStore, hook: Hook) -> None:
    store = new_store()
    with Telling(to_hook(hook, skipped_every_min=10), store.path):
        store.journal.add_event("tile_skipped", tile=0, reason="camera: no frame")
        until(lambda: len(hook.posted) == 1)
        for tile in range(1, 100):
            store.journal.add_event("tile_skipped", tile=tile, reason="camera: no frame")
        store.journal.add_event("guardian_died")
        until(lambda: "guardian" in hook.classes())
        assert hook.classes().count("skipped") == 1
    summed = hook.posted[-1]
    assert summed["count"] == 99
    assert len(summed["events"]) == telling_channel.MOST_LISTED
    assert "79 earlier ones" in summed["text"]


def test_a_webhook_that_is_down_is_told_once_it_is_back(new_store: NewStore, hook: Hook) -> None:
    store = new_store()
    hook.status = 503
    with Telling(to_hook(hook), store.path):
        store.journal.add_event("run_started")
        until(lambda: hook.asked >= 3)
        hook.status = 200
        until(lambda: hook.classes() == ["started"])
    failures = events_of(store, "telling_failed")
    assert [event.data for event in failures] == [
        {"channel": "webhook", "reason": "HTTP Error 503: Service Unavailable", "partly": False}
    ]


def test_a_webhook_that_answers_late_gets_the_same_message_again(
    new_store: NewStore, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store()
    store.journal.add_event("run_started")
    post, late = telling_channel.post, iter([True])

    def answer_late(settings: Webhook, message: Message) -> None:
        post(settings, message)
        if next(late, False):
            raise NotTold("timed out")

    monkeypatch.setattr(telling_channel, "post", answer_late)
    with Telling(to_hook(hook), store.path):
        until(lambda: len(hook.posted) == 2)
        store.journal.add_event("run_completed")
    first, again, other = (said["id"] for said in hook.posted)
    assert first == again != other
    assert first.startswith("run-1-")


def test_a_class_that_cannot_be_told_lets_the_others_go_first(
    new_store: NewStore, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store()
    store.journal.add_event("run_started")
    post = telling_channel.post

    def refuse_the_start(settings: Webhook, message: Message) -> None:
        if message.told_class is Class.STARTED:
            raise NotTold("timed out")
        post(settings, message)

    monkeypatch.setattr(telling_channel, "post", refuse_the_start)
    with Telling(to_hook(hook), store.path):
        until(lambda: bool(events_of(store, "telling_failed")))
        store.journal.add_event("paused", reason="the lid is open")
        until(lambda: hook.classes() == ["paused"])
        store.journal.add_event("run_failed", reason="no light")
    assert hook.classes() == ["paused", "failed"]


def test_who_is_told_of_the_end_is_not_told_of_the_start_any_more(new_store: NewStore, hook: Hook) -> None:
    store = new_store()
    hook.status = 503
    with Telling(to_hook(hook), store.path):
        store.journal.add_event("run_started")
        until(lambda: hook.asked >= 1)
        hook.status = 200
        store.journal.add_event("run_completed")
    assert hook.classes()[-1] == "completed"
    with Telling(to_hook(hook), store.path):
        pass
    assert hook.classes()[-1] == "completed"
    assert len(hook.posted) <= 2


def test_after_the_end_nobody_is_told_that_the_run_goes_on(new_store: NewStore, hook: Hook) -> None:
    store = new_store()
    with Telling(to_hook(hook), store.path):
        store.journal.add_event("run_started")
        store.journal.add_event("paused", reason="the lid is open")
        until(lambda: "paused" in hook.classes())
        store.journal.add_event("continued")  # not told yet, for that class was told a moment ago
        store.journal.add_event("tile_skipped", tile=3, reason="dust", final=True)
        store.journal.add_event("run_completed")
        until(lambda: "completed" in hook.classes())
    assert sorted(hook.classes()) == ["completed", "paused", "skipped", "started"]
    assert [said["expected_end"] for said in hook.posted[-2:]] == [None, None]
    only_pauses = to_hook(hook, name="pauses", classes=["paused"])
    with Telling(only_pauses, store.path):
        until(lambda: len(hook.posted) == 5)
    assert [event["kind"] for event in hook.posted[-1]["events"]] == ["paused", "continued"]


def test_what_another_process_told_meanwhile_is_not_told_again(
    new_store: NewStore, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store()
    store.journal.add_event("run_started")
    post = telling_channel.post

    def told_elsewhere(settings: Webhook, message: Message) -> None:
        ToldMemory(store.path).remember("webhook", Class.STARTED, message.events[-1].seq)
        raise NotTold("timed out")

    monkeypatch.setattr(telling_channel, "post", told_elsewhere)
    with Telling(to_hook(hook), store.path):
        until(lambda: bool(events_of(store, "telling_failed")))
        monkeypatch.setattr(telling_channel, "post", post)
    assert hook.posted == []


def test_what_stands_in_the_way_is_told_in_words(new_store: NewStore) -> None:
    with socket.socket() as nobody:  # holds the port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        mail = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "a@b.c", "to": ["d@e.f"]}
        settings = {"webhooks": [{"url": f"http://127.0.0.1:{port}"}], "mails": [mail]}
        trials = try_channels(TellingSettings.model_validate(settings), "rig 2")
        assert [trial.trouble for trial in trials] == ["Connection refused"] * 2


def test_a_paused_run_says_what_it_waits_for() -> None:
    events = [Event(7, utc_now(), "paused", {"reason": "the lid is open"})]
    message = Message("pads", "/runs/pads", Class.PAUSED, events, 1, Progress(3, 9, None, "somebody"), None)
    assert "Paused, waits for somebody." in message.text
    assert "Expected end" not in message.text
    assert body(message)["waits_for"] == "somebody"


def test_a_webhook_that_never_answers_does_not_hold_up_the_end(
    new_store: NewStore, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acquisition.telling_webhook.TIMEOUT_S", 0.2)
    store = new_store()
    hook.silent.set()
    with Telling(to_hook(hook), store.path):
        store.journal.add_event("run_completed")
        until(lambda: hook.asked >= 1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("telling")]
    assert [event.data for event in events_of(store, "telling_failed")] == [
        {"channel": "webhook", "reason": "timed out", "partly": False}
    ]


def test_a_webhook_that_drips_is_not_waited_for(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acquisition.telling_webhook.TIMEOUT_S", 0.3)
    over = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            with suppress(OSError):
                while not over.wait(0.02):
                    self.request.sendall(b"H")

    with socketserver.TCPServer(("127.0.0.1", 0), Drip) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        settings = TellingSettings.model_validate(
            {"webhooks": [{"url": f"http://127.0.0.1:{server.server_address[1]}"}]}
        )
        trials = list(try_channels(settings, "rig 2"))
        over.set()
        thread.join()
    assert [trial.trouble for trial in trials] == ["timed out"]


def test_a_message_is_given_up_in_the_end(new_store: NewStore, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling_channel, "KEPT_S", 0.2)
    store = new_store()
    hook.status = 500
    told = store.path / "told.json"
    with Telling(to_hook(hook), store.path):
        store.journal.add_event("run_started")
        until(told.exists)
    assert json.loads(told.read_text()) == {"webhook": {"started": 1}}


def test_a_redirect_carries_nothing_elsewhere(new_store: NewStore, hook: Hook) -> None:
    store = new_store()
    hook.status = 302
    with Telling(to_hook(hook), store.path):
        store.journal.add_event("run_started")
        until(lambda: bool(events_of(store, "telling_failed")))
    assert events_of(store, "telling_failed")[0].data["reason"] == "HTTP Error 302: Found"


def test_one_channel_that_hangs_keeps_nothing_from_another(new_store: NewStore, hook: Hook, smtp: Any) -> None:
    store = new_store()
    hook.silent.set()
    mail = {"host": "127.0.0.1", "port": smtp.server_address[1], "security": "none", "sender": "a@b.c", "to": ["d@e.f"]}
    settings = TellingSettings.model_validate({"webhooks": [{"url": hook.url}], "mails": [mail]})
    with Telling(settings, store.path):
        store.journal.add_event("run_started")
        until(lambda: hook.asked == 1 and len(smtp.mails) == 1)
        hook.over.set()


def test_a_mail_carries_text_and_picture(new_store: NewStore, smtp: Any) -> None:
    store = new_store()
    mail = {"host": "127.0.0.1", "port": smtp.server_address[1], "security": "none"}
    mail |= {"sender": "rig@lab.example", "to": ["anna@lab.example", "ben@lab.example"]}
    with Telling(TellingSettings.model_validate({"mails": [mail]}), store.path, lambda: PICTURE):
        store.journal.add_event("run_failed", reason="camera: gone")
        until(lambda: len(smtp.mails) == 1)
    (found,) = smtp.mails
    assert found["To"] == "anna@lab.example, ben@lab.example"
    assert found["Subject"] == f"nanoraster: {store.plan.name}: failed, 0 of 6 tiles"
    assert "failed camera: gone" in found.get_body().get_content()
    (picture,) = found.iter_attachments()
    assert picture.get_content() == PICTURE


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_mail_server_that_drips_is_not_waited_for(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    monkeypatch.setattr("acquisition.telling_mail.TIMEOUT_S", 0.3)
    over = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                while not over.wait(0.02):
                    self.request.sendall(b"220-wait\r\n" if security != "tls" else b"\x16\x03\x03")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        mail = {"host": "127.0.0.1", "port": server.server_address[1], "security": security}
        told = TellingSettings.model_validate({"mails": [mail | {"sender": "a@b.c", "to": ["d@e.f"]}]})
        began_s = time.monotonic()
        (trial,) = try_channels(told, "rig 2")
        assert time.monotonic() - began_s < SOON_S / 4
        store = new_store()
        with Telling(told, store.path):
            store.journal.add_event("run_completed")
        over.set()
        server.shutdown()
        thread.join()
    assert trial.trouble == "timed out" if security != "tls" else trial.trouble
    assert [event.data for event in events_of(store, "telling_failed")] == [
        {"channel": "mail", "reason": trial.trouble, "partly": False}
    ]


def test_a_recipient_whom_the_server_refuses_is_named_once(new_store: NewStore, smtp: Any) -> None:
    mail = {"host": "127.0.0.1", "port": smtp.server_address[1], "security": "none"}
    mail |= {"sender": "rig@lab.example", "to": ["anna@lab.example", "nobody@lab.example"]}
    told = TellingSettings.model_validate({"mails": [mail]})
    (trial,) = try_channels(told, "rig 2")
    assert trial.trouble == "the server refused nobody@lab.example"
    store = new_store()
    with Telling(told, store.path):
        store.journal.add_event("run_started")
        until(lambda: len(smtp.mails) == 2)
        store.journal.add_event("run_completed")
    assert len(smtp.mails) == 3, "anna is told each thing once"
    assert [event.data for event in events_of(store, "telling_failed")] == [
        {"channel": "mail", "reason": trial.trouble, "partly": True}
    ]


def test_a_name_of_several_lines_makes_no_header() -> None:
    settings = Mail(host="x", sender="a@b", to=("c@d",))
    event = Event(1, utc_now(), "run_failed", {})
    message = Message(
        "pads\r\nBcc: all@example.org", "/runs/pads", Class.FAILED, [event], 1, Progress(0, 6, None), None
    )
    found = letter(settings, message)
    assert found["Bcc"] is None
    assert found["Subject"] == "nanoraster: pads Bcc: all@example.org: failed, 0 of 6 tiles"
    assert found["Message-ID"] == letter(settings, message)["Message-ID"], "a double cannot be told from another"


def test_no_password_goes_to_a_server_that_does_not_encrypt(
    new_store: NewStore, smtp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_MAIL", "open sesame")
    store = new_store()
    mail = {"host": "127.0.0.1", "port": smtp.server_address[1], "sender": "a@b.c", "to": ["d@e.f"]}
    mail |= {"user": "rig", "password_env": "LAB_MAIL"}
    with Telling(TellingSettings.model_validate({"mails": [mail]}), store.path):
        store.journal.add_event("run_started")
        until(lambda: bool(events_of(store, "telling_failed")))
    assert {line.split()[0].upper() for line in smtp.heard} <= {"EHLO", "QUIT"}
    assert "STARTTLS" in str(events_of(store, "telling_failed")[0].data["reason"])


def test_secrets_come_from_the_environment_and_are_stored_nowhere(
    new_store: NewStore, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_URL", hook.url + "/s3cr3t")
    monkeypatch.setenv("LAB_TOKEN", "Bearer s3cr3t")
    told = {"webhooks": [{"url_env": "LAB_URL", "headers_env": {"Authorization": "LAB_TOKEN"}}]}
    store = new_store(rig={"name": "rig", "tell": TellingSettings.model_validate(told).model_dump(mode="json")})
    with Telling(TellingSettings.model_validate(told), store.path):
        store.journal.add_event("run_started")
        until(lambda: len(hook.posted) == 1)
    assert hook.headers[0]["Authorization"] == "Bearer s3cr3t"
    assert not [file for file in store.path.rglob("*") if file.is_file() and b"s3cr3t" in file.read_bytes()]


@pytest.mark.parametrize(
    ("hook_url", "token"),
    [
        ("https://127.0.0.1/services/S3CRET KEY", "x"),
        ("https://127.0.0.1:S3CRET/x", "x"),
        ("https://127.0.0.1:99999/S3CRET", "x"),
        ("https://S3CRET:S3CRET@127.0.0.1/", "x"),
        ("https://[S3CRET/", "x"),
        ("https://S3CRET..invalid/", "x"),
        ("https://127.0.0.1/S3CRÉT", "x"),
        ("S3CRET", "x"),
        ("", "x"),
        ("file:///etc/S3CRET", "x"),
        ("data:,S3CRET", "x"),
        ("ftp://127.0.0.1/S3CRET", "x"),
        ("https:///S3CRET", "x"),
        ("{hook}", "S3CRET\nS3CRET"),
        ("{hook}", "S3CRET €"),
        ("{echo}/S3CRET", "S3CRET"),
    ],
)
def test_nothing_of_a_secret_is_told_whatever_is_wrong_with_it(
    new_store: NewStore, hook: Hook, echo: str, monkeypatch: pytest.MonkeyPatch, hook_url: str, token: str
) -> None:
    monkeypatch.setattr(telling_channel, "END_S", 0.0)
    monkeypatch.setenv("LAB_URL", hook_url.format(hook=hook.url, echo=echo))
    monkeypatch.setenv("LAB_TOKEN", token)
    told = TellingSettings.model_validate(
        {"webhooks": [{"url_env": "LAB_URL", "headers_env": {"Authorization": "LAB_TOKEN"}}]}
    )
    (trial,) = try_channels(told, "rig 2")
    assert trial.trouble
    store = new_store()
    with Telling(told, store.path):
        store.journal.add_event("run_started")
        until(lambda: bool(events_of(store, "telling_failed")))
    assert events_of(store, "telling_failed")[0].data["reason"] == trial.trouble
    assert "S3C" not in trial.trouble
    assert not [file for file in store.path.rglob("*") if file.is_file() and b"S3C" in file.read_bytes()]
    assert hook.posted == []


@pytest.fixture
def echo() -> Iterator[str]:
    """A server whose status lines are what it was asked, which is no HTTP."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.readline())

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("S3CRET€", "the password, an address or the text holds characters that mail does not take"),
        ("S3CRET", "the server says 535: user or password refused"),
    ],
)
def test_nothing_of_a_password_is_told(smtp: Any, monkeypatch: pytest.MonkeyPatch, password: str, said: str) -> None:
    smtp.hello = "250-sink\r\n250 AUTH PLAIN"
    monkeypatch.setenv("LAB_MAIL", password)
    mail = {"host": "127.0.0.1", "port": smtp.server_address[1], "security": "none", "sender": "a@b.c", "to": ["d@e.f"]}
    unseen = Mail.model_validate(mail)  # a rig file that logs in without encryption is refused
    settings = unseen.model_copy(update={"user": "u", "password_env": "LAB_MAIL"})
    message = Message(
        "pads", "/runs", Class.FAILED, [Event(1, utc_now(), "run_failed", {})], 1, Progress(0, 6, None), None
    )
    with pytest.raises(NotTold) as refused:
        send(settings, message)
    assert str(refused.value) == said


def test_a_secret_that_is_not_set_is_said_by_its_name(new_store: NewStore) -> None:
    store = new_store()
    told = TellingSettings.model_validate({"webhooks": [{"url_env": "NANORASTER_NOT_SET"}]})
    with Telling(told, store.path):
        store.journal.add_event("run_started")
        until(lambda: bool(events_of(store, "telling_failed")))
    reason = events_of(store, "telling_failed")[0].data["reason"]
    assert reason == "the environment variable NANORASTER_NOT_SET is not set"


def test_a_guardian_can_tell_when_the_service_is_gone(new_store: NewStore, hook: Hook) -> None:
    store = new_store(rig={"name": "rig", "tell": to_hook(hook).model_dump(mode="json")})
    store.journal.add_event("guardian_retracted", silent_s=0.3)
    for _ in range(2):
        subprocess.run([sys.executable, "-m", "acquisition.telling", str(store.path)], check=True, timeout=60)
    assert hook.classes() == ["guardian"]


def test_a_trial_says_for_each_channel_whether_it_works(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = {"name": "nobody", "url_env": "NANORASTER_NOT_SET"}
    settings = TellingSettings.model_validate({"webhooks": [{"name": "chat", "url": hook.url}, nobody]})
    tried = [(trial.channel, trial.trouble) for trial in try_channels(settings, "rig 2")]
    assert tried == [("chat", ""), ("nobody", "the environment variable NANORASTER_NOT_SET is not set")]
    assert hook.posted[0]["text"].startswith("rig 2: test message")
    assert unset_secrets(settings) == [
        "tell: nobody: the environment variable NANORASTER_NOT_SET is not set, nobody will be told by it"
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[[tell.webhooks]]\nname = 'chat'", "give either url or url_env"),
        ("[[tell.webhooks]]\nurl = 'ftp://x'", "should be http://HOST... or https://HOST..."),
        ("[[tell.webhooks]]\nurl = 'http://me:word@x'", "should not hold a password"),
        ("[[tell.webhooks]]\nurl = 'http://x'\nclasses = ['note']", "tell.webhooks.0.classes.0 = 'note'"),
        ("[[tell.webhooks]]\nurl = 'http://x'\n[[tell.webhooks]]\nurl = 'http://y'", "'webhook' is given twice"),
        (
            "[[tell.mails]]\nhost='x'\nsender='a@b'\nto=['c@d']\nuser='e'\npassword_env='F'\nsecurity='none'",
            "would show the password",
        ),
    ],
)
def test_a_table_that_cannot_work_is_refused(table: str, said: str) -> None:
    with pytest.raises(RigFileError, match=said.replace(".", r"\.")):
        RigSettings.from_toml(RIG + table)


@pytest.mark.parametrize(
    "told",
    [
        "url = 'http://me:S3CRET@x'",
        "url = 'ftp://me:S3CRET@x'",
        "url = 'http://me:S3 CRET@x:y'",
        "url_env = 'http://S3'",
    ],
)
def test_a_refusal_quotes_no_secret(told: str) -> None:
    with pytest.raises(RigFileError, match="should") as refused:
        RigSettings.from_toml(f"{RIG}[[tell.webhooks]]\n{told}")
    assert "S3" not in str(refused.value)


def test_settings_and_journal_name_the_same_classes() -> None:
    assert set(EVENT_CLASSES) == set(Class) - {Class.NOTE}


def test_every_kind_that_is_told_has_words() -> None:
    assert set(WORDS) == set(told_kinds())


def test_every_event_in_the_code_is_listed() -> None:
    """Each literal first argument of `note` and `add_event`; what is put together at run time is named here."""
    put_together = {f"run_{outcome}" for outcome in Outcome}
    assert put_together <= set(KINDS)
    found = {}
    for package in ("acquisition", "api", "devices", "reconstruction"):
        for path in (Path(__file__).parents[2] / package).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and call.args and _name(call.func).lstrip("_") in ("note", "add_event"):
                    found |= dict.fromkeys(_literals(call.args[0]), f"{path}:{call.lineno}")
    assert {"run_started", "telling_failed", "worker_died"} <= set(found)
    assert {kind: where for kind, where in found.items() if kind not in KINDS} == {}


def test_a_message_in_words() -> None:
    events = [Event(7, utc_now(), "tile_skipped", {"tile": 4, "waited_s": 1.23456, "reason": "camera: no frame"})]
    message = Message("pads", "/runs/pads", Class.SKIPPED, events, 1, Progress(3, 9, None), None)
    assert message.headline == "pads: skipped, 3 of 9 tiles"
    assert "skipped tile 4, waited 1.235 s: camera: no frame" in message.text
    assert Mail(host="x", sender="a@b", to=("c@d",)).classes == EVENT_CLASSES


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _literals(argument: ast.expr) -> list[str]:
    match argument:
        case ast.Constant(value=str() as kind):
            return [kind]
        case ast.IfExp(body=body, orelse=otherwise):
            return _literals(body) + _literals(otherwise)
    return []
