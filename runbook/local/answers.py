"""A small HTTP server for one loopback address, as the metadata service has several of."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class NoAnswer(Exception):
    """The connection ends without an answer, as one whose packets do not come as far as the asker."""


@dataclass(frozen=True)
class Answer:
    text: str
    status: int = 200
    kind: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()


class Server(ThreadingHTTPServer):
    """One address; what asks there is answered by `answer`, each in a thread of its own."""

    daemon_threads = True
    block_on_close = False
    timeout = 0

    def __init__(self, address: tuple[str, int], answer: Callable[["Handler"], Answer]):
        self.answer = answer
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address


class Handler(BaseHTTPRequestHandler):
    """Says nothing on the cloud's log: a path of the credential endpoint is a secret."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    server_version, sys_version = "EC2ws", ""

    def answer(self) -> None:
        """What a web page may have made a browser send, by a rebound name (Host) or from afar (Origin), is refused:
        such a page could send the headers of IMDSv2, too.
        """
        self.close_connection, self.path = True, self.path.partition("?")[0]
        own = f"{self.server.server_name}:{self.server.server_port}"
        try:
            if self.headers.get_all("Host") != [own] or "Origin" in self.headers:
                answer = failed(HTTPStatus.FORBIDDEN)
            else:
                answer = self.server.answer(self)
        except NoAnswer:
            return
        body = answer.text.encode()
        self.send_response(answer.status)
        sent = {"Content-Type": answer.kind, "Content-Length": str(len(body)), "Connection": "close"}
        for name, value in (*sent.items(), *answer.headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


def failed(status: HTTPStatus) -> Answer:
    return Answer(f"{int(status)} - {status.phrase}", int(status))


def refused(code: str, message: str, status: HTTPStatus) -> Answer:
    body = {"code": code, "message": message, "HTTPErrorCode": int(status)}
    return Answer(json.dumps(body), int(status), "application/json")
