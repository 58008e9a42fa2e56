"""A tile that somebody wants once more, through every process and wire; the world is the judge."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zarr

from acquisition.journal import Attempt
from acquisition.run_store import RunStore
from api.client import NanorasterError, connect
from api.twin import Twin
from tests.api.service_bench import eventually
from tests.api.test_serve import SLOW_PLAN, serving

PLAN = SLOW_PLAN | {
    "quality": {"policy": "retake", "doubtful_exposure": 4},
    "reconstruction": {"model": "nlm"},
}
AGAIN = 0
LONGER = 2.0


def taken(run: Path) -> list[Attempt]:
    with closing(RunStore(run)) as store:
        return [attempt for _, attempt in store.journal.attempts() if attempt.frame is not None]


def exposed_s(twin: Twin, attempt: Attempt) -> float:
    """How long the world says that it was."""
    (found,) = [each for each in twin.world.exposures() if each["number"] == attempt.camera_frame]
    return found["end_s"] - found["start_s"]


def likeness(run: Path, frame: Any) -> float:
    """How well the mosaic shows the noise of the first tile's corner, which no other tile shows: its correlation."""
    corner = np.asarray(frame)[8:72, 8:72].astype(np.float32)
    mosaic = np.asarray(zarr.open_array(run / "mosaic.zarr" / "raw" / "0", mode="r")[:200, :200], np.float32)
    mosaic, corner = (image - cv2.GaussianBlur(image, (0, 0), 0.7) for image in (mosaic, corner))
    return float(cv2.matchTemplate(mosaic, corner, cv2.TM_CCOEFF_NORMED).max())


def test_a_wish_survives_kill_minus_nine_and_is_granted_once(twin: Twin, tmp_path: Path) -> None:
    with serving(tmp_path, "--rig", twin.rig) as service, connect(service.url) as scope:
        job = scope.submit(PLAN)
        eventually(lambda: service.tiles() >= 2)
        with pytest.raises(NanorasterError, match=r"tile = 99: outside 0\.\.8") as refusal:
            job.take_again(99)
        assert refusal.value.status == 422
        job.take_again(AGAIN, LONGER, "a hair on it")
        assert scope.status().retakes == [AGAIN]
        service.process.kill()
        (run,) = (tmp_path / "runs").iterdir()
    with serving(tmp_path, "--rig", twin.rig) as service:
        eventually(lambda: service.ask(f"/api/v1/jobs/{job.id}")["state"] == "done")
        done = service.ask(f"/api/v1/jobs/{job.id}")
    assert (done["outcome"], done["error"]) == ("completed", None)
    found = taken(run)
    assert [attempt.tile for attempt in found] == [*range(9), AGAIN]
    first, again = found[0], found[-1]
    assert (again.cause, again.reason) == ("asked", "asked for by local: a hair on it")
    assert exposed_s(twin, again) == pytest.approx(LONGER * exposed_s(twin, first), rel=0.05)  # and the reading
    frames = zarr.open_array(run / "raw.zarr", mode="r")
    assert frames.shape[0] == 10
    light = [float(np.mean(frames[attempt.frame])) for attempt in (first, again)]
    assert light[1] > 1.5 * light[0]
    assert likeness(run, frames[again.frame]) > 0.9 > likeness(run, frames[first.frame])
    with closing(RunStore(run)) as store:
        restored = {(event.data["tile"], event.data["attempt"]) for event in store.journal.events(kind="tile_restored")}
        assert restored == {(attempt.tile, attempt.attempt) for attempt in found}
        assert store.journal.events(kind="restoration_late") == []
    summary: dict[str, Any] = json.loads((run / "report" / "summary.json").read_text())
    assert (summary["tiles"]["ok"], summary["tiles"]["retried"]) == (9, 1)
    assert "a hair on it" in (run / "report" / "report.html").read_text()
