"""The page where something is wrong: with what was typed, with its address, with the service; and what a stop says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.twin import Twin
from benchmarks.guardian import truth
from tests.api.browser import browsing, needs_browser
from tests.api.service_bench import eventually
from tests.api.test_page_story import SOON_MS, Reader
from tests.api.test_serve import Serving, serving

pytestmark = [needs_browser, pytest.mark.timeout(240)]

PRESSED = {"policy": "contact", "set_point_nn": 300.0, "limit_nn": 2000.0}
RETRACTED_UM = 0.2  # of the scanner's z; its sensor is off by less


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def service(twin: Twin, data: Path) -> Iterator[Serving]:
    with serving(data, "--rig", twin.rig) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Reader]:
    with browsing() as watched:
        yield Reader(watched)


@pytest.fixture
def reader(browser: Reader, service: Serving) -> Iterator[Reader]:
    """At the scan page; when it is left, no script has failed, whatever the service refused."""
    browser.watched.complaints.clear()
    browser.page.goto(f"{service.url}/ui/#/scan", wait_until="domcontentloaded")
    browser.page.locator(".scan").wait_for()
    yield browser
    assert [each for each in browser.watched.complaints if not each.startswith("Failed to load resource")] == []


def slow(name: str, **more: Any) -> dict[str, Any]:
    plan = {"name": name, "region": {"x_um": [2, 26], "y_um": [1, 24]}, "camera": {"exposure_ms": 1000}}
    return {"plan": plan | more}


def test_a_number_that_was_emptied_is_missed_and_stays_harmless(reader: Reader) -> None:
    page = reader.page
    page.get_by_role("button", name="begin with numbers").click()
    reader.sees(".preview dd")
    page.get_by_label("x from", exact=True).fill("")
    reader.sees(".preview .problems", has_text="A number is missing")
    assert page.get_by_role("button", name="Start scan").is_disabled()
    page.reload(wait_until="domcontentloaded")
    reader.sees(".preview .problems", has_text="A number is missing")
    page.get_by_label("x from", exact=True).fill("2")
    page.get_by_label("x to", exact=True).fill("9")
    reader.sees(".preview dd")


@pytest.mark.parametrize("place", ["runs/%", "mosaic/%E0%A4%A", "constructor", "toString"])
def test_an_address_that_makes_no_sense_still_shows_a_page(reader: Reader, service: Serving, place: str) -> None:
    reader.page.goto("about:blank")
    reader.page.goto(f"{service.url}/ui/#/{place}", wait_until="domcontentloaded")
    reader.sees("button.stop")
    reader.sees(".part :is(.scan, .runs, .mosaic, .empty)")
    assert "[object" not in reader.page.inner_text("body")


def test_by_hand_the_stage_that_carries_the_probe_goes_away_from_the_specimen_only(reader: Reader) -> None:
    up, down = (reader.page.get_by_role("button", name=f"focus {way}") for way in ("up", "down"))
    reader.waits("!document.querySelector('[aria-label=\"focus up\"]')?.disabled")
    assert (up.is_enabled(), down.is_disabled()) == (True, True)


def test_a_service_that_does_not_tell_its_state_is_no_service_that_is_well(reader: Reader, data: Path) -> None:
    tokens = data / "tokens.json"
    tokens.write_text("{")
    try:
        reader.sees(".banner.bad", has_text="does not tell what goes on: nobody is let in")
        reader.sees(".state[data-state='unknown']", has_text="Not known")
    finally:
        tokens.unlink()
    reader.sees(".state[data-state='idle']")


def test_whoever_moves_a_job_by_keys_keeps_the_focus(reader: Reader, service: Serving) -> None:
    for name in ("first", "second", "third"):
        service.ask("/api/v1/jobs", slow(name) | {"start_at": "2099-01-01T22:00:00Z"})
    reader.go("queue")
    for name in ("third earlier", "third earlier"):
        reader.page.get_by_role("button", name=name).focus()
        order = "[...document.querySelectorAll('.jobs li.queued strong')].map((each) => each.innerText).join()"
        before = reader.page.evaluate(order)
        reader.page.keyboard.press("Enter")
        reader.waits(f"{order} !== {before!r}")
        reader.waits("document.activeElement.ariaLabel?.startsWith('third ')")
    for job in service.ask("/api/v1/jobs")["jobs"]:
        origin = reader.page.evaluate("window.location.origin")
        reader.page.request.delete(f"{origin}/api/v1/jobs/{job['id']}", headers={"Origin": origin})


def test_a_stop_says_that_the_probe_is_retracted_once_it_is(reader: Reader, service: Serving, twin: Twin) -> None:
    service.ask("/api/v1/jobs", slow("pressed", force=PRESSED))
    eventually(lambda: service.tiles() >= 1 and truth(twin)["probe_contact"])
    shown = reader.page.locator(".stage select").first
    assert shown.evaluate("(each) => each.selectedOptions[0]?.innerText").startswith("pressed")
    reader.page.keyboard.press("Control+.")
    reader.page.get_by_text("Stopped. The probe is retracted").wait_for(timeout=SOON_MS)
    found = truth(twin)
    assert not found["probe_contact"]
    assert found["scanner_um"][2] < RETRACTED_UM
    assert service.ask("/api/v1/status")["state"] in ("idle", "finishing")
    reader.press("Release the queue")
