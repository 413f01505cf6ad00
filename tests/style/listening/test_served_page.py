"""A listening test on a server: several listeners in Chromium, and one database."""

from __future__ import annotations

import json
import sqlite3

from playwright.sync_api import expect

from tests.command_line import succeed_here
from tests.style.listening.visits import PATIENCE, SCORES


def test_served_to_several_listeners(visit, pages, served, tmp_path, capsys):
    server = served(pages["mushra"])
    for name in ("hans", "ida"):
        page = visit(server.address)
        page.begin(name)
        page.ready()
        page.rate()
        page.next()
        page.ready("Trial 1 of 2")
        page.rate()
        page.next()
        page.ready("Trial 2 of 2")
        if name == "hans":
            page.rate(SCORES | {"far": 51})
            page.next()
            expect(page.page.locator("#saved")).to_have_text("All your answers have arrived.")
            page.page.get_by_role("button", name="Back").click()  # and corrects it
            page.ready("Trial 2 of 2")
            page.rate()
            page.next()
            expect(page.page.locator("#saved")).to_have_text("All your answers have arrived.")
    # in another browser, under the same name
    page = visit(server.address)
    page.begin("ida")
    expect(page.page.locator("#taken")).to_contain_text("“ida” has answered 1 of 2 trials")
    page.page.get_by_role("button", name="Continue").click()
    page.ready("Trial 2 of 2")
    page.rate()
    page.next()
    expect(page.page.locator("#saved")).to_have_text("All your answers have arrived.")
    assert {url for url in page.asked if not url.startswith(server.address)} == set()
    assert "4 answers of 2 listeners" in server.stop()
    found = json.loads(succeed_here(capsys, "style", "listen", "results", tmp_path / "answers.db", "--json"))
    assert {m["system"]: (m["value"], m["ratings"]) for m in found["means"] if m["effect"] == ""} == {
        system: (score, 4) for system, score in SCORES.items()
    }


def test_answers_wait_for_a_server_that_was_gone(visit, pages, served, tmp_path):
    server = served(pages["ab"])
    page = visit(server.address)
    page.begin("jan")
    page.ready("Trial 1 of 2")
    server.stop()
    for trial in (1, 2):
        page.ready(f"Trial {trial} of 2")
        for key in "RAB1":
            page.page.keyboard.press(key)
        page.next()
    expect(page.page.locator("#saved")).to_contain_text("2 of your answers have not arrived")
    expect(page.page.get_by_role("alert")).to_contain_text("An answer has not arrived")
    again = served(pages["ab"], server.port)
    page.page.get_by_role("button", name="Send again").click()
    expect(page.page.locator("#saved")).to_have_text("All your answers have arrived.", timeout=PATIENCE)
    again.stop()
    with sqlite3.connect(tmp_path / "answers.db") as database:
        assert database.execute("SELECT count(*) FROM answers").fetchone() == (2,)
