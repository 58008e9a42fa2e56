"""What an instrument answered: read strictly as a number, quoted briefly in a message."""

import re

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,2})?", re.IGNORECASE | re.ASCII)
MOST_QUOTED = 80


def number(answer: str) -> float:
    """Read a decimal number as instruments write it; what else Python takes for one (`nan`, `1_0`) is none.

    Raises:
        ValueError: it is no number.
    """
    if not NUMBER.fullmatch(answer.strip()):
        raise ValueError(f"not a number: {quoted(answer)}")
    return float(answer)


def quoted(answer: str | bytes) -> str:
    """Quote an answer, cut short where it is long."""
    return repr(answer) if len(answer) <= MOST_QUOTED else f"{answer[:MOST_QUOTED]!r} and more"
