"""Write measured values into a rig file, and leave all else in it as it is: comments, order, spelling.

The text is edited statement by statement and read again: what comes out says exactly what it should, or nothing is
written.
"""

import itertools
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devices.rig_file import (
    Backlash,
    Calibration,
    MeasuredOn,
    RigFileError,
    RigSettings,
    SettleTime,
    Uncertainty,
)

SIGNIFICANT = 7
"""Digits of a written number: more than any calibration knows, few enough to read."""
MEASURED = (
    "pixel_size_um",
    "camera_to_stage_um",
    "backlash_um",
    "settle_s",
    "measured_at",
    "measured_on",
    "uncertainty",
)


def refuse_unwritable(path: Path, calibration: Calibration, sensitivity_nm_per_v: float | None) -> None:
    """Find out beforehand whether `write_calibration` will be able to write whatever is measured.

    Args:
        calibration: as it stands in the file.
        sensitivity_nm_per_v: likewise; None if there is none to be measured.

    Raises:
        RigFileError: it will not.
    """
    now = datetime.now(UTC)
    settle_s, backlash_um = SettleTime(x=0.0, y=0.0), Backlash()
    whole = calibration.model_copy(
        update={
            "camera_to_stage_um": calibration.matrix_um,
            "backlash_um": backlash_um,
            "settle_s": settle_s,
            "measured_at": now,
            "measured_on": MeasuredOn(backlash_um=now, settle_s=now, sensitivity_nm_per_v=now),
            "uncertainty": Uncertainty(
                pixel_size_um=0.0,
                rotation_deg=0.0,
                shear_deg=0.0,
                backlash_um=backlash_um,
                settle_s=settle_s,
                sensitivity_nm_per_v=0.0,
            ),
        }
    )
    with _naming(path):
        target = path.resolve()
        _with_calibration(target, whole, sensitivity_nm_per_v)
        tempfile.TemporaryFile(dir=target.parent).close()


def write_calibration(path: Path, calibration: Calibration, sensitivity_nm_per_v: float | None) -> Path:
    """Put the measured part of a calibration into the rig file at `path`; return the copy of the file as it was.

    The new file replaces the old one in one step; where `path` is a link, the file that it leads to.

    Raises:
        RigFileError: it cannot be read or written, or is spelled in a way that cannot be edited in place.
    """
    with _naming(path):
        target = path.resolve()
        text = _with_calibration(target, calibration, sensitivity_nm_per_v)
        before = _copy_beside(target)
        _replace(target, text)
        return before


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let every error name the file."""
    try:
        yield
    except RigFileError as error:
        raise RigFileError([f"{path}: {reason}" for reason in error.reasons]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RigFileError([f"cannot write rig file {path}: {error}"]) from error


def _with_calibration(path: Path, calibration: Calibration, sensitivity_nm_per_v: float | None) -> str:
    values = calibration.model_dump(mode="python", exclude_none=True, include=set(MEASURED))
    tables = {"calibration": {key: values[key] for key in MEASURED if values.get(key)}}
    if sensitivity_nm_per_v is not None:
        tables["devices.force"] = {"sensitivity_nm_per_v": sensitivity_nm_per_v}
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = edited(file.read(), tables)
    RigSettings.from_toml(text, path.parent)
    return text


def _copy_beside(path: Path) -> Path:
    """Copy a file to a name that no earlier copy has."""
    for number in itertools.count(1):
        copy = path.with_name(f"{path.name}.before{f'-{number}' if number > 1 else ''}")
        try:
            copy.touch(exist_ok=False)
        except FileExistsError:
            continue
        break
    shutil.copy2(path, copy)
    return copy


def edited(text: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Set keys of tables in a TOML text; a key that is not there is added at the end of its table.

    Raises:
        RigFileError: a table is not written under a header of its own, or not all of its keys are.
    """
    wanted = tomllib.loads(text)
    for table, values in tables.items():
        place = wanted
        for part in table.split("."):
            place = place.get(part, {})
        place.update(tomllib.loads("".join(f"{key} = {toml(value)}\n" for key, value in values.items())))
        text = _with_table(text, table, values)
    try:
        if tomllib.loads(text) == wanted:
            return text
    except tomllib.TOMLDecodeError:
        pass
    names = ", ".join(f"[{table}]" for table in tables)
    raise RigFileError([f"cannot be edited in place; write the keys of {names} as lines below these headers"])


def toml(value: Any) -> str:
    """Spell a value: a number, a text, a time, a list, or a table in one line."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return repr(float(f"{value:.{SIGNIFICANT}g}"))
        case int():
            return str(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Mapping():
            return f"{{ {', '.join(f'{key} = {toml(part)}' for key, part in value.items())} }}"
        case list() | tuple():
            return f"[{', '.join(toml(part) for part in value)}]"
    raise TypeError(f"no spelling for {value!r}")


def _with_table(text: str, table: str, values: Mapping[str, Any]) -> str:
    statements = _statements(text)
    header = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?")
    begin = next((i for i, statement in enumerate(statements) if header.fullmatch(statement.rstrip("\r\n"))), None)
    if begin is None:
        return text
    following = range(begin + 1, len(statements))
    end = next((i for i in following if statements[i].lstrip().startswith("[")), len(statements))
    section = statements[begin:end]
    newline = "\r\n" if section[0].endswith("\r\n") else "\n"
    section[0] = section[0].rstrip("\r\n") + newline
    for key, value in values.items():
        line = f"{key} = {toml(value)}"
        at = next((i for i, statement in enumerate(section) if re.match(rf"\s*{key}\s*=", statement)), None)
        if at is not None:
            section[at] = f"{line}{_comment(section[at])}{newline}"
        else:
            last = max(i for i, statement in enumerate(section) if statement.strip() and not _is_comment(statement))
            section[last] = section[last].rstrip("\r\n") + newline
            section.insert(last + 1, f"{line}{newline}")
    return "".join([*statements[:begin], *section, *statements[end:]])


def _statements(text: str) -> list[str]:
    """Cut a text into lines, but keep together what a value spreads over several of them."""
    statements: list[str] = []
    open_part = ""
    for line in text.splitlines(keepends=True):
        open_part += line
        try:
            tomllib.loads(open_part)
        except tomllib.TOMLDecodeError:
            continue
        statements.append(open_part)
        open_part = ""
    return [*statements, open_part] if open_part else statements


def _is_comment(statement: str) -> bool:
    return statement.lstrip().startswith("#")


def _comment(statement: str) -> str:
    """What stands behind the value of a statement of one line: spaces and a comment, or nothing."""
    line = statement.rstrip("\r\n")
    for found in re.finditer(r"\s*#", line):
        try:
            if "\n" not in line and tomllib.loads(line[: found.start()]) == tomllib.loads(line):
                return line[found.start() :]
        except tomllib.TOMLDecodeError:
            continue
    return ""


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            shutil.copymode(path, file.name)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
