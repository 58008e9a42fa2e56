"""Tables of keys in a document, held against the models that read those keys."""

import re
import tomllib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

HEAD = "| key | range | default | says |"
NUMBER = r"-?\d[\d.]*?(?:e-?\d+)?"
Table = dict[str, "Row"]


@dataclass(frozen=True)
class Row:
    range: str
    default: str


def tables(document: Path) -> list[Table]:
    """Every table of keys, in order."""
    found = []
    for part in document.read_text(encoding="utf-8").split(HEAD)[1:]:
        lines = part.removeprefix("\n|---|---|---|---|\n").split("\n\n")[0].splitlines()
        cells = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines if line[:1] == "|"]
        found.append({row[0].strip("`"): Row(row[1], row[2]) for row in cells})
    return found


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of, in the order in which they are written."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def models_below(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and all that its keys lead to, each once."""
    found = [model]
    for field in model.model_fields.values():
        for part in models_in(field.annotation):
            found += [below for below in models_below(part) if below not in found]
    return found


def hold(table: Table, model: type[BaseModel]) -> None:
    """Hold a table against its model: the same keys, their defaults, and where a range is one, its ends."""
    assert list(table) == list(model.model_fields), model.__name__
    for key, row in table.items():
        what, field = f"{model.__name__}.{key}", model.model_fields[key]
        assert _default_of(row, key) == _as_toml(field), what
        if choices := list(_literals(field.annotation)):
            assert re.findall(r"`(\w+)`", row.range) == choices, what
        elif ends := re.match(rf"({NUMBER})\.\.({NUMBER})(?=$|,)", row.range):
            _ends(field, float(ends[1]), float(ends[2]), what)
        elif above := re.match(rf"(>=?) ({NUMBER})", row.range):
            _takes(field, float(above[2]), above[1] == ">=", what)
            _takes(field, float(above[2]) - 1.0, False, what)
            _takes(field, float(above[2]) + 1e9, True, what)


def _ends(field: FieldInfo, low: float, high: float, what: str) -> None:
    for value, allowed in ((low, True), (high, True), (low - 1e-6 - abs(low), False), (high + 1 + high * 1e-6, False)):
        _takes(field, value, allowed, what)


def _takes(field: FieldInfo, value: float, allowed: bool, what: str) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, *field.metadata, None])
    whole = any(part is int for part in (field.annotation, *get_args(field.annotation)))
    number = int(value // 1) if whole else value
    if allowed:
        adapter.validate_python(number)
        return
    with pytest.raises(ValidationError):
        print(f"{what} = {number}", adapter.validate_python(number))  # shown where it does not raise


def _default_of(row: Row, key: str) -> Any:
    """What a table says: a value in TOML, `required`, or `none` for what is not given."""
    if row.default in ("required", "none"):
        return row.default
    return tomllib.loads(f"{key} = {row.default.strip('`')}")[key]


def _as_toml(field: FieldInfo) -> Any:
    if field.is_required():
        return "required"
    default = field.default if field.default is not PydanticUndefined else field.default_factory()  # type: ignore[call-arg, misc]
    if default is None or isinstance(default, BaseModel) or default in ((), {}):
        return "none"
    return list(default) if isinstance(default, tuple) else default


def _literals(annotation: Any) -> Iterator[str]:
    """The words of a `Literal`, also of one that may be None, or of a list of them."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) in (Union, types.UnionType, Annotated, tuple):
        for part in get_args(annotation):
            yield from _literals(part)
