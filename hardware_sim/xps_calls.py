"""How calls of an XPS look on the wire: `Function(argument,argument)`, without a line end, split anywhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hardware_sim.xps_errors import STRING_TOO_LONG, WRONG_FORMAT

LONGEST_CALL = 1024
END = ",EndOfAPI"


@dataclass(frozen=True)
class Call:
    """One call; `broken` is its error where it could not be read."""

    function: str
    arguments: tuple[str, ...] = ()
    broken: int = 0


def calls(chunks: Iterable[bytes]) -> Iterator[Call]:
    """Cut what comes in into calls: each ends where its parentheses close."""
    pending, depth = "", 0
    for chunk in chunks:
        for character in chunk.decode("latin-1"):
            pending += character
            depth += (character == "(") - (character == ")")
            if character == ")" and depth <= 0:
                yield _read(pending)
                pending, depth = "", 0
            elif len(pending) > LONGEST_CALL:
                yield Call("", broken=STRING_TOO_LONG)
                pending, depth = "", 0


def _read(text: str) -> Call:
    function, opened, arguments = text.strip().removesuffix(")").partition("(")
    function = function.strip()
    if not opened or not (function.isascii() and function.isidentifier()):
        return Call(function, broken=WRONG_FORMAT)
    if not arguments.strip():
        return Call(function)
    return Call(function, tuple(argument.strip() for argument in arguments.split(",")))


def reply(code: int, *values: str) -> bytes:
    """Make an answer."""
    return (",".join([str(code), *values]) + END).encode("latin-1", "replace")
