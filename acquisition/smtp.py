"""One exchange with a mail server that has to be over by a deadline, however slowly the server drips."""

import io
import smtplib
import socket
import ssl
import time
from typing import Any

from acquisition.deadline import Until, left_s


class Exchange(smtplib.SMTP):
    """A connection on which every step has what is left until the deadline; only names are looked up without one."""

    def __init__(self, host: str, port: int, within_s: float, **more: Any) -> None:
        """Connect, under our own name as it stands: looking it up can take minutes.

        Raises:
            OSError: nobody there, or not in time.
        """
        self._deadline_s = time.monotonic() + within_s
        super().__init__(host, port, socket.gethostname(), timeout=within_s, **more)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(Until(self.sock, self._deadline_s))
        return super().getreply()

    def send(self, s: Any) -> None:
        if self.sock is not None:
            try:
                self.sock.settimeout(left_s(self._deadline_s))
            except TimeoutError as error:
                self.close()
                raise smtplib.SMTPServerDisconnected(str(error)) from error
        super().send(s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        found: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        found.settimeout(left_s(self._deadline_s))  # of TLS
        return found


class SafeExchange(smtplib.SMTP_SSL, Exchange):
    """The same, encrypted from the first byte."""

    def __init__(self, host: str, port: int, within_s: float) -> None:
        self._deadline_s = time.monotonic() + within_s
        context = ssl.create_default_context()
        smtplib.SMTP_SSL.__init__(self, host, port, socket.gethostname(), timeout=within_s, context=context)
