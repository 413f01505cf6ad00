"""A small web server for one page: it hands out a listening test and takes in answers.

`GET /` is the page, `GET /listener?name=…` the trials that this listener has answered, and `POST /answers` takes one answer.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.listening.database import Database
from blackbox_grad_adapters.style_matching.listening.description import AnswerError, Description, check_answer, check_listener
from blackbox_grad_adapters.style_matching.listening.page import collecting

#: Bytes of an answer. The largest, with twelve ratings of long names, has a few thousand.
MOST_BYTES = 1 << 16

#: Requests that are served at a time.
_AT_A_TIME = 128

#: Seconds that a client has for each part of a request.
_PATIENCE = 20.0

_JSON, _HTML = "application/json", "text/html; charset=utf-8"


class Server(ThreadingHTTPServer):
    """Serves a test until `shutdown`.

    Args:
        page, test: from `read_test`.
        address: of this computer to listen at; "" is all of them.
        port: 0 takes a free one.
        on_answer: called after each kept answer.

    Raises:
        AudioError: the port is not free.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # a class that begins together

    def __init__(
        self,
        page: bytes,
        test: Description,
        database: Database,
        address: str,
        port: int,
        on_answer: Callable[[], object] = lambda: None,
    ) -> None:
        self.page, self.test, self.database, self.on_answer = collecting(page, "answers"), test, database, on_answer
        self._free = threading.BoundedSemaphore(_AT_A_TIME)
        database.open_test(test)
        try:
            super().__init__((address, port), _Handler)
        except OSError as error:
            raise AudioError(f"port {port} cannot be used ({error.strerror}); give another one, or --port 0 for any") from error

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a fault of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _PATIENCE
    protocol_version = "HTTP/1.0"  # a connection for each request: none is held open
    server_version, sys_version = "blackbox-grad", ""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if not self._is_ours():
            self._refuse(HTTPStatus.FORBIDDEN, "this server is reached by its number or as localhost")
        elif path == "/":
            self._send(HTTPStatus.OK, self.server.page, _HTML)
        elif path == "/listener":
            self._answering(lambda: self._known(parse_qs(query, max_num_fields=4).get("name", [""])[0]))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is only the test here")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "the length of the answer is missing")
        elif len(length) > 9 or int(length) > MOST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an answer has at most {MOST_BYTES} bytes")
        elif not self._is_ours():
            self._refuse(HTTPStatus.FORBIDDEN, "answers come from the page of this server")
        elif self.headers.get_content_type() != _JSON:
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an answer is JSON")
        elif self.path != "/answers":
            self._refuse(HTTPStatus.NOT_FOUND, "answers go to /answers")
        else:
            body = self.rfile.read(int(length))
            self._answering(lambda: self._keep(body))

    def _known(self, name: str) -> dict[str, Any]:
        return {"answered": self.server.database.answered(self.server.test, check_listener(name))}

    def _keep(self, body: bytes) -> dict[str, Any]:
        try:
            sent = json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise AnswerError("the answer is no JSON") from error
        if not isinstance(sent, dict):
            raise AnswerError("the answer is no object")
        if sent.get("test") != self.server.test.id:
            raise AnswerError("the answer is to another test; load the page again")
        listener, answer = check_listener(sent.get("listener")), check_answer(self.server.test, sent.get("answer"))
        self.server.database.keep(self.server.test, listener, answer)
        self.server.on_answer()
        return {"kept": answer["trial"]}

    def _answering(self, work: Callable[[], dict[str, Any]]) -> None:
        try:
            found = work()
        except AnswerError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except (ValueError, UnicodeError):
            self._refuse(HTTPStatus.BAD_REQUEST, "the request cannot be read")
        except sqlite3.Error as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"the answer cannot be kept now ({error})")
        else:
            self._send(HTTPStatus.OK, json.dumps(found).encode(), _JSON)

    def _is_ours(self) -> bool:
        """Not sent by a page of another site, nor through a name that another site points at this computer."""
        own, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        try:
            host = urlsplit(f"//{own}").hostname or ""
        except ValueError:
            return False
        if origin is not None and origin != f"http://{own}":
            return False
        return host in ("localhost", socket.gethostname().lower()) or _is_number(host)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._send(status, json.dumps({"error": message}).encode(), _JSON)

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep no record of who asked."""


def own_addresses() -> list[str]:
    """The addresses by which other computers of this network reach this one."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # an address of no computer: nothing is sent
            return [str(probe.getsockname()[0])]
    except OSError:
        return []


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
