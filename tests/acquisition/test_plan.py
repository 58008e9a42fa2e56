"""Plans: what is accepted, and what the refusal says."""

import json
from pathlib import Path

import pytest

from acquisition.plan import Plan, PlanError

WHOLE = """
name = "pads, die 4"
[region]
x_um = [20.0, 50.0]
y_um = [20.0, 44.0]
[tiles]
overlap = 0.2
order = "serpentine"
[camera]
exposure_ms = 20
[focus]
[force]
[on_failure]
timeout = "retry:3"
[reconstruction]
model = "none"
"""


def written(folder: Path, text: str, name: str = "plan.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_reads_a_whole_plan(tmp_path: Path) -> None:
    plan = Plan.load(written(tmp_path, WHOLE))
    assert plan.region.x_um == (20.0, 50.0)
    assert plan.camera.exposure_s == pytest.approx(0.02)
    assert plan.on_failure.timeout == "retry:3"


def test_reads_a_plan_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert Plan.load(written(tmp_path, "\ufeff" + WHOLE)).name == "pads, die 4"


def test_needs_nothing_but_a_region(tmp_path: Path) -> None:
    assert Plan.load(written(tmp_path, "[region]\nx_um = [0, 9]\ny_um = [0, 9]")).tiles.overlap == 0.2


def test_means_the_same_in_toml_and_json(tmp_path: Path) -> None:
    plan = Plan.load(written(tmp_path, WHOLE))
    again = Plan.load(written(tmp_path, json.dumps(plan.model_dump(mode="json")), "plan.json"))
    assert (again, again.hash) == (plan, plan.hash)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[region]\nx_um = [0, 9]", ["region.y_um", "required"]),
        ("[region]\nx_um = [9, 0]\ny_um = [0, 9]", ["region.x_um", "9", "0"]),
        ("[region]\nx_um = [0, nan]\ny_um = [0, 9]", ["region.x_um", "finite"]),
        (WHOLE.replace("overlap = 0.2", "overlap = 0.95"), ["tiles.overlap", "0.95", "0..0.9"]),
        (WHOLE.replace("overlap = 0.2", "overlap = -0.1"), ["tiles.overlap", "-0.1", "0..0.9"]),
        (WHOLE.replace("overlap = 0.2", "overlop = 0.2"), ["tiles.overlop", "unknown key"]),
        (WHOLE.replace('"serpentine"', '"zigzag"'), ["tiles.order", "zigzag", "serpentine"]),
        (WHOLE.replace("exposure_ms = 20", "exposure_ms = 0"), ["camera.exposure_ms", "0.01..60000"]),
        (WHOLE.replace("retry:3", "retry:0"), ["on_failure.timeout", "retry:0", "skip"]),
        (
            WHOLE.replace("[on_failure]", "[on_failure]\nconsecutive = true"),
            ["on_failure.consecutive", "True", "integer"],
        ),
        (WHOLE.replace("pads, die 4", ""), ["name = ''", "1..200"]),
        (WHOLE.replace("pads, die 4", "  "), ["name = '  '", "1..200"]),
        (WHOLE.replace("pads, die 4", "x" * 201), ["name", "1..200"]),
        (WHOLE.replace("pads, die 4", "x\\u0000y"), ["name = 'x\\x00y'", "'\\x00'", "control character"]),
        ("[region", ["not TOML"]),
        ("x = " + "[" * 100_000, ["not TOML"]),
        (WHOLE.replace("overlap = 0.2", 'overlap = "0.2"'), ["tiles.overlap", "'0.2'", "number"]),
        (WHOLE.replace("x_um = [20.0, 50.0]", "x_um = [true, 50.0]"), ["region.x_um.0", "True", "number"]),
    ],
)
def test_says_which_key_is_wrong_and_how(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(PlanError) as refusal:
        Plan.load(written(tmp_path, text))
    assert all(word in str(refusal.value) for word in [*words, "plan.toml"])
    assert len(refusal.value.reasons) == 1


def test_refuses_half_a_character_in_a_name(tmp_path: Path) -> None:
    text = '{"name": "\\ud800", "region": {"x_um": [0, 9], "y_um": [0, 9]}}'
    with pytest.raises(PlanError, match=r"name = '\\ud800'"):
        Plan.load(written(tmp_path, text, "plan.json"))


def test_takes_names_in_any_script(tmp_path: Path) -> None:
    assert Plan.load(written(tmp_path, WHOLE.replace("pads, die 4", "焊盘 4, größer/kleiner"))).name.startswith("焊盘")


def test_says_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as refusal:
        Plan.load(written(tmp_path, "nam = 1\n[region]\nx_um = [3, 1]"))
    assert len(refusal.value.reasons) == 3


def test_says_that_a_file_is_absent(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="No such file"):
        Plan.load(tmp_path / "absent.toml")
