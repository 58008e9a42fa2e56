"""GCS answers are read exactly as the manual has them, or not at all."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from devices import gcs_answers
from devices.settings import PiGcsSettings

ARRAY = "# TYPE = 1 \n# SEPARATOR = 32 \n# DIM = 2 \n# NDATA = 2 \n# END_HEADER \n1.5 0 \n2.5 1\n"


def test_values_go_by_the_name_of_their_item() -> None:
    assert gcs_answers.values("2=1.250000000e+01 \n1=-3\n") == {"2": 12.5, "1": -3.0}


def test_flags_are_nought_or_one() -> None:
    assert gcs_answers.flags("A=0 \nB=1\n") == {"A": False, "B": True}


def test_a_parameter_has_two_names_and_one_value() -> None:
    assert gcs_answers.parameter("1 0xE000200=5e-05\n", "1", 0xE000200) == 5e-5


def test_masks_are_hexadecimal() -> None:
    assert gcs_answers.bits("A\n") == 0b1010


def test_an_array_has_a_row_a_sample() -> None:
    assert gcs_answers.array(ARRAY, 2, 2) == [[1.5, 0.0], [2.5, 1.0]]


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (gcs_answers.values, "1\n"),
        (gcs_answers.values, "1=0 \n1=0\n"),
        (gcs_answers.values, "1=nan\n"),
        (gcs_answers.values, "1=1_0\n"),
        (gcs_answers.flags, "1=2\n"),
        (lambda answer: gcs_answers.parameter(answer, "1", 1), "1 0x1=5 \n2 0x1=5\n"),
        (lambda answer: gcs_answers.parameter(answer, "1", 1), "2 0x1=5\n"),
        (lambda answer: gcs_answers.parameter(answer, "1", 1), "1 0x2=5\n"),
        (lambda answer: gcs_answers.parameter(answer, "1", 1), "1=5\n"),
        (gcs_answers.bits, "0x1\n"),
        (gcs_answers.bits, "\n"),
        (gcs_answers.ready, "1\n"),
        (lambda answer: gcs_answers.array(answer, 3, 2), ARRAY),
        (lambda answer: gcs_answers.array(answer, 2, 3), ARRAY),
        (lambda answer: gcs_answers.array(answer, 2, 2), ARRAY.replace("2.5 1", "2.5")),
        (lambda answer: gcs_answers.array(answer, 2, 2), ARRAY.replace("2.5 1\n", "")),
        (lambda answer: gcs_answers.array(answer, 2, 2), ARRAY.replace("# DIM = 2", "# DIM = 3")),
        (lambda answer: gcs_answers.array(answer, 2, 2), ARRAY.replace("# NDATA = 2 \n", "")),
        (lambda answer: gcs_answers.array(answer, 2, 2), ARRAY.replace("# END_HEADER", "# END")),
    ],
)
def test_anything_else_is_no_answer(read: Callable[[str], object], answer: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each reader words it its own way
        read(answer)


@pytest.mark.parametrize("steps", [["autozero", "servo"], ["servo", "servo"], ["reference"]])
def test_start_up_goes_in_one_order_only(steps: list[str]) -> None:
    with pytest.raises(ValidationError, match="start_up"):
        PiGcsSettings.model_validate({"host": "h", "axes": {"x": "1"}, "start_up": steps})
