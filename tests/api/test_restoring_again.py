"""A run is restored again with another model, beside what it had."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from acquisition.journal import Attempt, utc_now
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from api.app import create_app
from api.data_folder import DataFolder
from api.scan import field_of
from api.service import Service
from devices.rig import RigSettings
from tests.api.service_bench import PlayedWork, eventually, plan, rig_file
from tests.api.test_mosaic_tiles import picture
from tests.api.test_routes import refused
from tests.reconstruction.models import model

RUNS = "/api/v1/runs"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    service = Service(DataFolder(tmp_path), rig_file(tmp_path), work=PlayedWork().work)
    with TestClient(create_app(service)) as connected:
        yield connected


@pytest.fixture
def run(client: TestClient, tmp_path: Path) -> str:
    """A finished run whose frames are noise, so that there is something to register and to restore."""
    wanted, random = Plan.model_validate(plan()), np.random.default_rng(1)
    field = field_of(wanted, RigSettings.load(tmp_path / "rig.toml"))
    with closing(RunStore.create(tmp_path / "runs" / "a", wanted, field, {})) as store:
        for tile in store.tiles():
            place = tile.index, 1, tile.row, tile.col, utc_now(), tile.x_um, tile.y_um, None, 0.02, tile.x_um, tile.y_um
            frame = random.integers(1000, 3000, field.shape_px).astype(np.uint16)
            store.record(Attempt(*place, verdict="ok"), frame)
    return "a"


def test_a_run_is_restored_again_and_shown(client: TestClient, tmp_path: Path, run: str) -> None:
    answer = client.post(f"{RUNS}/{run}/reconstruct", json={"model": "nlm"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{RUNS}/{run}/mosaic"
    refused(client.post(f"{RUNS}/{run}/reconstruct", json={"model": "none"}), 409, "nlm")
    again = client.get(f"{RUNS}/{run}/mosaic").json()
    assert again["restored_again"][0]["model"] == "nlm"  # at once, before its process has made a folder
    eventually(lambda: client.get(f"{RUNS}/{run}/mosaic").json()["restored_again"][0]["state"] == "done")
    assert client.get(f"{RUNS}/{run}/mosaic").json()["layers"].keys() == {"raw@nlm", "restored@nlm"}
    top = len(client.get(f"{RUNS}/{run}/mosaic").json()["layers"]["raw@nlm"]) - 1
    tiles = (client.get(f"{RUNS}/{run}/mosaic/{layer}@nlm/{top}/0/0.jpg") for layer in ("raw", "restored"))
    raw, restored = map(picture, tiles)
    assert raw.max() > 0
    assert not np.array_equal(raw, restored)
    refused(client.post(f"{RUNS}/{run}/reconstruct", json={"model": "nlm"}), 409, "the same")
    assert not (tmp_path / "runs" / run / "mosaic.zarr").exists()


@pytest.mark.parametrize("model", ["gan", "../../x", "", "a/b", "/etc/passwd", "none\x00"])
def test_a_model_that_is_none_is_refused(client: TestClient, tmp_path: Path, run: str, model: str) -> None:
    refused(client.post(f"{RUNS}/{run}/reconstruct", json={"model": model}), 422)
    assert not (tmp_path / "restored").exists()
    refused(client.get(f"{RUNS}/{run}/mosaic/raw@..%2f..%2fruns/0/0/0.jpg"), 404)
    refused(client.get(f"{RUNS}/{run}/mosaic/raw@../0/0/0.jpg"), 422)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network that knows how far it may be off, and one whose card is broken."""
    folder = tmp_path / "models"
    model(folder / "stripes", out_channels=2)
    (folder / "broken").mkdir()
    (folder / "broken" / "card.json").write_text("{")
    monkeypatch.setenv("NANORASTER_MODELS", str(folder))
    return folder


def test_networks_are_listed_with_their_cards(client: TestClient, models: Path) -> None:
    found = {each["name"]: each for each in client.get("/api/v1/models").json()["models"]}
    assert found["stripes"]["card"]["licence"] == "CC0-1.0"
    assert found["stripes"]["sha256"] == found["stripes"]["card"]["sha256"]
    assert found["nlm"]["card"] is None
    assert "broken" not in found


def test_a_run_is_restored_again_with_a_network_and_its_uncertainty(client: TestClient, run: str, models: Path) -> None:
    assert client.post(f"{RUNS}/{run}/reconstruct", json={"model": "stripes"}).status_code == 202
    done = [{"model": "stripes", "state": "done"}]
    eventually(lambda: client.get(f"{RUNS}/{run}/mosaic").json()["restored_again"] == done)
    layers = client.get(f"{RUNS}/{run}/mosaic").json()["layers"]
    assert layers.keys() == {"raw@stripes", "restored@stripes", "uncertainty@stripes"}
    top = len(layers["uncertainty@stripes"]) - 1
    shown = picture(client.get(f"{RUNS}/{run}/mosaic/uncertainty@stripes/{top}/0/0.jpg"))
    assert 1 < np.median(shown[shown > 0]) < 255


def test_over_the_network_models_have_names_and_no_paths(client: TestClient, run: str, models: Path) -> None:
    path = str(models / "stripes")
    for given in ("./stripes", "models/stripes"):
        again = client.post(f"{RUNS}/{run}/reconstruct", json={"model": given})
        refused(again, 422, "is not one of", "nlm, none, sem_denoise, stripes")
    named = plan(reconstruction={"model": path})
    refused(client.post("/api/v1/jobs", json={"plan": named}), 422, "is not one of", "nlm, none, sem_denoise, stripes")
    assert "is not one of" in client.post("/api/v1/plans/preview", json=named).json()["problems"][0]
    there = {"plan": plan(reconstruction={"model": "stripes"})}
    assert client.post("/api/v1/jobs", json=there).status_code == 201
    (models / "stripes" / "weights.safetensors").write_bytes(b"other")
    refused(client.post("/api/v1/jobs", json=there), 422, "is not the", "of the card")


def test_models_are_listed_with_their_hashes(client: TestClient) -> None:
    found = {model["name"]: model for model in client.get("/api/v1/models").json()["models"]}
    assert found["none"]["sha256"] is None
    assert len(found["nlm"]["sha256"]) == 64


def test_a_restoration_that_was_cut_off_is_begun_anew(client: TestClient, tmp_path: Path, run: str) -> None:
    (tmp_path / "restored" / run / "nlm" / "mosaic.zarr").mkdir(parents=True)
    assert client.get(f"{RUNS}/{run}/mosaic").json()["restored_again"] == [{"model": "nlm", "state": "cut off"}]
    assert client.post(f"{RUNS}/{run}/reconstruct", json={"model": "nlm"}).status_code == 202


def test_a_report_is_served_once_it_is_there(client: TestClient, tmp_path: Path, run: str) -> None:
    refused(client.get(f"{RUNS}/{run}/report"), 404, "no report")
    report = tmp_path / "runs" / run / "report"
    report.mkdir()
    (report / "report.html").write_text("<p>all is well</p>")
    answer = client.get(f"{RUNS}/{run}/report")
    assert (answer.status_code, answer.text) == (200, "<p>all is well</p>")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
