"""How an ESP301 takes a command apart: `[axis]LL[parameter]` (ESP301 user's manual, section 3)."""

import re
from dataclasses import dataclass

from hardware_sim.esp301_errors import DOES_NOT_EXIST, PARAMETER_MISSING, PARAMETER_OUT_OF_RANGE, Refusal

COMMAND = re.compile(r"([0-9]*)([A-Z]{2})(.*)", re.DOTALL)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(E[+-]?[0-9]{1,2})?")
HEX = re.compile(r"([0-9A-F]{1,8})H?")


@dataclass(frozen=True)
class Command:
    """One command; `axis` is None where no number stood before it."""

    axis: int | None
    name: str
    parameter: str

    @property
    def is_query(self) -> bool:
        """Whether it asks for the present value."""
        return self.parameter == "?"


def commands(line: str) -> list[str]:
    """Split a line; case and blanks do not matter."""
    return [command for command in re.sub(r"\s", "", line).upper().split(";") if command]


def parse(command: str) -> Command:
    """Take one command apart."""
    parts = COMMAND.fullmatch(command)
    if parts is None:
        raise Refusal(DOES_NOT_EXIST)
    number, name, parameter = parts.groups()
    return Command(int(number) if number else None, name, parameter)


def number(parameter: str) -> float:
    """Read a decimal number."""
    if not parameter:
        raise Refusal(PARAMETER_MISSING)
    if not NUMBER.fullmatch(parameter):
        raise Refusal(PARAMETER_OUT_OF_RANGE)
    return float(parameter)


def whole(parameter: str, least: int, most: int) -> int:
    """Read a whole number between two others."""
    value = number(parameter)
    if not least <= value <= most or value != int(value):
        raise Refusal(PARAMETER_OUT_OF_RANGE)
    return int(value)


def bits(parameter: str) -> int:
    """Read a word in hexadecimal, with or without the H behind it."""
    if not parameter:
        raise Refusal(PARAMETER_MISSING)
    found = HEX.fullmatch(parameter)
    if found is None:
        raise Refusal(PARAMETER_OUT_OF_RANGE)
    return int(found[1], 16)


def hexadecimal(value: int) -> str:
    """Write a word as the controller does."""
    return f"{value:X}H"
