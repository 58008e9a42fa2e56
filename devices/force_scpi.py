"""Force on the cantilever, as the deflection voltage that a SCPI voltmeter reads (SCPI-99, MEASure and 9.9E37)."""

from devices.answers import number, quoted
from devices.errors import DeviceError, DeviceRejected, ProtocolError
from devices.settings import ScpiForceSettings
from devices.transport import Handshake, LineTransport

OVERLOAD_V = 9.9e37  # SCPI-99, 7.2.1.4: the value that stands for infinity
NOT_A_NUMBER_V = 9.91e37  # 7.2.1.5

HANDSHAKE = Handshake("*IDN?", r"^[^,]*,[^,]*,[^,]*,")  # four fields; a reading has none


class ScpiForce:
    """A voltmeter on the deflection signal; fulfils `ForceSensor`."""

    def __init__(self, name: str, settings: ScpiForceSettings) -> None:
        """Connect and take one reading to see that it works.

        Raises:
            DeviceLost, DeviceTimeout: nobody answers.
        """
        self.name = name
        self._nn_per_v = settings.sensitivity_nm_per_v * settings.stiffness_n_per_m  # nm/V * N/m
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
        volts = self._read_v()
        if abs(volts) >= OVERLOAD_V:
            raise DeviceRejected(self.name, "the detector is saturated (overload)")
        return volts * self._nn_per_v

    def close(self) -> None:
        """Close the line."""
        self._line.close()

    def _read_v(self) -> float:
        answer = self._line.ask("MEAS:VOLT:DC?")
        try:
            volts = number(answer)
        except ValueError as error:
            self._line.doubt()
            raise ProtocolError(self.name, f"MEAS:VOLT:DC? answered {quoted(answer)}") from error
        if volts == NOT_A_NUMBER_V:
            raise ProtocolError(self.name, "MEAS:VOLT:DC? answered 9.91E37, not a number")
        return volts
