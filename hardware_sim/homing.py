"""The ways of a home search: fast to a switch and past it, slowly back to its edge, on to the next index mark."""

import math
from dataclasses import replace

from hardware_sim.focus_drive import HOME_SWITCH_MM, INDEX_PITCH_MM, LIMIT_SWITCHES_MM
from hardware_sim.trapezoid import Leg

HOME_INDEX, HOME, UPPER, LOWER, UPPER_INDEX, LOWER_INDEX = range(1, 7)
SLOWLY = 0.1
"""Of the search speed, for the way back to the edge."""
LONGEST_OVERRUN_MM = 0.8
"""The edge of the home switch is 1.5 mm from that of the limit switch."""
BACK_OFF_MM = 1.0


def search(mode: int, from_mm: float, fast: Leg) -> list[Leg]:
    """Plan a search; `mode` is that of OR, `fast` tells speed and acceleration.

    The edges of the limit switches are approached, not passed: passing one switches the motor off.
    """
    slow = replace(fast, speed_mm_per_s=fast.speed_mm_per_s * SLOWLY)
    lower_mm, upper_mm = LIMIT_SWITCHES_MM
    if mode in (HOME, HOME_INDEX):
        edge_mm = HOME_SWITCH_MM
        overrun_mm = min(fast.speed_mm_per_s**2 / (2 * fast.deceleration_mm_per_s2), LONGEST_OVERRUN_MM)
        beyond_mm = edge_mm - math.copysign(overrun_mm, from_mm - edge_mm)
        legs = [replace(fast, target_mm=beyond_mm), replace(slow, target_mm=edge_mm)]
    else:
        up = mode in (UPPER, UPPER_INDEX)
        edge_mm = upper_mm if up else lower_mm
        back_mm = edge_mm - BACK_OFF_MM if up else edge_mm + BACK_OFF_MM
        legs = [replace(leg, target_mm=at_mm) for leg, at_mm in ((fast, edge_mm), (fast, back_mm), (slow, edge_mm))]
    if mode in (HOME_INDEX, UPPER_INDEX, LOWER_INDEX):
        legs.append(replace(slow, target_mm=_next_index_mm(edge_mm, downwards=mode == UPPER_INDEX)))
    return legs


def _next_index_mm(edge_mm: float, downwards: bool) -> float:
    marks = edge_mm / INDEX_PITCH_MM
    return (math.floor(marks) if downwards else math.ceil(marks)) * INDEX_PITCH_MM
