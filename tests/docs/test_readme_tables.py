"""README.md's tables of commands and of routes are those of the command line and of the API."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from api.access.roles import API, rule_for
from api.app import create_app
from api.cli import app
from api.data_folder import DataFolder
from api.service import Service
from tests.docs.documents import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS, ROUTES = "| command | does |", "| route | needs | does |"
PARAMETER = re.compile(r"\{\w+\}")


def test_every_command_is_in_the_table() -> None:
    told = {name for row in rows(COMMANDS) for name in re.findall(r"`nanoraster (\w+)", row[0])}
    assert told == set(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.skipif(ROUTES not in README, reason="README.md has no table of routes yet")
def test_every_route_is_in_the_table_with_the_role_that_it_needs(tmp_path: Path) -> None:
    paths = create_app(Service(DataFolder(tmp_path), None, None, None)).openapi()["paths"]
    there = {(method.upper(), PARAMETER.sub("{}", path)) for path, methods in paths.items() for method in methods}
    told = set()
    for routes, needs, _ in rows(ROUTES):
        for methods, path in re.findall(r"`([A-Z, ]+) ([^`]+)`", routes):
            whole = path if path.startswith("/") else f"{API}/{path}"
            for method in methods.split(", "):
                told.add((method, PARAMETER.sub("{}", whole)))
                asked = "GET" if method == "WS" else method
                assert needs == (rule_for(asked, whole).role or "nothing"), (method, path)
    assert told - {("WS", f"{API}/events"), ("GET", "/ui")} == there


def rows(head: str) -> list[list[str]]:
    """The rows below a table's head and its line."""
    table = README.split(f"{head}\n", 1)[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
