"""Scripted other ends of a wire: they say what a test tells them to, at the moment that it chooses, also nonsense."""

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

Answer = str | bytes | None | Callable[[], "Answer"]

SILENCE = None
HANG_UP = b"<hang up>"


class Peer:
    """A TCP server on loopback with one answer a command; `received` is what arrived, without its end.

    A thread a connection, so an answer that waits holds up its own connection only.

    `commands` splits what arrived: each match is one command. Commands without a script get no answer.
    """

    commands: re.Pattern[str]

    def __init__(self) -> None:
        self.received: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.connections = 0
        self._arrived = threading.Condition()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads.pop(0).join()
        self.hang_up()
        for thread in self._threads:
            thread.join()

    def say(self, text: bytes, connection: int = -1) -> None:
        """Send something that nobody has just asked for; lost, as on a wire, if nobody is connected any more."""
        with suppress(OSError):
            self._open[connection].sendall(text)

    def hang_up(self) -> None:
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_for(self, command: str, timeout_s: float = 5.0) -> None:
        """Return once a command that begins like this has arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: any(c.startswith(command) for c in self.received), timeout_s)

    def answer(self, command: str) -> Answer:
        """What to say to a command; by default its script."""
        return self.answers.get(command)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._talk, args=(connection,)))
            self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        pending = ""
        with connection, suppress(OSError):
            while piece := connection.recv(4096):
                pending += piece.decode("latin-1")
                while match := self.commands.match(pending):
                    pending = pending[match.end() :]
                    self._obey(connection, match[0].strip("\r\n "))

    def _obey(self, connection: socket.socket, command: str) -> None:
        with self._arrived:
            self.received.append(command)
            self._arrived.notify_all()
        answer = self.answer(command)
        while callable(answer):
            answer = answer()
        if answer == HANG_UP:
            connection.shutdown(socket.SHUT_RDWR)
        elif answer is not SILENCE:
            connection.sendall(answer if isinstance(answer, bytes) else answer.encode("latin-1"))


class GcsPeer(Peer):
    """Enough of a GCS 2.0 controller with three axes for a driver to connect; it always claims to have arrived."""

    commands = re.compile(r"[\x05\x07\x09\x18\x1b]|[^\n]*\n")

    def __init__(self) -> None:
        super().__init__()
        self.error = 0
        self.position_um = {"1": 0.0, "2": 0.0, "3": 0.0}
        self.answers = {
            "CSV?": "2.0\n",
            "ERR?": self._error_once,
            "TMN?": "1=0 \n2=0 \n3=0\n",
            "TMX?": "1=100 \n2=100 \n3=10\n",
            "VEL?": "1=1000 \n2=1000 \n3=1000\n",
            "ONT?": "1=1 \n2=1 \n3=1\n",
            "POS?": self._positions,
            "\x18": self._stop,
        }

    def answer(self, command: str) -> Answer:
        if command.startswith("MOV ") and command not in self.answers:
            words = command.split()[1:]
            self.position_um.update(zip(words[::2], map(float, words[1::2]), strict=True))
        return super().answer(command)

    def refuse(self, command: str, code: int, answer: Answer = SILENCE) -> None:
        """Leave a command unanswered and undone, and put a code where ERR? finds it."""

        def _refuse() -> Answer:
            self.error = code
            return answer

        self.answers[command] = _refuse

    def _error_once(self) -> str:
        code, self.error = self.error, 0
        return f"{code}\n"

    def _stop(self) -> None:
        self.error = 10

    def _positions(self) -> str:
        return " \n".join(f"{axis}={value:.9e}" for axis, value in self.position_um.items()) + "\n"


class LinePeer(Peer):
    """A line-oriented instrument: commands end with CR or LF, answers are given as scripted."""

    commands = re.compile(r"[^\r\n]*[\r\n]+")

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self.port}"


class EspPeer(LinePeer):
    """Enough of an ESP301 with one axis in millimetres for a driver to connect; it arrives at once."""

    def __init__(self) -> None:
        super().__init__()
        self.error = "0, 100, NO ERROR DETECTED"
        self.position_mm = 0.0
        self.answers = {
            "VE?": "ESP301 Version 3.1.1 12/11/17\r\n",
            "TB?": self._error_once,
            "1SN?": "2\r\n",
            "1SL?": "0\r\n",
            "1SR?": "100\r\n",
            "1VA?": "20\r\n",
            "1MD?": "1\r\n",
            "1TP?": lambda: f"{self.position_mm:.6f}\r\n",
        }

    def answer(self, command: str) -> Answer:
        if command.startswith("1PA") and command not in self.answers:
            self.position_mm = float(command[3:])
        return super().answer(command)

    def refuse(self, command: str, error: str) -> None:
        """Do nothing at a command but queue an error for TB?."""

        def _refuse() -> None:
            self.error = error

        self.answers[command] = _refuse

    def _error_once(self) -> str:
        error, self.error = self.error, "0, 100, NO ERROR DETECTED"
        return f"{error}\r\n"


class XpsPeer(Peer):
    """Enough of an XPS with a group `Z` in millimetres for a driver to connect; it arrives at once.

    Scripts go by the name of the function.
    """

    commands = re.compile(r"[^)]*\)")

    def __init__(self) -> None:
        super().__init__()
        self.position_mm = 50.0
        self.answers = {
            "Login": ok(),
            "PositionerUserTravelLimitsGet": ok("0", "100"),
            "PositionerSGammaParametersGet": ok("20", "80", "0.005", "0.05"),
            "GroupPositionCurrentGet": lambda: ok(f"{self.position_mm:.6f}"),
            "GroupStatusGet": ok("12"),
            "GroupMoveAbort": refused(-22),
            "GroupMoveAbsolute": ok(),
            "ErrorStringGet": ok("In words"),
        }
        self.under_way = threading.Event()

    def answer(self, command: str) -> Answer:
        function, _, arguments = command.partition("(")
        if function == "GroupMoveAbsolute" and self.answers[function] == ok():
            self.position_mm = float(arguments.rstrip(")").split(",")[1])
        return self.answers.get(function, refused(-1))

    def move_until_aborted(self) -> None:
        """Let the next motion call answer only when GroupMoveAbort comes, as one that was aborted."""
        aborted = threading.Event()

        def move() -> Answer:
            self.answers["GroupMoveAbort"] = abort
            self.under_way.set()
            return refused(-27) if aborted.wait(5.0) else SILENCE

        def abort() -> Answer:
            aborted.set()
            return ok()

        self.answers["GroupMoveAbsolute"] = self.answers["GroupHomeSearch"] = move


def ok(*values: str) -> str:
    """What an XPS answers when all is well."""
    return ",".join(["0", *values, "EndOfAPI"])


def refused(code: int) -> str:
    return f"{code},EndOfAPI"
