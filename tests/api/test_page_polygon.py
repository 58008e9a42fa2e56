"""A region with corners, drawn on the page or written by hand, is the plan's."""

import json
from pathlib import Path
from typing import Any

from api.twin import Twin
from tests.api.browser import browsing, needs_browser
from tests.api.test_serve import SLOW_PLAN, serving

CORNERS = ((0.3, 0.3), (0.6, 0.35), (0.45, 0.6))  # of the map
NAME = "Corners, x and y in each line"


@needs_browser
def test_a_polygon_is_drawn_corner_by_corner_and_can_be_changed_by_hand(twin: Twin, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []
    with serving(tmp_path, "--rig", twin.rig) as service, browsing() as watched:
        page = watched.page
        page.on("request", lambda request: "preview" in request.url and asked.append(json.loads(request.post_data)))
        page.goto(f"{service.url}/ui/", wait_until="domcontentloaded")
        page.get_by_role("button", name="Draw polygon").click()
        box = page.locator(".specimen .canvas").bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in CORNERS]
        for place in (*places, places[0]):
            page.mouse.click(*place)
            page.wait_for_timeout(250)  # or it were a double click
        page.get_by_label(NAME).wait_for()
        page.locator(".preview dd").first.wait_for()
        drawn = asked[-1]["region"]["polygon_um"]
        assert len(drawn) == 3
        assert drawn[0][0] < drawn[2][0] < drawn[1][0]
        assert drawn[0][1] < drawn[1][1] < drawn[2][1]
        page.get_by_label(NAME).fill("20, 20\n50 20\n50; 44\n20, 44\n")
        page.get_by_label(NAME).blur()
        with page.expect_request("**/plans/preview"):
            pass
        assert asked[-1]["region"] == {"polygon_um": [[20, 20], [50, 20], [50, 44], [20, 44]]}
        page.get_by_label(NAME).fill("20, 20\n50")
        page.get_by_label(NAME).blur()
        page.locator(".preview .problems", has_text="A number is missing").wait_for()
        page.get_by_label(NAME).fill("20, 20\n50, 20\n35, 44")
        page.get_by_label(NAME).blur()
        page.get_by_role("button", name="The rectangle around it").click()
        assert page.get_by_label("y to", exact=True).input_value() == "44"
        assert watched.complaints == []


@needs_browser
def test_a_polygon_that_is_half_drawn_stays_when_a_run_begins(twin: Twin, tmp_path: Path) -> None:
    with serving(tmp_path, "--rig", twin.rig) as service, browsing() as watched:
        page = watched.page
        page.goto(f"{service.url}/ui/", wait_until="domcontentloaded")
        page.get_by_role("button", name="Draw polygon").click()
        box = page.locator(".specimen .canvas").bounding_box()
        *first, last = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in CORNERS]
        for place in first:
            page.mouse.click(*place)
            page.wait_for_timeout(250)  # or it were a double click
        service.ask("/api/v1/jobs", {"plan": SLOW_PLAN})
        page.locator(".specimen img.leaflet-tile").first.wait_for()  # on a map that is laid out anew
        page.mouse.click(*last)
        page.keyboard.press("Enter")
        page.get_by_label(NAME).wait_for()
        assert len(page.get_by_label(NAME).input_value().split("\n")) == 3
        assert watched.complaints == []
