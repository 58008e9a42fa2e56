"""`train`, as a user has it: a recipe in, a model folder out."""

import json
from pathlib import Path

import pytest

from api.cli import app, main
from api.errors import UsageError
from api.show import bars
from api.train import run_training
from reconstruction.errors import InputError
from reconstruction.weights import load

RECIPE = """
name = "tiny"
steps = 4
batch = 1
crop_px = 64
held_out_images = 1
loss = "likelihood"
network = { name = "preview", config = { width = 8, levels = 2, out_channels = 2 } }
optimiser = { warm_up_steps = 1, decay_steps = 1 }

[[data]]
kind = "drawn"
count = 1
side_px = 64
seed = 1

[[held_out]]
kind = "twin"
quanta = 30
specimens = [{ name = "alloy", pixel_nm = 380, seed = 2 }]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "tiny.toml"


def test_a_recipe_becomes_a_model(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    app(["train", str(recipe), "--out", str(out), "--device", "cpu", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    network, card = load(out)
    assert (card.name, card.network, network.config["width"]) == ("tiny", "preview", 8)
    assert found["sha256"] == card.sha256
    assert found["steps"] == 4
    assert json.loads((out / "results.json").read_text()) == found
    scores = {row["denoiser"]: row for row in found["held_out"]}
    assert {"none", "tiny", "gaussian", "median", "nlm_tuned"} <= set(scores)
    assert scores["none"]["gain_db"] == 0
    assert scores["nlm_tuned"]["gain_db"] > 3
    assert all("dark_share_error_bradley_pp" in row for row in scores.values())
    assert card.metrics["held_out"] == found["held_out"]
    assert found["uncertainty"]["error_over_deviation_rms"] == pytest.approx(1, rel=0.5)  # frame and other frame
    with bars() as shown, pytest.raises(UsageError, match="a training was begun there; --resume goes on with it"):
        run_training(str(recipe), out, False, "cpu", shown)
    (out / "checkpoint.pt").unlink()
    before = (out / "weights.safetensors").read_bytes()
    with bars() as shown, pytest.raises(UsageError, match=r"holds a model .weights.safetensors.; --force writes over"):
        run_training(str(recipe), out, False, "cpu", shown)
    assert (out / "weights.safetensors").read_bytes() == before
    recipe.write_text(RECIPE.replace("[[held_out]]", "[[data]]").replace("steps = 4", "steps = 2"))
    with bars() as shown:
        again = run_training(str(recipe), out, False, "cpu", shown, force=True)
    assert again is not None
    assert (again["steps"], again["held_out"]) == (2, [])
    assert (out / "weights.safetensors").read_bytes() != before


def test_held_out_files_that_are_missing_are_told_before_anything_is_trained(recipe: Path) -> None:
    recipe.write_text(RECIPE + "\n[[held_out]]\nkind = 'pairs'\nlow = 'low_*.tif'\nhigh = 'high_*.tif'\n")
    out = recipe.parent / "model"
    with (
        bars() as shown,
        pytest.raises(InputError, match=r"recipe tiny: held_out.1: .*low_.*: no such files; held_out"),
    ):
        run_training(str(recipe), out, False, "cpu", shown)
    assert not out.exists()


@pytest.mark.parametrize(
    ("resume", "device", "said"),
    [(True, "cpu", "there is no training to resume"), (False, "abacus", "should be one of auto, cpu, cuda")],
)
def test_what_cannot_be_trained_is_refused(recipe: Path, resume: bool, device: str, said: str) -> None:
    with bars() as shown, pytest.raises(UsageError, match=said):
        run_training(str(recipe), recipe.parent / "model", resume, device, shown)
    assert not (recipe.parent / "model").exists()


def test_an_output_that_is_no_folder_is_refused(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (recipe.parent / "f").write_text("")
    for out in ("f", "f/x", "f/x/y"):
        wanted = recipe.parent / out
        monkeypatch.setattr("sys.argv", ["nanoraster", "train", str(recipe), "--out", str(wanted), "--device", "cpu"])
        assert main() == 2
        said = capsys.readouterr().err.strip()
        assert said == f"nanoraster: --out {wanted}: {recipe.parent / 'f'} is a file, not a folder"
