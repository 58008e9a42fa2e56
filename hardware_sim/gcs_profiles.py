"""The two PI controllers that the twin can be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """What tells one controller from another."""

    identity: str
    """`*IDN?`."""
    firmware: str
    """`VER?`."""
    axes: tuple[str, ...]
    """Names of x, y, z."""
    has_online_switch: bool
    """`ONL`: the front panel or the computer commands a channel."""
    has_wave_generator: bool
    """And with it triggers and the data recorder."""


E727 = Profile(
    identity="(c)2015 Physik Instrumente (PI) GmbH & Co. KG, E-727.3CDA, 0116054321, 13.21.00.09",
    firmware="FW: V13.21.00.09",
    axes=("1", "2", "3"),
    has_online_switch=False,
    has_wave_generator=True,
)
E517 = Profile(
    identity="(c)2013 Physik Instrumente (PI) GmbH & Co. KG, E-517, 0113027654, 01.243",
    firmware="FW: V01.243",
    axes=("A", "B", "C"),
    has_online_switch=True,
    has_wave_generator=False,
)
