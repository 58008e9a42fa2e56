"""`nanoraster serve` as a process: it comes up, works, and goes on after `kill -9` and SIGTERM."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from acquisition.instructions import Instructions
from acquisition.plan import Plan
from acquisition.readiness import InterlocksStand
from acquisition.run_store import RunStore
from api.data_folder import DataFolder, Occupied
from api.guardian_process import HEARTBEAT_VARIABLE
from api.open_queue import open_queue
from api.safe_rig import make_rig_safe
from api.scan import Watcher, scan
from api.twin import Twin
from benchmarks.guardian import DOWN_UM, truth
from devices.errors import DeviceError
from devices.rig import RigSettings, open_rig
from devices.rig_lock import RigInUse, holding
from tests.api.conftest import NANORASTER
from tests.api.service_bench import SOON_S, eventually

HTTP_S = 10.0
UP_UM = 6.0  # off the specimen
SLOW_PLAN = {"name": "pads", "region": {"x_um": [2, 26], "y_um": [1, 24]}, "camera": {"exposure_ms": 150}}


class Serving:
    """A running `nanoraster serve`."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def ask(self, path: str, body: Any = None) -> Any:
        """GET, or POST if there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=HTTP_S) as answer:
            return json.load(answer)

    def tiles(self) -> int:
        """How many the running job has taken; 0 if none runs."""
        progress = self.ask("/api/v1/status")["progress"]
        return int(progress["tiles"]) if progress else 0


@contextmanager
def serving(data: Path, *options: object) -> Iterator[Serving]:
    command = [str(NANORASTER), "serve", "--data", str(data), "--port", "0", "--json", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Serving(process, json.loads(process.stdout.readline())["url"])
        finally:
            process.kill()


def test_a_job_survives_kill_minus_nine_and_sigterm(twin: Twin, tmp_path: Path) -> None:
    with serving(tmp_path, "--rig", twin.rig) as service:
        job = service.ask("/api/v1/jobs", {"plan": SLOW_PLAN})["id"]
        eventually(lambda: service.tiles() >= 2)
        service.process.kill()
    with serving(tmp_path, "--rig", twin.rig) as service:
        eventually(lambda: service.tiles() >= 4)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SOON_S) == 0
    with serving(tmp_path, "--rig", twin.rig) as service:
        eventually(lambda: service.ask(f"/api/v1/jobs/{job}")["state"] == "done")
        done = service.ask(f"/api/v1/jobs/{job}")
    assert (done["outcome"], done["error"]) == ("completed", None)
    run = tmp_path / "runs" / done["run"]
    assert (run / "report" / "summary.json").exists()
    with closing(RunStore(run)) as store:
        taken = Counter(attempt.tile for _, attempt in store.journal.attempts() if attempt.frame is not None)
        assert taken == Counter(tile.index for tile in store.tiles())


@dataclass
class Held:
    """A job on the twin that an interlock holds: it asks for `ok` in the file `signal`."""

    data: Path
    rig: Path
    signal: Path
    job: int

    def end(self, service: Serving, how: signal.Signals) -> None:
        """End the service, and let the signal be well again before anybody starts another."""
        service.process.send_signal(how)
        service.process.wait(SOON_S)
        self.signal.write_text("ok")


@contextmanager
def held(twin: Twin, data: Path, resume: str) -> Iterator[tuple[Serving, Held]]:
    rig, laser = data / "rig.toml", data / "laser"
    laser.write_text("ok")
    rule = f'signal = {{ kind = "file", path = "{laser}" }}\nother_than = "ok"\nresume = "{resume}"\npoll_s = 0.1'
    rig.write_text(f'{twin.rig.read_text()}\n[[interlocks]]\nname = "laser"\naction = "retract"\n{rule}\n')
    with serving(data, "--rig", rig) as service:
        job = service.ask("/api/v1/jobs", {"plan": SLOW_PLAN})["id"]
        eventually(lambda: service.tiles() >= 1)
        laser.write_text("off")
        eventually(lambda: service.ask("/api/v1/status")["state"] == "paused")
        with closing(RunStore(data / "runs" / service.ask(f"/api/v1/jobs/{job}")["run"])) as store:
            eventually(lambda: store.journal.events(kind="interlock_tripped"))
        yield service, Held(data, rig, laser, job)


def waits_and_goes_on_when_told(held: Held, twin: Twin) -> None:
    """Start the service again; nothing may be exposed until somebody says so."""
    before = twin.world.exposures()
    with serving(held.data, "--rig", held.rig) as service:
        eventually(lambda: service.ask("/api/v1/status")["state"] == "paused")
        assert twin.world.exposures() == before
        service.ask(f"/api/v1/jobs/{held.job}/resume", {})
        eventually(lambda: service.ask(f"/api/v1/jobs/{held.job}")["state"] == "done")
        assert service.ask(f"/api/v1/jobs/{held.job}")["outcome"] == "completed"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_manual_interlock_still_waits_for_somebody_after_a_new_start(
    twin: Twin, tmp_path: Path, how: signal.Signals
) -> None:
    with held(twin, tmp_path, "manual") as (service, laser):
        laser.end(service, how)
    waits_and_goes_on_when_told(laser, twin)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_who_paused_a_job_that_an_interlock_held_is_still_waited_for_after_a_new_start(
    twin: Twin, tmp_path: Path, how: signal.Signals
) -> None:
    with held(twin, tmp_path, "auto") as (service, laser):
        service.ask(f"/api/v1/jobs/{laser.job}/pause", {"after": "row", "reason": "hands in the rig"})
        laser.end(service, how)
    waits_and_goes_on_when_told(laser, twin)


def test_a_job_waits_in_the_queue_while_an_interlock_of_a_device_stands(twin: Twin, tmp_path: Path) -> None:
    """The scanner stands where a rule says it must not; nothing is exposed until it has been brought elsewhere."""
    rule = 'name = "rail"\nsignal = { kind = "device", device = "scanner", reading = "x_um" }\nabove = 60.0\n'
    rig = tmp_path / "rig.toml"
    rig.write_text(f"{twin.rig.read_text()}\n[[interlocks]]\n{rule}")
    with open_rig(RigSettings.load(twin.rig)) as opened:
        opened.scanner.move_to({"x": 80.0})
    before = twin.world.exposures()
    with serving(tmp_path, "--rig", rig) as service:
        jobs = [service.ask("/api/v1/jobs", {"plan": SLOW_PLAN | {"name": name}})["id"] for name in ("a", "b")]
        eventually(lambda: "interlock rail" in str(service.ask("/api/v1/status")["troubles"]))
        waiting = [service.ask(f"/api/v1/jobs/{job}") for job in jobs]
        assert [(job["state"], job["run"]) for job in waiting] == [("queued", None)] * 2
        assert "interlock rail: 80" in waiting[0]["error"]
        assert twin.world.exposures() == before
        eventually(lambda: moved_away(twin))
        for job in jobs:
            eventually(lambda job=job: service.ask(f"/api/v1/jobs/{job}")["state"] == "done")
            assert service.ask(f"/api/v1/jobs/{job}")["outcome"] == "completed"
    assert len(list((tmp_path / "runs").iterdir())) == 2


def moved_away(twin: Twin) -> bool:
    """Bring the scanner back to where it may stand, unless the service has the rig open."""
    settings = RigSettings.load(twin.rig)
    try:
        with holding(settings), open_rig(settings) as opened:
            opened.scanner.move_to({"x": 10.0})
    except RigInUse:
        return False
    return True


def test_a_signal_of_now_does_not_keep_a_job_out_of_the_queue(twin: Twin, tmp_path: Path) -> None:
    room, rig = tmp_path / "room", tmp_path / "rig.toml"
    room.write_text("28.3")
    rule = f'name = "room"\nsignal = {{ kind = "file", path = "{room}" }}\nabove = 28.0\n'
    rig.write_text(f"{twin.rig.read_text()}\n[[interlocks]]\n{rule}")
    with serving(tmp_path, "--rig", rig) as service:
        asked = {"plan": SLOW_PLAN, "start_at": "2099-01-01T22:00:00Z"}
        assert service.ask("/api/v1/jobs", asked)["state"] == "queued"
        found = service.ask("/api/v1/plans/preview", SLOW_PLAN)
        assert (found["problems"], found["warnings"][0]) == ([], "interlock room: 28.3 is above 28")
    with pytest.raises(InterlocksStand, match=r"interlock room: 28\.3 is above 28"):
        scan(Plan.model_validate(SLOW_PLAN), RigSettings.load(rig), tmp_path / "run", Instructions(), Watcher())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("from_um", [UP_UM, 0.04])
def test_a_stop_between_two_jobs_retracts_the_probe(twin: Twin, from_um: float, tmp_path: Path) -> None:
    settings = RigSettings.load(twin.rig)
    with open_rig(settings) as rig:
        rig.scanner.move_to({"z": from_um})
    with serving(tmp_path, "--rig", twin.rig) as service:
        assert service.ask("/api/v1/stop", {})["held"] == "stopped over HTTP"
    assert truth(twin)["scanner_um"][2] < 0.01  # the last 40 nm are 1.7 uN


def test_a_probe_that_was_left_down_is_retracted_though_the_database_is_locked(twin: Twin, tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.make()
    killed = Occupied(folder)
    with open_queue(folder) as queue:
        queue.claim(queue.add("pads", SLOW_PLAN).id, killed.name, "the-run")
    killed.release()
    with open_rig(RigSettings.load(twin.rig)) as rig:
        rig.scanner.move_to({"z": UP_UM})
    with closing(sqlite3.connect(folder.database, isolation_level=None)) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        with serving(tmp_path, "--rig", twin.rig):
            eventually(lambda: truth(twin)["scanner_um"][2] < DOWN_UM)


def test_a_dead_camera_does_not_keep_the_probe_from_being_retracted(twin: Twin, tmp_path: Path) -> None:
    settings = RigSettings.load(twin.rig)
    with open_rig(settings) as rig:
        rig.scanner.move_to({"z": UP_UM})
    (tmp_path / "dead.cfg").write_text(re.sub(r"(Address,\S+):\d+", r"\1:1", settings.devices.camera.cfg.read_text()))
    camera = settings.devices.camera.model_copy(update={"cfg": tmp_path / "dead.cfg"})
    settings = settings.model_copy(update={"devices": settings.devices.model_copy(update={"camera": camera})})
    with pytest.raises(DeviceError, match="camera") as failure:
        make_rig_safe(settings)
    assert failure.value.__notes__ == ["the probe is retracted"]
    assert truth(twin)["scanner_um"][2] < DOWN_UM


def test_a_stop_says_which_process_moves_the_rig(twin: Twin, tmp_path: Path) -> None:
    with serving(tmp_path, "--rig", twin.rig) as service, holding(RigSettings.load(twin.rig)):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            service.ask("/api/v1/stop", {})
        with refusal.value as answer:
            problem = json.load(answer)
        assert service.ask("/api/v1/status")["held"] == "stopped over HTTP"
    assert problem["status"] == 409
    assert f"process {os.getpid()}" in problem["detail"]


class Told:
    """A chat service that keeps what it is posted."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def said(self) -> list[tuple[str, str, str]]:
        return [(post["run"], post["class"], post["reason"] or "") for post in self.posted]


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    serving = threading.Thread(target=told.server.serve_forever)
    serving.start()
    yield told
    told.server.shutdown()
    serving.join()
    told.server.server_close()


