"""The words of GCS 2.0: bytes to commands, words to numbers and items, values to answers."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.wire import LONGEST_LINE

CONTROL: Final = b"\x05\x07\x09\x18\x1b"
"""#5 #7 #9 #24 #27: requests of one byte, without LF, wherever they stand."""
PIECES = re.compile(rb"[\x05\x07\x09\x18\x1b\n]|[^\x05\x07\x09\x18\x1b\n]+")
MOST_ARGUMENTS = 32  # after one mnemonic (E-727 manual)
IDENTIFIER = re.compile(r"[0-9A-Za-z_-]+")
REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
PARAMETER_ID = re.compile(r"0[xX][0-9a-fA-F]{1,8}|\d{1,10}", re.ASCII)


@dataclass(frozen=True)
class Command:
    """A row of the table of commands: its line in `HLP?`, and what carries it out."""

    meaning: str
    carry_out: Callable[[list[str]], Iterable[str] | None]
    """Takes the words after the mnemonic; returns the lines of the answer, if there is one."""


Commands = dict[str, Command]


def without_arguments(answer: Callable[[], Iterable[str] | None]) -> Callable[[list[str]], Iterable[str] | None]:
    """Make a command that takes no words."""

    def carry_out(words: list[str]) -> Iterable[str] | None:
        if words:
            raise Refusal(Error.WRONG_NUMBER_OF_PARAMETERS)
        return answer()

    return carry_out


class Reader:
    """Takes a stream of bytes apart: lines without their LF, and control bytes, also those inside a line.

    `None` stands for a line that was too long; the whole of it is dropped.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._is_too_long = False

    def requests(self, chunk: bytes) -> Iterator[bytes | None]:
        """Yield what is complete with this chunk, a control byte as one byte and a line with its LF."""
        for piece in PIECES.findall(chunk):
            if piece in CONTROL:
                yield piece
            elif piece != b"\n":
                self._take(piece)
            else:
                yield None if self._is_too_long else bytes(self._line) + piece
                self._line.clear()
                self._is_too_long = False

    def _take(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > LONGEST_LINE:
            self._line.clear()
            self._is_too_long = True
        elif not self._is_too_long:
            self._line += piece


def words_of(line: bytes) -> list[str]:
    """Split a line at its blanks.

    Raises:
        Refusal: more words than a command may have.
    """
    words = [word.decode("latin-1") for word in line.split()]
    if len(words) > 1 + MOST_ARGUMENTS:
        raise Refusal(Error.WRONG_NUMBER_OF_PARAMETERS)
    return words


def real(word: str) -> float:
    """Read a number; what is too large for one is infinite, and beyond every limit."""
    if not REAL.fullmatch(word):
        raise Refusal(Error.INVALID_NUMBER)
    return float(word)


def whole(word: str) -> int:
    """Read a whole number, which may be written as a real one."""
    if WHOLE.fullmatch(word):
        return int(word)
    value = real(word)
    if not value.is_integer():
        raise Refusal(Error.OUT_OF_RANGE)
    return int(value)


def switch(word: str) -> bool:
    """Read 0 or 1."""
    value = real(word)
    if value not in (0.0, 1.0):
        raise Refusal(Error.OUT_OF_RANGE)
    return bool(value)


def parameter_id(word: str) -> int:
    """Read a parameter's number, decimal or hexadecimal."""
    if not PARAMETER_ID.fullmatch(word):
        raise Refusal(Error.PARAMETER_SYNTAX)
    return int(word, 0) if word[:2] in ("0x", "0X") else int(word)


def only(words: list[str]) -> str:
    """Take the one word that a command has."""
    [[word], *more] = groups(words, 1)
    if more:
        raise Refusal(Error.WRONG_NUMBER_OF_PARAMETERS)
    return word


def groups(words: list[str], size: int) -> list[list[str]]:
    """Take the words `size` at a time, at least once."""
    if not words:
        raise Refusal(Error.MISSING_PARAMETER)
    if len(words) % size:
        raise Refusal(Error.WRONG_NUMBER_OF_PARAMETERS)
    return [words[start : start + size] for start in range(0, len(words), size)]


@dataclass(frozen=True)
class Items:
    """Things of one kind that commands name: axes, generators, tables, lines; inside they are numbers from 0."""

    names: Sequence[str]
    unknown: Error
    """What an identifier that no item has is refused with."""

    def index(self, word: str) -> int:
        """Find one item."""
        if word in self.names:
            return self.names.index(word)
        raise Refusal(self.unknown if IDENTIFIER.fullmatch(word) else Error.ILLEGAL_AXIS)

    def indices(self, words: list[str]) -> list[int]:
        """Find several, none twice; no word means all of them."""
        found = [self.index(word) for word in words] or list(range(len(self.names)))
        if len(set(found)) < len(found):
            raise Refusal(Error.DOUBLE_AXIS)
        return found

    def pairs(self, words: list[str]) -> dict[int, str]:
        """Read pairs of an item and a word."""
        if not words:
            raise Refusal(Error.MISSING_PARAMETER)
        found = self.indices(words[0::2])
        if len(words) % 2:
            raise Refusal(Error.WRONG_NUMBER_OF_PARAMETERS)
        return dict(zip(found, words[1::2], strict=True))

    def table(self, words: list[str], value: Callable[[int], str]) -> list[str]:
        """Answer one line per item that is asked for, in the order asked."""
        return [f"{self.names[item]}={value(item)}" for item in self.indices(words)]


def numbered(count: int, unknown: Error) -> Items:
    """Name items 1, 2, 3 ..."""
    return Items([str(number) for number in range(1, count + 1)], unknown)


def number(value: float) -> str:
    """Write a number as the controllers do."""
    return f"{value:.9e}"


def flag(value: bool) -> str:
    """Write 0 or 1."""
    return str(int(value))


def framed(lines: Iterable[str]) -> bytes:
    """Join the lines of an answer: all but the last end with a blank before their LF. No lines, no answer."""
    text = " \n".join(lines)
    return (text + "\n").encode("latin-1") if text else b""


def array(columns: Sequence[NDArray[np.float64]], names: Sequence[str], sample_s: float) -> Iterator[str]:
    """Write a GCS array: a header, then a row per sample.

    The rows are formatted while they are taken, so that whoever asks need not hold the controller meanwhile.
    """
    header = {"VERSION": "1", "TYPE": "1", "SEPARATOR": "32", "DIM": str(len(columns))}
    header |= {"SAMPLE_TIME": f"{sample_s:.9g}", "NDATA": str(len(columns[0]))}
    header |= {f"NAME{place}": name for place, name in enumerate(names)}
    yield from (f"# {key} = {value}" for key, value in header.items())
    yield "# END_HEADER"
    for row in zip(*(column.tolist() for column in columns), strict=True):
        yield " ".join(map(number, row))
