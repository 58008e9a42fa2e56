"""How calls of an XPS look on the wire: `Function(argument,argument)`, without a line end, split anywhere."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hardware_sim.xps_errors import STRING_TOO_LONG, WRONG_FORMAT

LONGEST_CALL = 1024
END = ",EndOfAPI"
NAME_AT_END = re.compile(r"\w*[ \t]*$", re.ASCII)


@dataclass(frozen=True)
class Call:
    """One call; `broken` is its error where it could not be read."""

    function: str
    arguments: tuple[str, ...] = ()
    broken: int = 0


def calls(chunks: Iterable[bytes]) -> Iterator[Call]:
    """Cut what comes in into calls: each ends with its parenthesis.

    No argument has parentheses, so that a second one that opens belongs to another call, and the one before was torn.
    """
    pending = ""
    for chunk in chunks:
        for character in chunk.decode("latin-1"):
            if character == "(" and "(" in pending:
                torn, pending = _torn(pending)
                yield _broken(torn)
            pending += character
            if character == ")":
                yield _read(pending)
                pending = ""
            elif len(pending) > LONGEST_CALL:
                yield Call("", broken=STRING_TOO_LONG)
                pending = ""


def _torn(text: str) -> tuple[str, str]:
    """Part a torn call from the name of the next one."""
    name = NAME_AT_END.search(text)
    cut = name.start() if name else len(text)
    return text[:cut], text[cut:]


def _broken(text: str) -> Call:
    return Call(text.strip(), broken=WRONG_FORMAT)


def _read(text: str) -> Call:
    function, opened, arguments = text.strip().removesuffix(")").partition("(")
    function = function.strip()
    if not opened or not (function.isascii() and function.isidentifier()):
        return _broken(function)
    if not arguments.strip():
        return Call(function)
    return Call(function, tuple(argument.strip() for argument in arguments.split(",")))


def reply(code: int, *values: str) -> bytes:
    """Make an answer."""
    return (",".join([str(code), *values]) + END).encode("latin-1", "replace")
