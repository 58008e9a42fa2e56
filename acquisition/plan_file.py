"""Files that hold a plan: TOML, JSON, or YAML; what their keys mean is not known here."""

import json
import tomllib
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from devices.model import FileError

YAML = (".yaml", ".yml")
LARGEST_BYTES = 2**17  # a polygon of 1000 corners, each number on a line of its own


class PlanError(FileError):
    """A plan that cannot be carried out."""


def read_plan(path: Path) -> dict[str, Any]:
    """The keys of a plan file, as its suffix says it is written.

    Raises:
        PlanError: not readable, too large, not TOML, JSON or YAML, a key is given twice, or there are none.
    """
    suffix = path.suffix.lower()
    kind = "JSON" if suffix == ".json" else "YAML" if suffix in YAML else "TOML"
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise PlanError([f"{path}: {error.strerror}"]) from error
    if len(content) > LARGEST_BYTES:
        raise PlanError([f"{path}: larger than {LARGEST_BYTES} bytes"])
    try:
        raw = _read(kind, content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise PlanError([f"{path}: not {kind}: {error}"]) from error
    if not isinstance(raw, dict):
        raise PlanError([f"{path}: should be a table of keys, not {type(raw).__name__}"])
    return raw


def _read(kind: str, text: str) -> Any:
    if kind == "TOML":
        return tomllib.loads(text)
    if kind == "JSON":
        return json.loads(text, object_pairs_hook=_each_once)
    return _yaml(text)


def _each_once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Refuse what JSON and YAML allow and TOML does not: a key that is given twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found


def _yaml(text: str) -> Any:
    """Read YAML of plain values, without anchors, from which a short text can grow without bounds."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("an alias (*name) is not allowed in a plan")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            return _each_once(self.construct_pairs(node, deep=True))

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
