"""How SCPI names things: long and short headers, optional nodes, compounds (SCPI-99, volume 1, chapter 6)."""

import re
from dataclasses import dataclass

from hardware_sim.scpi_status import (
    DATA_TYPE,
    MISSING_PARAMETER,
    OUT_OF_RANGE,
    PARAMETER_NOT_ALLOWED,
    ScpiError,
)

NODE = re.compile(r"([A-Z]+)([a-z]*)")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(E[+-]?[0-9]{1,2})?")
ROUNDING = 1e-9


@dataclass(frozen=True)
class Unit:
    """One program message unit: its header from the root, with its question mark if it has one, and its parameters."""

    header: str
    parameters: tuple[str, ...]


def units(line: str) -> list[Unit]:
    """Take a line apart.

    A header behind a semicolon goes on at the level where the one before it ended, unless it begins with a colon;
    common commands (`*`) leave that level alone.
    """
    found = []
    level = ""
    for text in line.split(";"):
        header, *rest = text.split(None, 1)[:2] or [""]
        if not header:
            continue
        if not header.startswith("*"):
            header = header[1:] if header.startswith(":") else level + header
            level = header[: header.rfind(":") + 1]
        parameters = tuple(parameter.strip().upper() for parameter in rest[0].split(",")) if rest else ()
        found.append(Unit(header.upper(), parameters))
    return found


def pattern(notation: str) -> re.Pattern[str]:
    """Make `[SENSe:]VOLTage[:DC]?` a pattern that takes the long and the short form of each node, and no other."""

    def either(node: re.Match[str]) -> str:
        short, rest = node.groups()
        return f"{short}(?:{rest.upper()})?" if rest else short

    literal = notation.replace("*", r"\*").replace("?", r"\?")
    return re.compile(NODE.sub(either, literal).replace("[", "(?:").replace("]", ")?"))


def at_most(count: int, parameters: tuple[str, ...]) -> None:
    """Refuse more parameters than that."""
    if len(parameters) > count:
        raise ScpiError(PARAMETER_NOT_ALLOWED)


def only(parameters: tuple[str, ...]) -> str:
    """Take the one parameter there has to be."""
    at_most(1, parameters)
    if not parameters or not parameters[0]:
        raise ScpiError(MISSING_PARAMETER)
    return parameters[0]


def number(text: str, least: float, most: float, default: float) -> float:
    """Read a number between two others; MIN, MAX and DEF name three of them."""
    named = {"MIN": least, "MINIMUM": least, "MAX": most, "MAXIMUM": most, "DEF": default, "DEFAULT": default}
    if text in named:
        return named[text]
    if not NUMBER.fullmatch(text):
        raise ScpiError(DATA_TYPE)
    value = float(text)
    if not least * (1 - ROUNDING) <= value <= most * (1 + ROUNDING):
        raise ScpiError(OUT_OF_RANGE)
    return value
