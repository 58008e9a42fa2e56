"""Answers of a GCS 2.0 controller, read strictly: what is not exactly as the manual has it is a ValueError.

An answer has one line an item, `<item>=<value>`; tables of the recorder come as a GCS array: a header of lines
`# KEY = value`, then one row a sample.
"""

from devices.answers import number, quoted

READY, NOT_READY = "\xb1", "\xb0"
END_OF_HEADER = "# END_HEADER"


def values(answer: str) -> dict[str, float]:
    """Read `1=12.5 \\n2=3.25\\n`; each item once, each value a finite number."""
    table: dict[str, float] = {}
    for line in answer.splitlines():
        item, equals, value = line.strip().partition("=")
        if not equals or item in table:
            raise ValueError(f"not one value for each item: {quoted(answer)}")
        table[item] = number(value)
    return table


def flags(answer: str) -> dict[str, bool]:
    """Read `1=0 \\n2=1\\n`."""
    table = values(answer)
    if not set(table.values()) <= {0.0, 1.0}:
        raise ValueError(f"neither 0 nor 1: {quoted(answer)}")
    return {item: value == 1.0 for item, value in table.items()}


def ready(answer: str) -> bool:
    """Read the answer to #7, a plus-minus sign for ready and a degree sign for not yet."""
    if answer.strip() not in (READY, NOT_READY):
        raise ValueError(f"neither ready nor not: {quoted(answer)}")
    return answer.strip() == READY


def parameter(answer: str, axis: str, identifier: int) -> float:
    """Read the one value of `1 0xE000200=5e-05\\n`, which must be about that axis and that parameter."""
    match [(item.split(), value) for item, value in values(answer).items()]:
        case [([told_axis, told], value)] if told_axis == axis and int(told, base=0) == identifier:
            return value
    raise ValueError(f"not the one value of parameter 0x{identifier:X} of axis {axis}")


def bits(answer: str) -> int:
    """Read the hexadecimal mask of #5 and #9."""
    if not set(answer.strip()) <= set("0123456789abcdefABCDEF"):
        raise ValueError(f"no hexadecimal mask: {quoted(answer)}")
    return int(answer.strip(), base=16)


def array(answer: str, rows: int, columns: int) -> list[list[float]]:
    """Read the samples of a GCS array, one list a row; header and body must have it of this size."""
    header, end, body = answer.partition(END_OF_HEADER)
    if not end:
        raise ValueError(f"no {END_OF_HEADER}: {quoted(header)}")
    if (size := (_told(header, "NDATA"), _told(header, "DIM"))) != (rows, columns):
        raise ValueError(f"{size[0]:g} rows of {size[1]:g} columns, not {rows} of {columns}")
    samples = [[number(word) for word in line.split()] for line in body.split("\n")[1:] if line.strip()]
    if len(samples) != rows or any(len(sample) != columns for sample in samples):
        raise ValueError(f"not {rows} rows of {columns}: {quoted(body)}")
    return samples


def _told(header: str, key: str) -> float:
    """Read the number in the line `# <key> = <number>` of a header."""
    entries = [line.removeprefix("# ").partition(" = ") for line in header.splitlines()]
    values = [value for name, _, value in entries if name == key]
    if len(values) != 1:
        raise ValueError(f"not one {key} in the header: {quoted(header)}")
    return number(values[0])
