"""Sizes of a network, as they are saved beside its weights; none is taken unchecked from a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from reconstruction.errors import InputError

LARGEST = 4096  # of any whole number in a config

ConfigT = TypeVar("ConfigT", bound="Config")


@dataclass(frozen=True)
class Config:
    """What all networks have in common."""

    scale: int = 1  # pixels made of one along each axis
    out_channels: int = 1  # 2: with the logarithm of the variance


def read(kind: type[ConfigT], network: str, given: Mapping[str, Any]) -> ConfigT:
    """Make a config of what is given; the rest is as the class has it.

    Raises:
        InputError: an unknown key, a value of another type, or one out of its range.
    """
    types = get_type_hints(kind)
    unknown = sorted(set(given) - set(types))
    if unknown:
        raise InputError(f"network {network}: {unknown[0]!r} is not one of {', '.join(sorted(types))}")
    checked = {name: _checked(f"network {network}: {name}", types[name], value) for name, value in given.items()}
    config = kind(**checked)
    for name, choices in (("scale", (1, 2, 4)), ("out_channels", (1, 2))):
        if getattr(config, name) not in choices:
            raise InputError(f"network {network}: {name} = {getattr(config, name)} is not one of {choices}")
    return config


def _checked(where: str, wanted: Any, value: Any) -> Any:
    """One whole number, or a tuple of them."""
    if wanted is int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
            raise InputError(f"{where} = {value!r} is not a whole number in 1..{LARGEST}")
        return value
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= 8:
        raise InputError(f"{where} = {value!r} is not a list of 1..8 whole numbers")
    return tuple(_checked(where, int, each) for each in value)
