"""A scan of the twin, watched over HTTP from its first tile to its report."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from api.twin import Twin
from tests.api.service_bench import SOON_S, eventually
from tests.api.test_live_view import URL as LIVE
from tests.api.test_live_view import first_jpeg
from tests.api.test_serve import SLOW_PLAN, Serving, serving

NO_MOSAIC = '{"layers": {}}'


def fetched(service: Serving, path: str) -> bytes | None:
    """What is at a path; None if it is not there yet."""
    try:
        with urllib.request.urlopen(service.url + path, timeout=SOON_S) as answer:
            found: bytes = answer.read()
            return found
    except urllib.error.HTTPError as refusal:
        refusal.close()
        if refusal.code != 404:
            raise
        return None


def test_the_mosaic_grows_while_every_part_is_well(twin: Twin, tmp_path: Path) -> None:
    with serving(tmp_path, "--rig", twin.rig) as service:
        plan = SLOW_PLAN | {"camera": {"exposure_ms": 700}}
        job = service.ask("/api/v1/jobs", {"plan": plan})["id"]
        run = eventually(lambda: service.ask(f"/api/v1/jobs/{job}")["run"])
        url = f"/api/v1/runs/{run}/mosaic"

        def whole() -> Any:
            found = json.loads(fetched(service, url) or NO_MOSAIC)
            return found["layers"] and found["display_range"] and found

        seen = eventually(whole)
        top = len(seen["layers"]["raw"]) - 1
        assert eventually(lambda: fetched(service, f"{url}/raw/{top}/0/0.jpg"))
        assert service.ask("/api/v1/status")["state"] == "acquiring"
        well = service.ask("/healthz")
        assert (well["service"], well["worker"], well["guardian"]) == ("working", "working", "guarding")
        assert set(well["devices"].values()) == {"ok"}
        scanner = service.ask("/api/v1/devices/scanner")
        assert scanner["taken_by"] == f"job {job} (pads) has it"
        assert scanner["reading"]["position_um"].keys() == {"x", "y", "z"}
        with urllib.request.urlopen(service.url + LIVE, timeout=SOON_S) as stream:
            assert first_jpeg(stream).startswith(b"\xff\xd8")
        eventually(lambda: service.ask(f"/api/v1/jobs/{job}")["state"] == "done")
        done = service.ask(url)
        assert done["display_range"] == seen["display_range"]
        metrics = fetched(service, "/metrics")
        assert metrics is not None
        assert b'nanoraster_tiles_total{verdict="ok"} 9.0' in metrics
        assert b'nanoraster_events_total{kind="run_completed"} 1.0' in metrics
        assert fetched(service, f"/api/v1/runs/{run}/report")
