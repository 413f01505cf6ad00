"""Pages that are open in Chromium, and the server that serves one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

from playwright.sync_api import expect

from tests.command_line import PROGRAM

#: Of everything that waits for a page, milliseconds.
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)

#: How a pretend listener rates.
SCORES = {"reference": 98, "near": 80, "far": 50, "dry": 20, "anchor70": 60, "anchor35": 30}


class Visit:
    """A page that is open in a browser of its own."""

    def __init__(self, browser, address, context=None, **options) -> None:
        self.context = context or browser.new_context(accept_downloads=True, **options)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address if isinstance(address, str) else address.as_uri())

    def begin(self, name) -> None:
        self.page.get_by_label("Choose a name").fill(name)
        self.page.get_by_role("button", name="Begin").click()

    def ready(self, heading=None) -> None:
        if heading is not None:
            expect(self.page.locator("#heading")).to_have_text(heading)
        self.page.locator("#play:enabled").wait_for()

    def hidden(self) -> list[str]:
        """The systems of the open trial, in the order of the screen."""
        return list(self.page.evaluate("current().hidden"))

    def rate(self, scores=SCORES) -> None:
        """Listen to all sounds and rate them, by mouse or finger."""
        self.page.get_by_role("button", name="Reference").click()
        for number, system in enumerate(self.hidden(), start=1):
            row = self.page.locator(".sound").nth(number - 1)
            row.get_by_role("button").click()
            row.get_by_role("slider").fill(str(scores[system]))

    def next(self) -> None:
        self.page.get_by_role("button", name="Next").click()

    def answers(self, folder) -> dict:
        with self.page.expect_download() as waiting:
            self.page.get_by_role("button", name="Save the answers").click()
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return {"path": path, **json.loads(path.read_text("utf-8"))}


class Served:
    """`style listen serve`, running."""

    def __init__(self, page, database, port=0) -> None:
        command = [PROGRAM, "style", "listen", "serve", page, "--port", str(port), "--database", database]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        self.address = found[0]
        self.port = int(self.address.rstrip("/").rpartition(":")[2])

    def stop(self) -> str:
        """What it said at the end."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 130
        return said
