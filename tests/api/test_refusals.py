"""Bad input ends in exit code 2 and one line that names it; nothing moves, nothing is written."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from api.twin import Twin

Command = Callable[..., subprocess.CompletedProcess[str]]
FAST_LINES = """\
region = { x_um = [0, 30], y_um = [0, 9] }
tiles = { mode = "line", line_blur_px = 10 }
camera = { exposure_ms = 0.5 }
"""

LINES_IN_CONTACT = """\
region = { x_um = [30, 60], y_um = [30, 39] }
tiles = { mode = "line" }
force = { policy = "contact" }
"""
FOCUS_IN_CONTACT = """\
region = { x_um = [20, 36], y_um = [20, 30] }
focus = { policy = "map" }
force = { policy = "contact" }
"""


def refused(finished: subprocess.CompletedProcess[str], *words: str) -> None:
    assert finished.returncode == 2, finished.stderr
    assert finished.stdout == ""
    assert len(finished.stderr.strip().splitlines()) == 1, finished.stderr
    assert all(word in finished.stderr for word in words), finished.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[region]\nx_um = [90, 130]\ny_um = [0, 9]", ["axis x", "90..130", "0..100"]),
        ("[region]\nx_um = [0, 9]\ny_um = [-1, 9]", ["axis y", "-1..9", "0..100"]),
        ("[region]\nx_um = [0, 9]\ny_um = [0, 9]\n[tiles]\noverlap = 0.91", ["tiles.overlap", "0.91", "0..0.9"]),
        ("[region]\nx_um = [0, 9]\ny_um = [0, 9]\nspeed = 3", ["region.speed", "unknown key"]),
        (LINES_IN_CONTACT, ["force.policy = 'contact'", "tiles.mode = 'line'"]),
        (FOCUS_IN_CONTACT, ["focus.policy = 'map'", "the focus stage carries the probe", "force.policy = 'contact'"]),
        (FAST_LINES, ["tiles.mode = 'line'", "run-up", "axis x", "0..100"]),
        ("[region]\nx_um = [0, 9]\ny_um = [0, 9]\n[reconstruction]\nmodel = 'gan'", ["gan", "nlm", "none"]),
    ],
)
@pytest.mark.parametrize("command", ["plan", "scan"])
def test_a_plan_that_cannot_be_carried_out(
    nanoraster: Command, twin: Twin, tmp_path: Path, command: str, text: str, words: list[str]
) -> None:
    (tmp_path / "plan.toml").write_text(text)
    before = twin.world.exposures()
    out = ["--out", tmp_path / "run"] if command == "scan" else []
    refused(nanoraster(command, tmp_path / "plan.toml", "--rig", twin.rig, *out), *words)
    assert not (tmp_path / "run").exists()
    assert twin.world.exposures() == before


def test_a_script_gets_what_stands_in_the_way_of_a_plan(nanoraster: Command, twin: Twin, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("[region]\nx_um = [90, 130]\ny_um = [0, 9]")
    finished = nanoraster("plan", tmp_path / "plan.toml", "--rig", twin.rig, "--json")
    assert finished.returncode == 2
    (problem,) = json.loads(finished.stdout)["problems"]
    assert problem in finished.stderr


def test_a_rig_file_with_an_unknown_key(nanoraster: Command, twin: Twin, plan_file: Path, tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text("colour = 1\n" + twin.rig.read_text())
    refused(nanoraster("plan", plan_file, "--rig", rig), "colour")


@pytest.mark.parametrize("command", ["scan", "reconstruct"])
def test_an_output_folder_in_use(
    nanoraster: Command, twin: Twin, plan_file: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    source = [plan_file, "--rig", twin.rig] if command == "scan" else [tmp_path]
    refused(nanoraster(command, *source, "--out", tmp_path), "output folder in use", str(tmp_path))
    assert (tmp_path / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--overlap", "0.95"], ["overlap", "0.95", "0..0.9"]),
        (["--region-um", "30"], ["--region-um", "30"]),
        (["--region-um", "30x-4"], ["--region-um", "30x-4"]),
        (["--region-um", "130x20"], ["--region-um", "130", "100"]),
        (["--specimen", "absent.png"], ["--specimen", "absent.png"]),
        (["--pixel-nm", "0"], ["--pixel-nm", "0"]),
        (["--world", "mars"], ["--world", "mars"]),
        (["--faults", "many"], ["--faults", "many"]),
        (["--model", "gan"], ["gan", "nlm"]),
        (["--zoom", "3"], ["--zoom"]),
    ],
)
def test_a_demo_of_what_there_is_not(
    nanoraster: Command, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    refused(nanoraster("demo", "--out", tmp_path / "runs", *arguments), *words)
    assert not (tmp_path / "runs").exists()


def tiles(folder: Path, rows: str, shapes: dict[str, tuple[int, int]]) -> Path:
    folder.mkdir()
    (folder / "tiles.csv").write_text("file,x_px,y_px\n" + rows)
    random = np.random.default_rng(1)
    for name, shape in shapes.items():
        cv2.imwrite(str(folder / name), random.integers(0, 255, shape, dtype=np.uint8))
    return folder


@pytest.mark.parametrize(
    ("rows", "shapes", "words"),
    [
        ("a.png,0,0\nb.png,90,0\n", {"a.png": (100, 100)}, ["b.png"]),
        ("a.png,0,0\nb.png,90,0\n", {"a.png": (100, 100), "b.png": (100, 90)}, ["b.png", "90", "100"]),
        ("a.png,0,zero\n", {"a.png": (100, 100)}, ["tiles.csv line 2", "zero"]),
        ("", {}, ["tiles.csv"]),
    ],
)
def test_tiles_that_cannot_be_used(
    nanoraster: Command, tmp_path: Path, rows: str, shapes: dict[str, tuple[int, int]], words: list[str]
) -> None:
    source = tiles(tmp_path / "tiles", rows, shapes)
    refused(nanoraster("reconstruct", source, "--out", tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


def test_a_tile_that_is_no_image(nanoraster: Command, tmp_path: Path) -> None:
    source = tiles(tmp_path / "tiles", "a.png,0,0\nb.png,90,0\n", {"a.png": (100, 100)})
    (source / "b.png").write_text("not an image")
    refused(nanoraster("reconstruct", source, "--out", tmp_path / "out"), "b.png")
    assert not (tmp_path / "out").exists()


def test_one_bad_tile_among_many_is_named_and_the_others_are_reconstructed(nanoraster: Command, tmp_path: Path) -> None:
    rows = "a.png,0,0\nb.png,90,0\nc.png,180,0\n"
    source = tiles(tmp_path / "tiles", rows, dict.fromkeys(("a.png", "b.png", "c.png"), (100, 100)))
    (source / "b.png").write_text("not an image")
    done = nanoraster("reconstruct", source, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0
    assert done.stderr == f"warning: {source / 'b.png'}: not a readable image; left out\n"
    summary = json.loads(done.stdout)["summary"]
    assert summary["tiles"] | {"planned": 3, "ok": 2, "left_out": 1} == summary["tiles"]
    assert summary["remarks"] == [f"{source / 'b.png'}: not a readable image; left out"]
    positions = (tmp_path / "out" / "positions.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in positions] == ["file", "a.png", "b.png", "c.png"]
    assert positions[2] == "b.png,90.0000,0.0000,stage,0.0000"


def test_a_command_that_does_not_exist(nanoraster: Command) -> None:
    refused(nanoraster("scann"), "scann")


def test_a_rig_that_does_not_answer_is_a_failure_not_bad_input(
    nanoraster: Command, twin: Twin, plan_file: Path, tmp_path: Path
) -> None:
    rig = tmp_path / "rig.toml"
    lines = twin.rig.read_text().splitlines()
    rig.write_text("\n".join("port = 1" if line.startswith("port") else line for line in lines))
    finished = nanoraster("scan", plan_file, "--rig", rig, "--out", tmp_path / "run")
    assert finished.returncode == 1
    assert "scanner" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1


def test_a_region_of_endless_size_is_refused_without_counting_its_tiles(
    nanoraster: Command, twin: Twin, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("[region]\nx_um = [0, 1e6]\ny_um = [0, 90]")
    both = nanoraster("scan", plan, "--rig", twin.rig, "--out", tmp_path / "run")
    assert both.returncode == 2
    travel, tiles = both.stderr.strip().splitlines()
    assert "axis x, 0..100" in travel
    assert "1..1000000" in tiles
    rig = tmp_path / "rig.toml"
    lines = twin.rig.read_text().splitlines()
    rig.write_text("\n".join(line for line in lines if not line.startswith("limits_um = {")))
    refused(nanoraster("scan", plan, "--rig", rig, "--out", tmp_path / "run"), "tiles", "1..1000000")
