"""docs/plan_file.md and docs/rig_file.md say what the models read: every key, its default and its range."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from acquisition.plan import Plan
from devices.drivers import OURS
from devices.rig_file import RigSettings
from devices.settings import DriverSettings
from tests.docs.documents import DOCS, blocks
from tests.docs.tables import hold, models_below, tables

PLAN, RIG = DOCS / "plan_file.md", DOCS / "rig_file.md"
PLAN_MODELS = models_below(Plan)
DRIVERS = [model for model, _ in OURS.values()]
RIG_MODELS = [*(model for model in models_below(RigSettings) if model is not DriverSettings), *DRIVERS]
CASES = [(PLAN, model) for model in PLAN_MODELS] + [(RIG, model) for model in RIG_MODELS]


@pytest.mark.parametrize(("document", "model"), CASES, ids=lambda part: getattr(part, "__name__", None))
def test_every_key_is_there_with_its_default_and_range(document: Path, model: type[BaseModel]) -> None:
    alike = [table for table in tables(document) if list(table) == list(model.model_fields)]
    assert alike, f"{document.name} has no table of {model.__name__}: {list(model.model_fields)}"
    for table in alike[:-1]:  # x and y stand in two tables: one of them has to be right
        try:
            return hold(table, model)
        except AssertionError:
            continue
    return hold(alike[-1], model)


@pytest.mark.parametrize(("document", "models"), [(PLAN, PLAN_MODELS), (RIG, RIG_MODELS)], ids=["plan", "rig"])
def test_there_is_no_table_of_anything_else(document: Path, models: list[type[BaseModel]]) -> None:
    assert len(tables(document)) == len(models)


@pytest.mark.parametrize("block", blocks(PLAN, "toml"))
def test_every_example_of_a_plan_is_one(block: str) -> None:
    assert Plan.model_validate(tomllib.loads(block)).name


@pytest.mark.parametrize("block", blocks(RIG, "toml"))
def test_every_example_of_a_rig_file_loads(block: str) -> None:
    """The first one is a whole rig; what others leave out is taken from it."""
    whole, part = tomllib.loads(blocks(RIG, "toml")[0]), tomllib.loads(block)
    whole["devices"] |= part.pop("devices", {})
    RigSettings.model_validate(whole | part)


def test_every_driver_has_an_example() -> None:
    shown: set[Any] = set()
    for block in blocks(RIG, "toml")[1:]:
        shown |= {device["driver"] for device in tomllib.loads(block).get("devices", {}).values()}
    assert shown == set(OURS)
