"""`evaluate` as a user has it: a table, pictures, and one line for whatever cannot be judged."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from api.cli import main
from tests.api.conftest import told
from tests.reconstruction.evaluation.pairs import noisy_pair, pair_folder, write
from tests.reconstruction.metrics.printed_lines import picture

Command = Callable[..., subprocess.CompletedProcess[str]]


def evaluate(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run the command in this process, which saves the start of another one."""
    monkeypatch.setattr(sys, "argv", ["nanoraster", "evaluate", *map(str, words)])
    return main()


def test_pairs_give_a_table_and_pictures(nanoraster: Command, tmp_path: Path) -> None:
    folder = pair_folder(tmp_path / "data", (1, 2), side=144)
    found = told(nanoraster("evaluate", folder, "--out", tmp_path / "out", "--model", "nlm", "--json", "--pixel-nm", 5))
    assert [method["kind"] for method in found["methods"][:2]] == ["input", "model"]
    assert found["methods"][1]["over_input"]["psnr_db"]["mean"] > 2
    assert found["best_classical"] in {method["name"] for method in found["methods"]}
    on_disk = json.loads((tmp_path / "out" / "results.json").read_text())
    assert on_disk == {key: value for key, value in found.items() if key != "files"}
    assert set(found["files"]) == {"results", "table", "images_csv", "crops", "spectra", "maps", "frc"}
    for path in found["files"].values():
        assert Path(path).stat().st_size > 0
    crops = cv2.imread(found["files"]["crops"])
    assert crops.std() > 20
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        Path(path).name for path in found["files"].values()
    )


def test_frames_of_the_twin_have_the_truth_it_knows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], natural_image: Path, tmp_path: Path
) -> None:
    words = "twin:3", "--specimen", natural_image, "--images", 1, "--no-baselines", "--model", "nlm"
    assert evaluate(monkeypatch, *words, "--out", tmp_path / "out") == 0
    head, raw, better, means, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["PSNR", "dB"]
    assert (raw.split()[0], better.split()[0]) == ("input", "nlm")
    assert float(better.split()[1]) > float(raw.split()[1]) + 2
    assert "1 image of twin:3" in means


def test_single_images_are_judged_without_a_truth(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path / "data" / "a.png", noisy_pair(1)[0])
    assert evaluate(monkeypatch, tmp_path / "data", "--out", tmp_path / "out", "--no-baselines", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["metrics"]) == {"rsp", "rse", "decorrelation_px", "sem_niqe"}
    assert "frc" not in found["files"]


def test_a_model_is_taken_from_its_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tests.reconstruction.models import model  # torch

    card = model(tmp_path / "stripes")
    folder = pair_folder(tmp_path / "data", (1,), side=96)
    words = folder, "--out", tmp_path / "out", "--no-baselines", "--json", "--as-is"
    assert evaluate(monkeypatch, *words, "--model", tmp_path / "stripes", "--device", "cpu") == 0
    row = json.loads(capsys.readouterr().out)["methods"][1]
    assert (row["name"], row["kind"], row["sha256"]) == ("stripes", "model", [card.sha256])


def test_printed_lines_are_measured_if_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    left = 20 + 40 * np.arange(4)[:, None] * np.ones(200)
    truth = np.rint(255 * picture(left, left + 18, 200)).astype(np.uint8)
    noisy = np.clip(truth + np.random.default_rng(0).normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    write(tmp_path / "data" / "low" / "a.png", noisy)
    write(tmp_path / "data" / "high" / "a.png", truth)
    words = tmp_path / "data", "--out", tmp_path / "out", "--no-baselines", "--lines", "--as-is", "--json"
    assert evaluate(monkeypatch, *words, "--pixel-nm", 2) == 0
    means = json.loads(capsys.readouterr().out)["methods"][0]["mean"]
    assert means["cd_error_nm"]["mean"] < 0.5
    assert means["lwr_error_nm"]["mean"] < 2
    assert evaluate(monkeypatch, *words[:2], tmp_path / "other", *words[3:]) == 2
    assert "size of a pixel is not known" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent"], "absent: no such folder"),
        (["."], "no pairs.csv, no low/ with high/"),
        (["twin:many"], "the seed 'many'"),
        (["twin:1", "--pixel-nm", "0"], "--pixel-nm 0"),
        (["data", "--model", "gan"], "gan"),
        (["data", "--border-px", "400"], "border_px: 400 is outside 0.."),
        (["data", "--out", "data"], "output folder in use"),
        (["twin:1", "--specimen", "absent.png"], "absent.png"),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: list[str],
    said: str,
) -> None:
    pair_folder(tmp_path / "data", (1,))
    monkeypatch.chdir(tmp_path)
    out = [] if "--out" in words else ["--out", "out"]
    assert evaluate(monkeypatch, *words, *out) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
