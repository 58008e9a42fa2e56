"""schemathesis over the whole description of the API: good and bad requests, and answers as they are described."""

from collections.abc import Iterator
from contextlib import closing, suppress
from http import HTTPStatus
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks
from starlette.types import ASGIApp, Receive, Scope, Send

from acquisition.journal import Attempt, utc_now
from acquisition.plan import Plan
from acquisition.run_store import RunStore
from api.access.access import Access
from api.access.rate import Rate, Rates
from api.access.roles import Role
from api.access.tokens import Tokens
from api.app import create_app
from api.data_folder import DataFolder
from api.openapi import EXAMPLES, NAMES
from api.scan import field_of
from api.service import Service
from devices.rig import RigSettings
from tests.api.service_bench import PlayedWork, plan, rig_file

CASES = 3  # of a kind, of each operation
ANY = list(HealthCheck)
ALL = Rate(1e6, 10**6)
ENDLESS = r"live\.mjpg$"
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
]
"""All but those that ask for more than the description says: whether a plan is accepted, the rig decides."""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    """A service with a run and jobs of the names that the description has as examples."""
    folder = tmp_path_factory.mktemp("data")
    service = Service(DataFolder(folder), rig_file(folder), work=PlayedWork().work)
    make_run(folder)
    token = {"Authorization": f"Bearer {Tokens(folder).create('mia', Role.ADMIN)}"}
    app = create_app(service, Access(folder, rates=Rates(ALL, ALL, ALL)))
    with TestClient(app, headers=token) as client:
        client.post("/api/v1/queue/hold")
        for _ in range(EXAMPLES["job_id"]):
            assert client.post("/api/v1/jobs", json={"plan": plan()}).status_code == 201
        schema = schemathesis.openapi.from_asgi("/openapi.json", alive(app), headers=token)
        schema.config.headers = token
        yield schema


def alive(app: ASGIApp) -> ASGIApp:
    """The app that runs already: schemathesis would start and end it around each request."""

    async def as_it_runs(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for change in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{change}.complete"})

    return as_it_runs


def make_run(folder: Path) -> None:
    """A run of one tile, as the description names one."""
    whole = Plan.model_validate(plan())
    path = folder / "runs" / NAMES["runs"]
    with closing(RunStore.create(path, whole, field_of(whole, RigSettings.load(rig_file(folder))), {})) as store:
        tile = store.tiles()[0]
        place = tile.index, 1, tile.row, tile.col, utc_now(), tile.x_um, tile.y_um, None, 0.02
        store.record(Attempt(*place, verdict="ok"), np.zeros(store.field.shape_px, np.uint16))


def test_answers_are_as_they_are_described(described: BaseSchema) -> None:
    wrong = {}
    for found in described.exclude(path_regex=ENDLESS).get_all_operations():
        operation = found.ok()
        examples = [(each.name, each.definition.get("example")) for each in operation.path_parameters]
        names = {name: example for name, example in examples if example is not None}
        for kind, fixed in product(GenerationMode, (names, {})):
            try:
                ask(operation.as_strategy(kind, path_parameters=fixed))
            except (BaseExceptionGroup, AssertionError) as error:
                wrong[f"{operation.label}, {kind}"] = getattr(error, "exceptions", [error])
    assert not wrong, "\n".join(f"{where}: {error}" for where, errors in wrong.items() for error in errors)


def ask(cases: SearchStrategy[schemathesis.Case]) -> None:
    """Call with so many cases, always the same, and hold each answer against the description."""

    @seed(1)
    @settings(max_examples=CASES, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=ANY)
    @given(cases)
    def answers_well(case: schemathesis.Case) -> None:
        answer = case.call()
        assert answer.status_code != HTTPStatus.INTERNAL_SERVER_ERROR, answer.text  # 503: no device answers here
        case.validate_response(answer, checks=CHECKS)

    with suppress(Unsatisfiable):  # there is nothing to say, and so nothing to get wrong
        answers_well()
