"""A listening test on a server: several listeners in Chromium, and one database."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import urllib.request

import pytest
from playwright.sync_api import expect

from blackbox_grad_adapters.style_matching.listening.answers import gathered
from blackbox_grad_adapters.style_matching.listening.page import read_test
from blackbox_grad_adapters.style_matching.listening.server import own_addresses
from tests.command_line import PROGRAM, succeed_here
from tests.style.listening.visits import SCORES


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
    expect(page.page.locator("#saved")).to_have_text("All your answers have arrived.")
    again.stop()
    # a server that has lost its answers gets them from the browser
    (tmp_path / "answers.db").unlink()
    again = served(pages["ab"], server.port)
    page.page.reload()
    page.page.get_by_role("button", name="Begin").click()
    expect(page.page.locator("#saved")).to_have_text("All your answers have arrived.")
    again.stop()
    with sqlite3.connect(tmp_path / "answers.db") as database:
        assert database.execute("SELECT count(*) FROM answers").fetchone() == (2,)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_the_database_is_whole_and_has_what_was_confirmed(number, pages, served, tmp_path):
    server = served(pages["ab"])
    _, test = read_test(pages["ab"])
    confirmed: list[str] = []

    def listener(name) -> None:
        for i in range(200):
            answer = {"trial": test.trials[0].id, "seconds": 1, "first": "near", "choice": "far"}
            body = json.dumps({"test": test.id, "listener": f"{name} {i}", "answer": answer}).encode()
            request = urllib.request.Request(server.address + "answers", body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    assert reply.status == 200
            except OSError:
                return
            confirmed.append(f"{name} {i}")

    threads = [threading.Thread(target=listener, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    while len(confirmed) < 10:
        threads[0].join(0.01)
        assert any(thread.is_alive() for thread in threads)
    server.process.send_signal(number)
    server.process.wait(60)
    for thread in threads:
        thread.join()
    with sqlite3.connect(tmp_path / "answers.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert {row[0] for row in database.execute("SELECT listener FROM answers")} >= set(confirmed)
    assert set(gathered([tmp_path / "answers.db"]).listeners) >= set(confirmed)


def test_only_this_computer_reaches_it_unless_told(pages, served, tmp_path):
    def reached(port) -> bool:
        try:
            with socket.create_connection((others[0], port), timeout=10):
                return True
        except OSError:
            return False

    others = [address for address in own_addresses() if not address.startswith("127.")]
    if not others:
        pytest.skip("this computer is on no network")
    assert not reached(served(pages["ab"]).port)
    command = [PROGRAM, "style", "listen", "serve", pages["ab"], "--port", "0", "--lan", "--database", tmp_path / "lan.db"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "for everybody on this network" in said
        assert reached(int(re.search(r":(\d+)/", said)[1]))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
