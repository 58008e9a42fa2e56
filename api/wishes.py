"""How jobs were told to end or to wait: on the disk before anybody is told so, until their runs are over."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from acquisition.durable import write_durably
from acquisition.states import Outcome
from api.errors import UsageError


@dataclass(frozen=True)
class Wish:
    """How a run is to end, and why it is to wait; a service that goes on with it has to honour both."""

    ending: Outcome | None = None
    pause: str | None = None


class Wishes:
    """The wishes of a data folder by run, whose names are never given twice; the queue may be another by then."""

    def __init__(self, path: Path) -> None:
        """Find what a service that died had acknowledged; a file that cannot be read holds no wish, and says so."""
        self._path = path
        self._memory, self._disk = threading.Lock(), threading.Lock()
        self.trouble: UsageError | None = None
        """Why a wish would not outlive the service, or did not."""
        self._lost: str | None = None  # why some of what was wished is not known
        self._wishes = self._read()
        self._known = set(self._wishes)  # runs of which all is known, whatever was lost

    def of(self, run: str | None) -> Wish:
        """What was wished of a run."""
        return self._wishes.get(run or "", Wish())

    def lost(self, run: str | None) -> str | None:
        """Why nobody knows what was wished of a run that an earlier service had begun; None: it is known."""
        return None if run in self._known else self._lost

    def begin(self, run: str) -> None:
        """Take note of a run of which nothing can have been lost."""
        self._known.add(run)

    def keep(self, run: str, wish: Wish) -> None:
        """Return once a wish would outlive the service, or `trouble` says why it would not."""
        self.begin(run)
        with self._memory:
            self._wishes = {**self._wishes, run: wish}
        self._write_down()

    def move(self, run: str, to: str) -> None:
        """Let what was wished of a run hold of another name."""
        if (wish := self.of(run)) != Wish():
            self.keep(to, wish)  # at no moment of neither
            self.forget(run)

    def forget(self, run: str | None) -> None:
        """Take away what was wished of a run that is over."""
        if run in self._wishes:
            with self._memory:
                self._wishes = {name: wish for name, wish in self._wishes.items() if name != run}
            self._write_down()

    def _write_down(self) -> None:
        with self._disk:
            standing = {run: vars(wish) for run, wish in self._wishes.items() if wish != Wish()}
            try:
                if standing:
                    write_durably(self._path, json.dumps(standing))
                else:
                    self._path.unlink(missing_ok=True)
                self.trouble = None
            except OSError as error:
                words = "what the running job was told is lost if the service dies"
                self.trouble = UsageError(f"{self._path}: {error.strerror}; {words}")

    def _read(self) -> dict[str, Wish]:
        """Give what can be read; of all other runs, the wishes are lost."""
        found: dict[str, Wish] = {}
        try:
            for run, said in json.loads(self._path.read_text()).items():
                try:
                    found[run] = _wish(**said)
                except (ValueError, TypeError):
                    self._miss()
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            self._miss()
        return found

    def _miss(self) -> None:
        self._lost = f"{self._path}: damaged; how jobs were told to end or to wait is lost"
        self.trouble = UsageError(self._lost)


def _wish(ending: str | None, pause: str | None) -> Wish:
    if not isinstance(pause, str | None):
        raise TypeError
    return Wish(None if ending is None else Outcome(ending), pause)
