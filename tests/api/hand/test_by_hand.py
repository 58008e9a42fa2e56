"""The rig in people's hands: the world says what moved, and how far."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.data_folder import DataFolder
from api.job_turn import RigWork
from api.service import Service
from api.twin import Twin, running_twin
from benchmarks.guardian import truth
from devices.rig import RigSettings, open_rig
from tests.api.service_bench import SOON_S, PlayedWork, eventually, plan
from tests.api.test_routes import refused

DEVICES = "/api/v1/devices"
NEAR_UM = 0.05  # servo, noise of its sensor, settling
TRUE_UM = 0.3  # and what its sensor does not see: scale error, crosstalk, creep


@pytest.fixture(scope="module")
def twin(natural_image: Path) -> Iterator[Twin]:
    """One of our own: whoever shares it would find stages where we left them."""
    with running_twin(["--world", "still", "--specimen", str(natural_image), "--pixel-nm", "20", "--seed", "3"]) as own:
        yield own


@contextmanager
def serving(twin: Twin, data: Path, rig: Path | None = None, work: RigWork | None = None) -> Iterator[TestClient]:
    service = Service(DataFolder(data), rig or twin.rig, work=work or RigWork())
    with TestClient(create_app(service)) as client:
        yield client


def place(twin: Twin) -> list[float]:
    found: list[float] = truth(twin)["scanner_um"]
    return found


def go(client: TestClient, device: str, **targets_um: float) -> Any:
    return client.post(f"{DEVICES}/{device}/move", json={"targets_um": targets_um})


def test_a_move_arrives_with_the_probe_retracted(twin: Twin, tmp_path: Path) -> None:
    with open_rig(RigSettings.load(twin.rig)) as rig:
        rig.scanner.move_to({"x": 5.0, "y": 5.0, "z": 4.0})
    with serving(twin, tmp_path) as client:
        answer = go(client, "scanner", x=31.0, y=17.5)
        assert answer.status_code == 200
        assert answer.json()["position_um"] == pytest.approx({"x": 31.0, "y": 17.5, "z": 0.0}, abs=NEAR_UM)
        assert place(twin) == pytest.approx([31.0, 17.5, 0.0], abs=TRUE_UM)
        scanner, focus, *_ = client.get(DEVICES).json()["devices"]
        assert scanner["reading"]["position_um"]["x"] == pytest.approx(31.0, abs=NEAR_UM)
        assert (scanner["ok"], scanner["reading"]["limits_um"]["y"]) == (True, [0.0, 100.0])
        assert (focus["name"], focus["kind"]) == ("focus", "positioner")
        force = client.get(f"{DEVICES}/force").json()
        assert abs(force["reading"]["force_nn"]) < 50


@pytest.mark.parametrize(
    ("device", "targets_um", "words"),
    [
        ("scanner", {"x": 100.5}, ["x = 100.5 um", "0..100 um"]),
        ("scanner", {"x": 1.0, "y": -0.1}, ["y = -0.1 um", "0..100 um"]),
        ("scanner", {"z": 0.5}, ["z = 0.5 um", "0..0 um", "probe"]),
        ("focus", {"z": 1e9}, ["z = 1e+09 um", "0..100000 um"]),
        ("focus", {"z": 1.0}, ["z = 1 um", "probe"]),
        ("focus", {"x": 1.0}, ["no axis x"]),
        ("scanner", {}, ["targets_um"]),
        ("scanner", {"q": 1.0}, ["q"]),
        ("scanner", {"x": "1"}, ["targets_um.x"]),
    ],
)
def test_what_is_beyond_the_limits_is_refused_and_nothing_moves(
    twin: Twin, tmp_path: Path, device: str, targets_um: dict[str, Any], words: list[str]
) -> None:
    before = truth(twin)
    with serving(twin, tmp_path) as client:
        refused(go(client, device, **targets_um), 422, *words)
    after = truth(twin)
    assert after["scanner_um"] == pytest.approx(before["scanner_um"], abs=1e-3)  # the servo's own noise
    assert after["focus_um"] == pytest.approx(before["focus_um"], abs=1e-3)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "true", "null", "[1]"])
def test_what_is_no_number_moves_nothing(twin: Twin, tmp_path: Path, number: str) -> None:
    with serving(twin, tmp_path) as client:
        url, kind = f"{DEVICES}/scanner/move", {"Content-Type": "application/json"}
        refused(client.post(url, content=f'{{"targets_um": {{"x": {number}}}}}', headers=kind), 422)
        assert not client.app.state.service.by_hand.is_open  # type: ignore[attr-defined]


def test_what_does_not_move_or_is_not_there_is_refused(twin: Twin, tmp_path: Path) -> None:
    with serving(twin, tmp_path) as client:
        refused(go(client, "camera", x=1), 409, "does not move")
        refused(go(client, "absent", x=1), 404, "absent")
        refused(client.get(f"{DEVICES}/absent"), 404, "absent")
        for name in ("scanner", "focus"):
            refused(client.post(f"{DEVICES}/{name}/home"), 409, "probe")
        refused(client.post(f"{DEVICES}/camera/home"), 409)


def test_without_a_probe_z_is_free_and_a_zero_can_be_looked_for(twin: Twin, tmp_path: Path) -> None:
    text = twin.rig.read_text()
    rig = tmp_path / "rig.toml"
    rig.write_text(text[: text.index("[devices.force]")] + text[text.index("[devices.video]") :])
    with serving(twin, tmp_path, rig) as client:
        assert go(client, "scanner", z=2.0).status_code == 200
        assert place(twin)[2] == pytest.approx(2.0, abs=TRUE_UM)
        assert client.post(f"{DEVICES}/scanner/home").status_code == 200
        assert go(client, "scanner", z=0.0).status_code == 200


def test_a_snap_is_the_frame_of_the_camera(twin: Twin, tmp_path: Path) -> None:
    with serving(twin, tmp_path) as client:
        before = place(twin)
        answer = client.post("/api/v1/snap", json={"exposure_ms": 30})
        assert answer.headers["Content-Type"] == "image/png"
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
        assert (image.shape, image.dtype) == ((512, 512), np.uint16)
        assert image.std() > 0
        assert place(twin) == pytest.approx(before, abs=1e-3)
        refused(client.post("/api/v1/snap", json={"exposure_ms": 0}), 422, "exposure_ms")
        refused(client.post("/api/v1/snap", json={"exposure_ms": 3000}), 422, "camera", "3000", "2000")
        assert client.get("/healthz").json()["devices"]["camera"] == "ok"


def test_while_a_run_has_the_rig_nothing_moves_and_its_last_tile_is_read(twin: Twin, tmp_path: Path) -> None:
    played = PlayedWork()
    played.gate.clear()
    with serving(twin, tmp_path, work=played.work) as client:
        assert go(client, "scanner", x=10.0).status_code == 200
        hand = client.app.state.service.by_hand  # type: ignore[attr-defined]
        assert hand.is_open
        wanted = plan(region={"x_um": [2, 26], "y_um": [1, 24]})
        assert client.post("/api/v1/jobs", json={"plan": wanted}).status_code == 201
        eventually(lambda: client.get("/api/v1/status").json()["state"] == "acquiring")
        assert not hand.is_open
        before = place(twin)
        for answer in (
            go(client, "scanner", x=1.0),
            client.post(f"{DEVICES}/focus/home"),
            client.post("/api/v1/snap"),
        ):
            refused(answer, 409, "job 1 (pads) has it")
        assert place(twin) == pytest.approx(before, abs=1e-3)
        reading = eventually(lambda: client.get(f"{DEVICES}/scanner").json()["reading"])
        assert reading["tile"] == 0
        played.gate.set()
        eventually(lambda: client.get("/api/v1/status").json()["state"] == "idle")
        assert go(client, "scanner", x=11.0).status_code == 200


def test_an_open_interlock_keeps_the_rig_still(twin: Twin, tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    door = '[[interlocks]]\nname = "door"\nsignal = { kind = "file", path = "door" }\nother_than = "closed"\n'
    rig.write_text(twin.rig.read_text() + door)
    (tmp_path / "door").write_text("open")
    with serving(twin, tmp_path, rig) as client:
        before = place(twin)
        refused(go(client, "scanner", x=50.0), 409, "door")
        assert place(twin) == pytest.approx(before, abs=1e-3)
        (tmp_path / "door").write_text("closed")
        assert go(client, "scanner", x=50.0).status_code == 200


def test_a_stop_cuts_a_move_short(twin: Twin, tmp_path: Path) -> None:
    start_um = truth(twin)["focus_um"]
    with serving(twin, tmp_path) as client:
        answers: list[Any] = []
        mover = threading.Thread(target=lambda: answers.append(go(client, "focus", z=99_000.0)))
        mover.start()
        eventually(lambda: truth(twin)["focus_um"] > start_um + 10)
        refused(go(client, "scanner", x=1.0), 409, "somebody else moves")
        assert client.post("/api/v1/stop").status_code == 202
        mover.join(SOON_S)
        refused(answers[0], 409, "focus")
        rest_um = eventually(_standing(lambda: truth(twin)["focus_um"]))
        assert rest_um < 99_000
        assert client.get("/api/v1/status").json()["held"] == "stopped over HTTP"


def test_the_end_of_the_service_cuts_a_long_exposure_short(twin: Twin, tmp_path: Path) -> None:
    with serving(twin, tmp_path) as client:
        answers: list[Any] = []
        body = {"exposure_ms": 2000}
        snapping = threading.Thread(target=lambda: answers.append(client.post("/api/v1/snap", json=body)))
        snapping.start()
        hand = client.app.state.service.by_hand  # type: ignore[attr-defined]
        eventually(lambda: hand.exposing.locked())
        began_s = time.monotonic()
        client.app.state.service.close()  # type: ignore[attr-defined]
        snapping.join(SOON_S)
        assert time.monotonic() - began_s < 5
        refused(answers[0], 409, "camera")


def _standing(read: Callable[[], float]) -> Callable[[], float | None]:
    """Where something stands, once it does: a heavy stage slows down first."""

    def stands() -> float | None:
        before = read()
        time.sleep(0.05)
        return before if abs(read() - before) < 0.01 else None

    return stands


def test_a_rig_that_nobody_asks_for_is_closed_again(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.hand.by_hand.IDLE_S", 0.05)
    with serving(twin, tmp_path) as client:
        assert client.get(f"{DEVICES}/scanner").json()["ok"]
        eventually(lambda: not client.app.state.service.by_hand.is_open)  # type: ignore[attr-defined]
        with open_rig(RigSettings.load(twin.rig)) as rig:
            rig.scanner.move_to({"x": 3.0})


def test_looking_does_not_open_a_rig_that_would_move(twin: Twin, tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text(twin.rig.read_text().replace('driver = "pi_gcs"', 'driver = "pi_gcs"\nstart_up = ["autozero"]'))
    with serving(twin, tmp_path, rig) as client:
        before = place(twin)
        scanner = client.get(f"{DEVICES}/scanner").json()
        assert (scanner["ok"], scanner["reading"]) == (None, None)
        assert place(twin) == pytest.approx(before, abs=1e-3)


def test_a_dead_device_is_told_as_such(twin: Twin, tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    port = RigSettings.load(twin.rig).devices.scanner.model_dump()["port"]
    rig.write_text(twin.rig.read_text().replace(f"port = {port}", "port = 1"))
    with serving(twin, tmp_path, rig) as client:
        refused(go(client, "scanner", x=1.0), 503, "scanner")
        found = {device["name"]: device["ok"] for device in client.get(DEVICES).json()["devices"]}
        assert found["scanner"] is False