def telling_rig(twin: Twin, told: Told, folder: Path, **scanner: str) -> Path:
    """The twin's rig, with a channel, and with changed lines."""
    path, text = folder / "rig.toml", twin.rig.read_text()
    for key, value in scanner.items():
        text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text, count=1)
    path.write_text(f'{text}\n[[tell.webhooks]]\nurl = "http://127.0.0.1:{told.server.server_port}/"\n')
    return path


def test_a_job_whose_rig_does_not_open_is_told_as_failed_once(twin: Twin, told: Told, tmp_path: Path) -> None:
    with serving(tmp_path, "--rig", telling_rig(twin, told, tmp_path, port="1")) as service:
        job = service.ask("/api/v1/jobs", {"plan": SLOW_PLAN | {"name": "die 4"}})["id"]
        eventually(lambda: service.ask(f"/api/v1/jobs/{job}")["state"] == "done")
        eventually(lambda: told.posted)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SOON_S) == 0
    ((run, told_class, reason),) = told.said()
    assert (run, told_class) == ("die 4", "failed")
    assert "scanner: no connection to 127.0.0.1:1" in reason
    assert told.posted[0]["progress"] == {"done": 0, "planned": 9}


def test_a_run_that_fails_for_want_of_a_guardian_says_so_and_is_told_once(
    twin: Twin, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEARTBEAT_VARIABLE, str(tmp_path / "nobody beats here"))
    with serving(tmp_path, "--rig", telling_rig(twin, told, tmp_path)) as service:
        job = service.ask("/api/v1/jobs", {"plan": SLOW_PLAN})["id"]
        eventually(lambda: service.ask(f"/api/v1/jobs/{job}")["state"] == "done")
        done = service.ask(f"/api/v1/jobs/{job}")
        eventually(lambda: told.posted)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SOON_S) == 0
    assert done["outcome"] == "failed"
    assert told.said() == [("pads", "failed", done["error"])]
    with closing(RunStore(tmp_path / "runs" / done["run"])) as store:
        (failed,) = store.journal.events(kind="run_failed")
    assert failed.data == {"before": "the engine began", "reason": done["error"]}


def test_it_brings_its_own_rig_if_asked(natural_image: Path, tmp_path: Path) -> None:
    options = f"--world still --specimen {natural_image} --pixel-nm 20"
    with serving(tmp_path, "--sim", "--sim-options", options) as service:
        assert service.ask("/healthz")["service"] == "working"
        assert service.ask("/api/v1/plans/preview", SLOW_PLAN)["problems"] == []
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SOON_S) == 0
