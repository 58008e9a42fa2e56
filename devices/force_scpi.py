"""Force on the cantilever, as the deflection voltage that a SCPI voltmeter reads (SCPI-99, MEASure and 9.9E37)."""

import time

from devices.answers import number, quoted
from devices.deflection import Deflection
from devices.errors import DeviceError, DeviceLost, DeviceRejected, ProtocolError, Saturated
from devices.settings import ScpiForceSettings
from devices.transport import Handshake, LineTransport

OVERLOAD_V = 9.9e37  # SCPI-99, 7.2.1.4: the value that stands for infinity
NOT_A_NUMBER_V = 9.91e37  # 7.2.1.5

HANDSHAKE = Handshake("*IDN?", r"^[^,]*,[^,]*,[^,]*,")  # four fields; a reading has none
NEXT_ERROR = "SYST:ERR?"


class ScpiForce:
    """A voltmeter on the deflection signal; fulfils `ForceSensor`."""

    def __init__(self, name: str, settings: ScpiForceSettings) -> None:
        """Connect, set the aperture if there is one to set, and take one reading to see that it works.

        Raises:
            DeviceLost, DeviceTimeout: nobody answers.
            DeviceRejected: the voltmeter does not take the aperture.
        """
        self.name = name
        self._aperture_s = settings.aperture_s
        self._configured = settings.aperture_s is None
        # MEASure sets the voltmeter to its defaults, READ leaves what CONFigure and SENSe set (SCPI-99, volume 2)
        self._query = "MEAS:VOLT:DC?" if settings.aperture_s is None else "READ?"
        self._deflection = Deflection(name, settings)
        self._line = LineTransport(
            name,
            settings.url,
            HANDSHAKE,
            send_end=b"\n",
            receive_end=b"\n",
            answer_s=settings.answer_s,
            baudrate=settings.baudrate,
        )
        try:
            self._read_v()
        except DeviceError:
            self.close()
            raise

    def read_force_nn(self) -> float:
        """Measure once; see `ForceSensor`."""
        asked_s = time.monotonic()
        volts = self._read_v()
        if abs(volts) >= OVERLOAD_V:
            raise Saturated(self.name, "the detector is saturated (overload)")
        return self._deflection.force_nn([volts], asked_s)

    def close(self) -> None:
        """Close the line."""
        self._line.close()

    def _read_v(self) -> float:
        try:
            if not self._configured:
                self._configure()
            return self._measure()
        except DeviceLost:
            self._configured = self._aperture_s is None  # it may come back with its defaults
            raise

    def _configure(self) -> None:
        for command in ("*CLS", "CONF:VOLT:DC", f"SENS:VOLT:DC:APER {self._aperture_s:g}"):
            self._line.tell(command)
        answer = self._line.ask(NEXT_ERROR)
        code, _, text = answer.partition(",")
        try:
            refused = int(code)
        except ValueError as error:
            self._line.doubt()
            raise ProtocolError(self.name, f"{NEXT_ERROR} answered {quoted(answer)}") from error
        if refused:
            raise DeviceRejected(self.name, f"aperture_s = {self._aperture_s:g}: {text.strip()}", refused)
        self._configured = True

    def _measure(self) -> float:
        answer = self._line.ask(self._query)
        try:
            volts = number(answer)
        except ValueError as error:
            self._line.doubt()
            raise ProtocolError(self.name, f"{self._query} answered {quoted(answer)}") from error
        if volts == NOT_A_NUMBER_V:
            raise ProtocolError(self.name, f"{self._query} answered 9.91E37, not a number")
        return volts
