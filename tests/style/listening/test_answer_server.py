"""The server of a listening test against clients of every kind, and its database."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
import threading

import pytest

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.listening import database as databases
from blackbox_grad_adapters.style_matching.listening.answers import gathered
from blackbox_grad_adapters.style_matching.listening.database import Database
from blackbox_grad_adapters.style_matching.listening.page import read_test
from blackbox_grad_adapters.style_matching.listening.server import MOST_BYTES, Server
from tests.command_line import fail_here

JSON = {"Content-Type": "application/json"}


class Running:
    def __init__(self, page, path) -> None:
        self.path = path
        self.database = Database(path)
        content, self.test = read_test(page)
        self.server = Server(content, self.test, self.database, "127.0.0.1", 0)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def ask(self, method, path, body=None, headers=None):
        """Status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        kind = reply.headers.get_content_type()
        return reply.status, json.loads(content) if kind == "application/json" else content

    def answer(self, listener="anna", near=80.0, trial="1", **more):
        ratings = dict.fromkeys(self.test.trial(trial).systems, 50.0) | {"near": near}
        sent = {"test": self.test.id, "listener": listener, "answer": {"trial": trial, "seconds": 3.5, "ratings": ratings}}
        return sent | more

    def send(self, sent, headers=JSON):
        return self.ask("POST", "/answers", json.dumps(sent), headers)

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def rows(self):
        with sqlite3.connect(self.path) as connection:
            return connection.execute("SELECT listener, trial, answer FROM answers ORDER BY listener, trial").fetchall()


@pytest.fixture
def running(pages, tmp_path):
    made = Running(pages["mushra"], tmp_path / "answers.db")
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.database.close()


def test_the_page_is_that_of_the_file_but_for_the_address_of_answers(running, pages):
    status, page = running.ask("GET", "/")
    own = pages["mushra"].read_bytes()
    assert status == 200
    assert page == own.replace(b'<meta name="collector" content="">', b'<meta name="collector" content="answers">')
    assert page != own


def test_an_answer_is_kept_and_a_later_one_replaces_it(running):
    assert running.send(running.answer(near=80)) == (200, {"kept": "1"})
    assert running.send(running.answer(near=70)) == (200, {"kept": "1"})
    assert running.send(running.answer(listener=" ben ")) == (200, {"kept": "1"})
    assert running.send(running.answer(trial="2")) == (200, {"kept": "2"})
    assert [(listener, trial, json.loads(answer)["ratings"]["near"]) for listener, trial, answer in running.rows()] == [
        ("anna", "1", 70.0),
        ("anna", "2", 80.0),
        ("ben", "1", 80.0),
    ]
    assert running.ask("GET", "/listener?name=anna") == (200, {"answered": ["1", "2"]})
    assert running.ask("GET", "/listener?name=nobody") == (200, {"answered": []})
    with sqlite3.connect(running.path) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(answers)")]
    assert columns == ["test", "listener", "trial", "answer"]  # nothing else of a person
    assert set(json.loads(running.rows()[0][2])) == {"trial", "seconds", "ratings"}


def changed(field, value):
    """An answer with one field that is wrong."""
    return lambda sent: sent | {field: value} if field in sent else sent | {"answer": sent["answer"] | {field: value}}


def rating(value):
    return lambda sent: changed("ratings", sent["answer"]["ratings"] | {"near": value})(sent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("test", "other"), "another test"),
        (changed("test", None), "another test"),
        (changed("listener", ""), "1 to 40 printable"),
        (changed("listener", "x" * 41), "1 to 40 printable"),
        (changed("listener", "a\nb"), "1 to 40 printable"),
        (changed("listener", "\ud800"), "1 to 40 printable"),
        (changed("listener", ["anna"]), "1 to 40 printable"),
        (changed("answer", None), "an object"),
        (changed("answer", [1]), "an object"),
        (changed("trial", "3"), "no trial '3'"),
        (changed("trial", {"a": 1}), "no trial"),
        (changed("seconds", -1), "seconds must be"),
        (changed("seconds", "1"), "seconds must be"),
        (changed("ratings", {}), "a rating of each"),
        (changed("ratings", 7), "a rating of each"),
        (rating(101), "from 0 to 100"),
        (rating(-0.1), "from 0 to 100"),
        (rating(float("nan")), "from 0 to 100"),
        (rating(True), "from 0 to 100"),
        (rating("80"), "from 0 to 100"),
        (rating(None), "from 0 to 100"),
        (rating(10**400), "from 0 to 100"),
        (lambda sent: changed("ratings", sent["answer"]["ratings"] | {"more": 1})(sent), "a rating of each"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_said(running, change, said):
    status, reply = running.send(change(running.answer()))
    assert status == 400
    assert said in reply["error"]
    assert running.rows() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'"a"', b"\xff\xfe", b"[" * 50_000, b'{"test": 1e999}'])
def test_a_body_that_is_no_answer_is_refused(running, body):
    status, reply = running.ask("POST", "/answers", body, JSON | {"Content-Length": str(len(body))})
    assert status == 400
    assert reply["error"]
    assert running.send(running.answer())[0] == 200


