# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Keys of the page in a real Chromium: wherever the focus is, Escape stops the arm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import browser as browsers
import pytest
from harness import spinning, started, wait_for
from page_rest import Rest, status

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browsers.MISSING), reason=browsers.MISSING),
]


@dataclass
class Alone:
    """A page and what it has called."""

    rest: Rest
    page: Any

    def see(self, element: Any) -> Any:
        """The element, scrolled into sight."""
        element.evaluate("element => element.scrollIntoView({block: 'center'})")
        return element

    def calls(self, key: str, *names: str) -> None:
        """Press a key; these are called, and nothing else."""
        self.rest.called.clear()
        self.page.keyboard.press(key)
        wait_for(lambda: set(names) <= set(self.rest.called), f"{names} after {key}", 5.0)
        assert set(self.rest.called) == set(names)
        self.rest.says("hold: enabled: waiting for a chunk")
        self.page.wait_for_timeout(100)

    def use(self, control: str) -> None:
        """What a person does with the mouse, or types."""
        page = self.page
        slider = self.see(page.get_by_role("slider").first) if "slider" in control else None
        box = slider.bounding_box() if slider else {}
        if control.startswith("checkbox"):
            self.see(page.get_by_role("checkbox").first).click()
        elif control == "slider clicked":
            page.mouse.click(box["x"] - 40, box["y"] + box["height"] / 2)
        elif control == "slider dragged":
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            page.mouse.down()
            page.mouse.move(box["x"] - 30, box["y"] + 3)
            page.mouse.up()
        elif control in ("text", "number"):
            name = "textarea" if control == "text" else "input[inputmode=decimal]"
            self.see(page.locator(name).first).click()
        elif control == "button":
            self.see(page.get_by_role("button", name="Enable")).click()
        elif control == "commands":
            page.keyboard.press("Control+k")
        else:
            choice = "input[role=combobox]:not([readonly])"
            self.see(page.locator(choice).first).click()
            if control == "task chosen":
                page.get_by_role("option", name="sort").click()
        page.wait_for_timeout(200)


@pytest.fixture(scope="module")
def alone(ros_context: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """The page before services that only note who called."""
    rest = Rest()
    log = tmp_path_factory.mktemp("alone") / "log"
    with ExitStack() as stack:
        stack.enter_context(spinning(rest))
        node = stack.enter_context(started("dashboard_node", {"robot": "wx250s", "port": 0}, log))
        browser = stack.enter_context(browsers.chromium())
        rest.reports(status(state="idle"))
        yield Alone(rest, browsers.opened(browser, browsers.address_of(node)))


@pytest.mark.parametrize(
    "control",
    [
        *("checkbox ticked", "checkbox unticked", "slider clicked", "slider dragged"),
        *("task list open", "task chosen", "button", "text", "number", "commands"),
    ],
)
def test_escape_stops_the_arm_wherever_the_focus_is(alone: Alone, control: str) -> None:
    alone.use(control)
    alone.calls("Escape", "estop", "recorder/stop")
    alone.calls("Escape", "estop", "recorder/stop")
    if control == "task list open":
        alone.page.mouse.click(640, 760)
    elif control == "commands":
        alone.page.mouse.click(5, 790)  # beside it, which closes it
        alone.page.wait_for_timeout(500)


@pytest.mark.parametrize(
    "control", ["checkbox", "slider clicked", "slider dragged", "task chosen"]
)
def test_keys_work_after_a_control_was_used(alone: Alone, control: str) -> None:
    alone.use(control)
    before = alone.page.get_by_role("slider").first.get_attribute("aria-valuenow")
    alone.calls("r", "recorder/start")
    alone.calls("ArrowRight", "recorder/save")
    assert alone.page.get_by_role("slider").first.get_attribute("aria-valuenow") == before


def test_a_held_escape_counts_once_and_typing_is_no_key(alone: Alone) -> None:
    alone.use("text")
    alone.rest.called.clear()
    alone.page.keyboard.type("rur")
    alone.page.keyboard.press("ArrowRight")
    assert alone.rest.called == []
    alone.calls("Escape", "estop", "recorder/stop")
    assert alone.page.locator("textarea").first.input_value().endswith("rur")
    alone.rest.called.clear()
    for _ in range(5):  # without a release between: what a held key sends
        alone.page.keyboard.down("Escape")
    alone.page.keyboard.up("Escape")
    wait_for(lambda: "recorder/stop" in alone.rest.called, "the call")
    assert alone.rest.called.count("recorder/stop") == 1
