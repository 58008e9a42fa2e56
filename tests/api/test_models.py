"""Models on the command line: listed with their cards, taken by name and by file, refused in one line."""

import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from api.models import list_models
from api.reconstruct import reconstruct
from reconstruction.errors import InputError
from reconstruction.fusion import Fusion
from tests.reconstruction.models import model

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    model(tmp_path / "models" / "stripes")
    monkeypatch.setenv("NANORASTER_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    folder = tmp_path / "tiles"
    folder.mkdir()
    image = np.random.default_rng(0).poisson(90, (96, 160)).astype(np.uint8)
    for name, left in (("a.png", 0), ("b.png", 64)):
        assert cv2.imwrite(str(folder / name), image[:, left : left + 96])
    (folder / "tiles.csv").write_text("file,x_px,y_px\na.png,0,0\nb.png,64,0\n")
    return folder


def test_models_are_listed_with_their_cards(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_models(as_json=True)
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["models"]}
    assert {"none", "nlm", "stripes"} <= found.keys()
    assert found["stripes"]["card"]["data"] == "stripes and noise"
    list_models()
    said = capsys.readouterr().out
    assert "stripes          preview: stripes and noise\n" in said
    assert "50 to 200 nm a pixel; psnr_db 30.1; CC0-1.0; " in said


def test_of_a_model_without_metrics_it_is_said_that_it_was_not_measured(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, metrics in {
        "none_at_all": {},
        "empty": {"held_out": []},
        "odd": {"held_out": [3, {"psnr_db": "9"}]},
    }.items():
        model(models / name)
        path = models / name / "card.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": metrics}))
    list_models()
    lines = capsys.readouterr().out.splitlines()
    after = {line.split()[0]: other for line, other in pairwise(lines)}
    for name in ("none_at_all", "empty", "odd"):
        assert "not measured; CC0-1.0" in after[name]
    assert "twin 1 34.8 dB (+8.0), " in after["sem_denoise"]


def test_a_folder_of_tiles_is_restored_with_a_network(
    nanoraster: Command, models: Path, tiles: Path, tmp_path: Path
) -> None:
    file = models / "stripes" / "weights.safetensors"
    told = nanoraster("reconstruct", tiles, "--out", tmp_path / "out", "--model", file, "--device", "cpu", "--json")
    assert told.returncode == 0, told.stderr
    used = json.loads(told.stdout)["summary"]["model"]
    assert (used["name"], len(used["sha256"])) == ("stripes", 64)
    assert (tmp_path / "out" / "mosaic.zarr" / "restored").is_dir()


@pytest.mark.parametrize(
    ("name", "device", "said"),
    [
        ("gan", "auto", "'gan' is not one of nlm, none, .*stripes, nor a file or folder"),
        ("nlm", "cuda", "device: 'cuda' is not one of auto, cpu; nlm runs on nothing else"),
        ("stripes", "tpu", "device: 'tpu' is not one of auto, cpu, cuda"),
        ("broken", "auto", "weights.safetensors: their hash .* of the card"),
    ],
)
def test_models_and_devices_that_cannot_be_used_are_refused(
    models: Path, tiles: Path, tmp_path: Path, name: str, device: str, said: str
) -> None:
    model(models / "broken")
    weights = models / "broken" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(InputError, match=said):
        reconstruct(tiles, tmp_path / "out", name, device, None, Fusion(), lambda placed: None, pytest.fail)
    assert not (tmp_path / "out").exists()