def test_what_is_too_long_or_of_another_site_is_refused_before_it_is_read(running):
    sent = json.dumps(running.answer())
    own = f"127.0.0.1:{running.server.port}"
    for headers, status in (
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (JSON | {"Origin": "http://elsewhere.example"}, 403),
        (JSON | {"Origin": f"https://{own}"}, 403),
        (JSON | {"Origin": "null"}, 403),
        (JSON | {"Host": "elsewhere.example"}, 403),
        (JSON | {"Host": "[::"}, 403),
        (JSON | {"Host": ""}, 403),
        (JSON | {"Origin": f"http://{own}"}, 200),
        (JSON | {"Host": f"localhost:{running.server.port}"}, 200),
    ):
        assert running.ask("POST", "/answers", sent, headers)[0] == status, headers
    assert running.ask("GET", "/", headers={"Host": "elsewhere.example"})[0] == 403
    head = f"POST /answers HTTP/1.1\r\nHost: {own}\r\nContent-Type: application/json\r\n"
    for length, status in ((str(MOST_BYTES + 1), 413), ("9" * 30, 413), ("-5", 411), ("x", 411), ("²", 411), ("", 411)):
        said = running.raw(f"{head}Content-Length: {length}\r\n\r\n".encode("latin-1", "replace"))
        assert said.startswith(b"HTTP/1.0 %d " % status), (length, said[:80])
    assert running.raw(f"{head}\r\n".encode()).startswith(b"HTTP/1.0 411 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET //[ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET /listener?" + b"name=a&" * 50 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /listener?name=%ff%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"DELETE /answers HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /answers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        bytes(range(256)),
    ],
)
def test_a_malformed_request_is_no_trouble(running, request_, capsys):
    said = running.raw(request_)
    assert b" 200 " not in said.partition(b"\r\n")[0]
    assert running.send(running.answer())[0] == 200
    assert "Traceback" not in capsys.readouterr().err


def test_many_silent_clients_stop_nobody_for_long(running):
    silent = [socket.create_connection(("127.0.0.1", running.server.port)) for _ in range(20)]
    try:
        assert running.send(running.answer())[0] == 200
    finally:
        for one in silent:
            one.close()


def test_answers_that_arrive_together_are_all_kept(running):
    names = [f"listener {i}" for i in range(16)]
    threads = [threading.Thread(target=running.send, args=(running.answer(listener=name),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(listener for listener, _, _ in running.rows()) == sorted(names)


def test_there_is_an_end_to_listeners(running, monkeypatch):
    monkeypatch.setattr(databases, "MOST_LISTENERS", 2)
    assert [running.send(running.answer(listener=name))[0] for name in ("a", "b", "c", "a")] == [200, 200, 400, 200]


def test_a_database_that_cannot_take_an_answer_says_so_and_goes_on(running):
    with sqlite3.connect(running.path) as other:
        other.execute("DROP TABLE answers")
        other.commit()
    status, reply = running.send(running.answer())
    assert status == 503
    assert "cannot be kept" in reply["error"]
    Database(running.path).close()  # makes the table again
    assert running.send(running.answer())[0] == 200


def test_a_failed_answer_leaves_the_database_as_it_was(running):
    running.send(running.answer())
    kept = running.rows()
    with sqlite3.connect(running.path) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        other.commit()
        assert running.send(running.answer(near=3))[0] == 503
        assert running.rows() == kept
        other.execute("DROP TRIGGER full")
        other.commit()
    assert running.send(running.answer(near=3))[0] == 200
    assert running.rows() != kept


def test_the_database_is_read_while_it_is_written(running):
    running.send(running.answer())
    found = gathered([running.path])
    assert found.listeners["anna"]["1"]["ratings"]["near"] == 80.0
    assert found.test == running.test


def test_a_port_and_a_database_that_cannot_be_used_are_named(running, pages, tmp_path, capsys):
    listen = ("style", "listen", "serve", pages["mushra"], "--database")
    assert f"port {running.server.port} cannot be used" in fail_here(
        capsys, *listen, tmp_path / "b.db", "--port", str(running.server.port)
    )
    (tmp_path / "text.db").write_text("no database, but text that is long enough to be looked at")
    assert "is no database" in fail_here(capsys, *listen, tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE mine (a)")
    assert "database of something else" in fail_here(capsys, *listen, tmp_path / "other.db")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    assert "does not exist" in fail_here(capsys, *listen, tmp_path / "none" / "a.db")
    for name, content in (("page.html", "<p>a page"), ("cut.html", pages["mushra"].read_text()[:-100_000])):
        (tmp_path / name).write_text(content)
        said = fail_here(capsys, "style", "listen", "serve", tmp_path / name)
        assert "is no page of a listening test" in said
        assert not (tmp_path / name).with_suffix(".db").exists()
    with pytest.raises(AudioError, match="no page of a listening test"):
        read_test(running.path)
