"""What takes long: it is bounded, has its turn, and holds nobody else up."""

import asyncio
import json
import math
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from acquisition.plan_file import LARGEST_BYTES
from api.access import turns
from api.access.refused import Refused
from api.access.turns import Turns
from api.previews import Previews
from tests.api.access.test_gate import JSON, serving
from tests.api.service_bench import eventually, plan
from tests.api.test_routes import refused

PREVIEW = "/api/v1/plans/preview"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serving(tmp_path_factory.mktemp("turns")) as connected:
        yield connected


def keys(count: int) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % number for number in range(count)) + b"}"


def test_a_body_of_many_keys_is_not_even_read(client: TestClient) -> None:
    refused(client.post(PREVIEW, content=keys(12_000), headers=JSON), 413, "more than 1000 keys")
    refused(client.post(PREVIEW, content=b"[" + b"1," * 30_000 + b"1]", headers=JSON), 413, "more than 20000 values")
    refused(client.post(PREVIEW, content=keys(80_000), headers=JSON), 413, str(LARGEST_BYTES))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"1" * 5000, b"[" * 60_000, b"[" * 900 + b"]" * 900, b"null"])
def test_what_is_no_plan_is_refused(client: TestClient, content: bytes) -> None:
    refused(client.post(PREVIEW, content=content, headers=JSON), 422)


@pytest.mark.parametrize("path", [PREVIEW, "/api/v1/jobs"])
def test_of_many_reasons_the_first_are_told_and_the_others_counted(client: TestClient, path: str) -> None:
    raw = keys(900) if path == PREVIEW else b'{"plan":' + keys(900) + b"}"
    problem = refused(client.post(path, content=raw, headers=JSON), 422, "k0: unknown key", "and 881 more")
    assert len(problem["errors"]) == 20


def test_the_reasons_against_a_sequence_are_counted_too(client: TestClient) -> None:
    raw = b'{"grid_plan":{},' + keys(900)[1:]
    problem = refused(client.post(PREVIEW, content=raw, headers=JSON), 422, "k0: unknown key", "and 881 more")
    assert len(problem["errors"]) == 20


def test_a_plan_of_the_most_corners_is_previewed_however_it_is_written(client: TestClient) -> None:
    turned = [math.tau * corner / 1000 for corner in range(1000)]
    outline = [[50 + 20 * math.cos(angle), 50 + 20 * math.sin(angle)] for angle in turned]
    content = json.dumps({"region": {"polygon_um": outline}}, indent=4)
    answer = client.post(PREVIEW, content=content, headers=JSON)
    assert answer.status_code == 200, answer.text
    assert answer.json()["tiles"] > 100


def test_each_has_a_few_turns_to_wait_for_and_so_have_all() -> None:
    async def ask() -> list[str]:
        waiting, said = Turns(), []
        async with AsyncExitStack() as had:
            await had.enter_async_context(waiting.turn("mia"))
            others = [asyncio.create_task(_wait(waiting, who)) for who in ["mia"] * 3 + ["max"] * 4 + list("abcdefgh")]
            await asyncio.sleep(0)
            for who in ("mia", "zoe"):
                with pytest.raises(Refused) as refusal:
                    async with waiting.turn(who):
                        raise AssertionError
                said.append(str(refusal.value))
            assert not any(other.done() for other in others)
        await asyncio.gather(*others)
        async with waiting.turn("mia"):
            return said

    mia, zoe = asyncio.run(ask())
    assert mia.startswith(f"{turns.MOST_OF_ONE} requests of mia wait")
    assert zoe.startswith(f"0 requests of zoe wait for their turn, of {turns.MOST} in all")


async def _wait(waiting: Turns, who: str) -> None:
    async with waiting.turn(who):
        await asyncio.sleep(0)


def test_one_is_previewed_at_a_time_and_a_stop_waits_for_none(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = list[int](), threading.Event()

    def preview(*_: Any) -> dict[str, Any]:
        begun.append(1)
        gate.wait(30)
        return {}

    monkeypatch.setattr(client.app.state.previews, "preview", preview)  # type: ignore[attr-defined]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, PREVIEW, json=plan()) for _ in range(8)]
        eventually(lambda: sum(answer.done() for answer in asked) == 4)
        assert {answer.result().status_code for answer in asked if answer.done()} == {429}
        assert len(begun) == 1
        assert client.post("/api/v1/stop").status_code == 202
        assert client.post("/api/v1/queue/hold", content=b'{"reason":"' + b"x" * 9000 + b'"}').status_code != 429
        gate.set()
        eventually(lambda: all(answer.done() for answer in asked))
    assert len(begun) == 4


def test_a_previewer_that_dies_is_begun_anew_and_ends_with_the_service(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert client.post(PREVIEW, json=plan()).json()["tiles"] == 6
        previews: Previews = client.app.state.previews  # type: ignore[attr-defined]
        first = previews._process
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert client.post(PREVIEW, json=plan()).json()["tiles"] == 6
        second = previews._process
        assert second is not None
        os.kill(second.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.post, PREVIEW, json=plan())
            eventually(previews._lock.locked)
            os.kill(second.pid, signal.SIGKILL)
            refused(asked.result(), 503, "has died")
    assert second.poll() is not None
    assert previews._process is None
