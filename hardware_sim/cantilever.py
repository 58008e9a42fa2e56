"""The probe above the specimen: a sphere on a spring that snaps in, holds on, and lets go."""

import math
import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hardware_sim.clock import Clock
from hardware_sim.contact import NM_PER_UM, SphereContact, Values
from hardware_sim.felt_surface import felt_by_sphere
from hardware_sim.mechanics import Scanner
from hardware_sim.optical_lever import OpticalLever
from hardware_sim.settings import CantileverSettings
from hardware_sim.surface import Surface

LONGEST_STEP_S = 2e-4
"""Between two looks at the gap while the stage moves: 1 um at its fastest, and a move slows down before it ends."""
MOST_LOOKS = 4000
SURFACE_POINTS = 64
"""Heights that are looked up along a lateral way; between them the surface is taken as straight."""
LOOKS_IN_APERTURE = 16
SPEED_OVER_S = 1e-4
OUT_OF_REACH_NM = 200.0
"""Farther off than this a probe that does not touch feels no attraction worth computing."""
FAR_OFF_NM = 2000.0
"""Farther off than this it feels nothing at all: no drag either, and no tilt or drift brings it near."""
SMALLEST_FILM_NM = 10.0
"""Where the drag of the squeezed film stops growing: the sphere is not smooth."""


@dataclass(frozen=True)
class Runaway:
    """The surface comes up by itself for a while, and stays up."""

    start_s: float
    for_s: float
    nm_per_s: float


class Cantilever:
    """Knows at every moment whether the probe touches, whatever was asked when; safe to use from any thread."""

    def __init__(
        self, settings: CantileverSettings, surface: Surface, scanner: Scanner, clock: Clock, seed: int
    ) -> None:
        self.settings = settings
        self.contact = SphereContact.of(settings)
        self._bare_surface = surface
        self._highest_um = float(surface.specimen.coarse_height_um.max())
        self._scanner = scanner
        self._clock = clock
        self._lever = OpticalLever(settings, seed)
        self._lock = threading.Lock()
        self._touching = False
        self._seen_s = 0.0
        self._runaways: list[Runaway] = []
        scanner.on_motion(lambda axis: self._follow_until_now())

    def force_nn(self) -> float:
        """Force between specimen and probe now; positive pushes the probe up, negative is adhesion."""
        with self._lock:
            return self.settings.stiffness_n_per_m * self._deflection_nm(self._follow())

    def touches(self) -> bool:
        """Whether the probe is in contact now."""
        with self._lock:
            self._follow()
            return self._touching

    def gap_nm(self) -> float:
        """Distance now between the specimen and the probe with its spring at rest."""
        return float(self._gaps_nm(np.array([self._clock.now_s()]))[0])

    def volts(self, aperture_s: float = 0.0) -> float:
        """Let the detector average over `aperture_s` of world time from now on, and read it."""
        start_s = self._clock.now_s()
        ends_s = start_s + np.linspace(0.0, aperture_s, LOOKS_IN_APERTURE if aperture_s else 1)
        deflections_nm = []
        for time_s in ends_s:
            self._clock.sleep_until_s(float(time_s))
            with self._lock:
                deflections_nm.append(self._deflection_nm(self._follow()))
        with self._lock:
            return self._lever.volts(math.fsum(deflections_nm) / len(deflections_nm), start_s, aperture_s)

    def run_away(self, nn_per_s: float, for_s: float) -> None:
        """Let the surface come up so that the force of a probe in contact grows at this rate."""
        with self._lock:
            rate_nm_per_s = nn_per_s / self.settings.stiffness_n_per_m
            self._runaways.append(Runaway(self._clock.now_s(), for_s, rate_nm_per_s))

    @cached_property
    def _surface(self) -> Surface:
        """What the sphere feels; worked out when it first comes near."""
        return felt_by_sphere(self._bare_surface, self.settings.sphere_radius_um)

    def _follow_until_now(self) -> None:
        with self._lock:
            self._follow()

    def _follow(self) -> float:
        """Find out whether the probe has touched or let go since it was last seen; returns the time now."""
        now_s = self._clock.now_s()
        if now_s > self._seen_s:
            looks = min(max(math.ceil((now_s - self._seen_s) / LONGEST_STEP_S), 1), MOST_LOOKS)
            self._touching = self._touches_after(np.linspace(self._seen_s, now_s, looks + 1))
            self._seen_s = now_s
        return now_s

    def _touches_after(self, times_s: Values) -> bool:
        if self._far_off(times_s):
            return False
        return self.contact.touches_after(self._gaps_nm(times_s), self._touching)

    def _far_off(self, times_s: Values) -> bool:
        """Whether a probe that does not touch cannot have come near the specimen, wherever on it it was."""
        if self._touching:
            return False
        highest_z_um = float(self._scanner.reported_um_at(2, times_s).max())
        nearest_nm = (self.settings.contact_height_um - highest_z_um - self._highest_um) * NM_PER_UM
        return nearest_nm - self._risen_nm(float(times_s[-1])) > FAR_OFF_NM

    def _deflection_nm(self, time_s: float) -> float:
        if self._far_off(np.array([time_s])):
            return 0.0
        gap_nm = float(self._gaps_nm(np.array([time_s]))[0])
        if self._touching:
            return self.contact.touching_deflection_nm(gap_nm)
        bent_nm = self.contact.free_deflection_nm(gap_nm) if gap_nm < OUT_OF_REACH_NM else 0.0
        return bent_nm + self._drag_nn(time_s, gap_nm) / self.settings.stiffness_n_per_m

    def _drag_nn(self, time_s: float, gap_nm: float) -> float:
        """Push of the medium that is squeezed out under the sphere: 6 pi eta R^2 v / d (Taylor)."""
        before_s = max(time_s - SPEED_OVER_S, 0.0)
        z_um = self._scanner.reported_um_at(2, np.array([before_s, time_s]))
        speed_um_per_s = float(z_um[1] - z_um[0]) / SPEED_OVER_S
        radius_m, film_m = self.settings.sphere_radius_um * 1e-6, max(gap_nm, SMALLEST_FILM_NM) * 1e-9
        viscosity_pa_s = self.settings.viscosity_mpa_s * 1e-3
        return 6 * math.pi * viscosity_pa_s * radius_m**2 * speed_um_per_s * 1e-6 / film_m * 1e9

    def _gaps_nm(self, times_s: Values) -> Values:
        places_um = self._scanner.true_um_at(times_s)
        surface_um = places_um[:, 2] + self._heights_um(places_um[:, :2])
        gaps_nm: Values = (self.settings.contact_height_um - surface_um) * NM_PER_UM
        if self._runaways:
            gaps_nm -= np.array([self._risen_nm(float(time_s)) for time_s in times_s])
        return gaps_nm

    def _heights_um(self, places_um: Values) -> Values:
        """Height of the surface along a way (n, 2), looked up at a few of its points."""
        chosen = np.unique(np.linspace(0, len(places_um) - 1, SURFACE_POINTS).round().astype(int))
        if np.ptp(places_um, axis=0).max() < self._surface.specimen.pixel_um / 10:
            chosen = chosen[-1:]
        heights_um = [self._surface.height_um(float(x_um), float(y_um)) for x_um, y_um in places_um[chosen]]
        return np.interp(np.arange(len(places_um)), chosen, heights_um)

    def _risen_nm(self, time_s: float) -> float:
        return sum(
            runaway.nm_per_s * min(max(time_s - runaway.start_s, 0.0), runaway.for_s) for runaway in self._runaways
        )
