"""The truth over HTTP."""

import json
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import cv2
import pytest

from tests.hardware_sim.conftest import TwinProcess


def test_the_truth_has_all_that_was_promised(lab: TwinProcess) -> None:
    truth = lab.get("/truth")
    assert truth.keys() == {
        "time_s",
        "scanner_um",
        "reported_um",
        "focus_um",
        "force_nn",
        "drift_um",
        "probe_contact",
    }
    assert (len(truth["scanner_um"]), len(truth["reported_um"]), len(truth["drift_um"])) == (3, 3, 3)
    assert truth["probe_contact"] is False
    assert lab.get("/truth")["time_s"] > truth["time_s"]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/nowhere", "GET", 404), ("/faults", "POST", 400), ("/truth", "POST", 404), ("/exposures?after=x", "GET", 400)],
)
def test_what_cannot_be_answered_is_an_error_in_json(lab: TwinProcess, path: str, method: str, status: int) -> None:
    request = Request(lab.ready["world"]["url"] + path, method=method, data=b"{}" if method == "POST" else None)
    with pytest.raises(HTTPError) as caught:
        urlopen(request, timeout=5)
    with caught.value as answer:
        assert answer.code == status
        assert "error" in json.load(answer)


def test_no_fault_was_injected(lab: TwinProcess) -> None:
    assert lab.get("/faults") == []


def test_it_tells_which_faults_there_are(lab: TwinProcess) -> None:
    kinds = lab.get("/faults/kinds")
    assert {"scanner", "focus", "force", "camera", "video"} == kinds.keys()
    assert kinds["scanner"]["stuck_axis"]["for_s"] == {"usual": 2.0, "low": 0.0, "high": 3600.0}
    assert kinds["camera"]["black_frame"] == {}


def test_opencv_can_watch_and_watching_is_no_exposure(lab: TwinProcess) -> None:
    before = len(lab.get("/exposures")["exposures"])
    video = cv2.VideoCapture(lab.ready["video"]["url"])
    try:
        began_s = time.monotonic()
        frames = [video.read() for _ in range(4)]
        assert all(ok for ok, _ in frames)
        assert frames[0][1].shape == (480, 640, 3)
        assert time.monotonic() - began_s < 20.0
    finally:
        video.release()
    assert len(lab.get("/exposures")["exposures"]) == before


def test_both_halves_of_the_house_are_in_the_rig_file(lab: TwinProcess) -> None:
    import tomllib

    with open(lab.ready["rig"], "rb") as file:
        rig = tomllib.load(file)
    assert rig["name"] == "twin"
    assert rig["calibration"]["pixel_size_um"] == 0.02
    assert rig["calibration"]["backlash_um"] == pytest.approx({"x": 0.12, "y": 0.12})
    assert rig["devices"]["scanner"]["port"] == lab.ready["scanner"]["port"]
    assert rig["devices"]["focus"]["url"] == lab.ready["focus"]["url"]
    assert rig["devices"]["force"]["stiffness_n_per_m"] == 42.0
    assert rig["devices"]["camera"]["cfg"] == lab.ready["camera"]["cfg"]
