"""One exchange with a web server that has to be over by a deadline, however slowly the server drips."""

import io
import socket
import time
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import (
    BaseHandler,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from acquisition.deadline import Until, left_s


def opener(within_s: float, *handlers: BaseHandler) -> OpenerDirector:
    """For one exchange, all of which, its redirects included, ends within `within_s` or in a TimeoutError.

    It opens http and https alone, no files. Only the look-up of a name is left to the resolver's own deadline.
    """
    deadline_s = time.monotonic() + within_s
    found = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        _Http(deadline_s),
        _Https(deadline_s),
        *handlers,
    ):
        found.add_handler(handler)
    return found


class _Connection(HTTPConnection):
    """A connection on which every step has what is left until the deadline."""

    deadline_s = float("inf")

    def connect(self) -> None:
        self.timeout = left_s(self.deadline_s)
        super().connect()
        self.sock.settimeout(left_s(self.deadline_s))  # of TLS

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(left_s(self.deadline_s))
        super().send(data)

    def response_class(self, sock: socket.socket, *args: Any, **keys: Any) -> HTTPResponse:  # type: ignore[override]
        answer = HTTPResponse(sock, *args, **keys)
        answer.fp.close()
        answer.fp = io.BufferedReader(Until(sock, self.deadline_s))
        return answer


class _SafeConnection(HTTPSConnection, _Connection):
    """The same, encrypted."""


def _made(kind: type[_Connection], deadline_s: float) -> Any:
    """What `do_open` makes connections with."""

    def connection(host: str, **how: Any) -> _Connection:
        found = kind(host, **how)
        found.deadline_s = deadline_s
        return found

    return connection


class _Http(HTTPHandler):
    def __init__(self, deadline_s: float) -> None:
        super().__init__()
        self._deadline_s = deadline_s

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_made(_Connection, self._deadline_s), req)


class _Https(HTTPSHandler):
    def __init__(self, deadline_s: float) -> None:
        super().__init__()
        self._deadline_s = deadline_s

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_made(_SafeConnection, self._deadline_s), req)
