"""Models of what people write into files: frozen, closed, and able to say what is wrong with each key."""

import unicodedata
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Strict, ValidationError

UNSHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control and format characters (some turn what follows), halves of characters, ends of lines (Unicode 5.7.1)."""
JOINERS = "\u200c\u200d"  # of letters, without which Persian and Hindi cannot be written
MOST_SHOWN = 200  # characters of a wrong value
HIDDEN = "hidden"  # the type of an error whose value may be a secret, and is not quoted


def _printable(text: str) -> str:
    for character in text:
        if unicodedata.category(character) in UNSHOWN and character not in JOINERS:
            raise ValueError(f"{character!r} is a control character or a format character, or no whole one")
    return text


Number = Annotated[float, Strict()]  # 1 or 1.0, but neither "1" nor true
Whole = Annotated[int, Strict()]  # 1, but neither 1.0 nor true
Printable = Annotated[str, AfterValidator(_printable)]


class Model(BaseModel):
    """Frozen and closed: an unknown key is a mistake, not a wish."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileError(ValueError):
    """What is wrong with a file: one line for each reason, each with its key, its value and what is allowed."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


def within(low: float, high: float) -> Callable[[float], float]:
    """A check that quotes the whole range."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"outside {low:g}..{high:g}")
        return value

    return check


def reasons(error: ValidationError) -> list[str]:
    """One line for each thing that is wrong: key, value, what is wrong with it."""
    return [reason(detail) for detail in error.errors(include_url=False)]


def reason(detail: Any) -> str:
    """One detail of a `ValidationError` as a line."""
    key = ".".join(str(part) for part in detail["loc"]) or "file"
    match detail["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key"
        case "missing":
            return f"{key}: required, but not given"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    value = (
        "" if isinstance(detail["input"], dict) or detail["type"] == HIDDEN else f" = {_short(repr(detail['input']))}"
    )
    return f"{key}{value}: {message[:1].lower()}{message[1:]}"


def _short(value: str) -> str:
    return value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}..."
