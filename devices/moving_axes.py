"""What every driver with axes does alike: begin a move, wait for it within its deadline, give way to a stop."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from devices.errors import DeviceError, DeviceTimeout, Stopped
from devices.moves import Move, spell
from devices.settling import Settling
from devices.troubles import overcoming


class MovingAxes(ABC):
    """The moving half of `Positioner`; a driver says how a move is begun and whether it has settled."""

    name: str
    stop_code: int | None = None  # the controller's own number for a move that was stopped

    def __init__(self) -> None:
        self._stop_token = object()
        self._move: Move | None = None
        self._settling = Settling()

    def start_move(self, targets_um: Mapping[str, float]) -> None:
        """Send the axes on their way; see `Positioner`."""
        self._move = self._begin(targets_um)

    def wait_settled(self) -> None:
        """Wait until the axes moved last have settled; see `Positioner`."""
        if self._move is not None:
            self._finish(self._move, self._is_settled)

    def move_to(self, targets_um: Mapping[str, float]) -> None:
        """Move and wait for this very move, whatever another thread begins meanwhile; see `Positioner`."""
        self._move = move = self._begin(targets_um)
        self._finish(move, self._is_settled)

    @abstractmethod
    def read_position_um(self) -> dict[str, float]:
        """Ask the hardware where all axes are."""

    @abstractmethod
    def home(self) -> None:
        """Search the zero; see `Homing`."""

    @abstractmethod
    def stop(self) -> None:
        """Stop all axes now; see `Positioner`."""

    def _home_at_connecting(self) -> None:
        """Home, and stop if that fails: whoever cannot connect leaves nothing travelling behind."""
        try:
            self.home()
        except BaseException:
            with overcoming(DeviceError):  # the first error is the one to raise
                self.stop()
            raise

    @abstractmethod
    def _begin(self, targets_um: Mapping[str, float]) -> Move:
        """Check the targets, send the command, and compute until when the move may take."""

    @abstractmethod
    def _is_settled(self, move: Move) -> bool:
        """Ask the hardware whether the move has come to its end, at its target."""

    def _finish(self, move: Move, has_ended: Callable[[Move], bool]) -> None:
        """Poll until the move has ended."""
        wait = self._settling.wait(move.began, move.ways_um)
        while not has_ended(move):
            if time.monotonic() > move.deadline:
                where = f"settled at {spell(move.targets_um)}" if move.targets_um else "at its end"
                raise DeviceTimeout(
                    self.name, f"at {spell(self.read_position_um())}, not {where} after {move.allowed_s:.3g} s"
                )
            wait.pause()
        wait.ended()

    def _refuse_after_stop(self, stop_token: object) -> None:
        if stop_token is not self._stop_token:
            raise Stopped(self.name, "stopped", self.stop_code)
