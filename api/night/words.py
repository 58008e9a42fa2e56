"""Times, durations and figures as people read them; every time in the time zone of this machine."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, left_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left_s} s" if left_s else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def moment(epoch_s: float) -> str:
    """Day and time."""
    return datetime.fromtimestamp(epoch_s).astimezone().strftime("%a %d %b %Y, %H:%M")


def clock(epoch_s: float) -> str:
    """Time of day."""
    return datetime.fromtimestamp(epoch_s).astimezone().strftime("%H:%M:%S")


def day_and_clock(epoch_s: float) -> str:
    """Day of the week and time of day."""
    return datetime.fromtimestamp(epoch_s).astimezone().strftime("%a %H:%M:%S")


def zone(epoch_s: float) -> str:
    """The time zone that the other words are in."""
    return datetime.fromtimestamp(epoch_s).astimezone().strftime("UTC%z")


def figure(value: object) -> str:
    """A value of a settings file or a summary."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case list() | tuple():
            return ", ".join(map(figure, value)) or "none"
    return str(value)


def flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as rows of name and value."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flat(value, f"{name}.")
        elif value is not None and value != [] and value != ():
            rows.append((name, figure(value)))
    return rows


def table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...] = ()) -> str:
    """An HTML table of plain text."""
    header = f"<thead>{_row(head, 'th')}</thead>" if head else ""
    return f"<table>{header}<tbody>{''.join(_row(row, 'td') for row in rows)}</tbody></table>"


def _row(cells: tuple[str, ...], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
