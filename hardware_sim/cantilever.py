"""The probe above the specimen: a sphere on a spring that snaps in, holds on, and lets go."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hardware_sim.clock import Clock
from hardware_sim.contact import NM_PER_UM, SphereContact, Values
from hardware_sim.felt_surface import felt_by_sphere
from hardware_sim.force_watch import ForceWatch
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
        self,
        settings: CantileverSettings,
        surface: Surface,
        scanner: Scanner,
        clock: Clock,
        seed: int,
        raised_um: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Hang above a surface; `raised_um` tells how much higher than usual the holder of the probe is now."""
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
        self._raised_um = raised_um
        self._seen_raised_um = raised_um()
        self._watch = ForceWatch(self.contact)
        self._runaways: list[Runaway] = []
        scanner.on_motion(lambda axis: self.follow())

    def force_nn(self) -> float:
        """Force between specimen and probe now; positive pushes the probe up, negative is adhesion."""
        with self._lock:
            now_s, raised_um = np.array([self._follow()]), np.array([self._seen_raised_um])
            return self.settings.stiffness_n_per_m * float(self._deflections_nm(now_s, raised_um, self._touching)[0])

    def touches(self) -> bool:
        """Whether the probe is in contact now."""
        with self._lock:
            self._follow()
            return self._touching

    def gap_nm(self, at_s: float | None = None) -> float:
        """Distance between the specimen and the probe with its spring at rest; now, if no time is given.

        Its holder is taken to be where it is now.
        """
        times_s = np.array([self._clock.now_s() if at_s is None else at_s])
        return float(self._gaps_nm(times_s, np.array([self._raised_um()]))[0])

    def watch_force(self, over_nn: float) -> None:
        """Begin to watch for forces above a limit."""
        with self._lock:
            self._follow()
            self._watch.begin(over_nn)

    def watched_force(self) -> dict[str, Any]:
        """Tell what was seen since the watch began."""
        with self._lock:
            self._follow()
            return self._watch.report()

    def volts(self, aperture_s: float = 0.0) -> float:
        """Let the detector average over `aperture_s` of world time from now on, and read it."""
        with self._lock:
            start_s = self._follow()
            touching, raised_um = self._touching, self._seen_raised_um
        self._clock.sleep_until_s(start_s + aperture_s)
        times_s = start_s + np.linspace(0.0, aperture_s, LOOKS_IN_APERTURE if aperture_s else 1)
        with self._lock:
            self._follow()
            ways_um = np.linspace(raised_um, self._seen_raised_um, len(times_s))
            deflection_nm = float(self._deflections_nm(times_s, ways_um, touching).mean())
            return self._lever.volts(deflection_nm, start_s, aperture_s)

    def run_away(self, nn_per_s: float, for_s: float) -> None:
        """Let the surface come up so that the force of a probe in contact grows at this rate."""
        with self._lock:
            rate_nm_per_s = nn_per_s / self.settings.stiffness_n_per_m
            self._runaways.append(Runaway(self._clock.now_s(), for_s, rate_nm_per_s))

    @cached_property
    def _surface(self) -> Surface:
        """What the sphere feels; worked out when it first comes near, if nobody asked before."""
        return felt_by_sphere(self._bare_surface, self.settings.sphere_radius_um)

    def prepare(self) -> None:
        """Work out now what the sphere feels: it takes a while, and no controller may be that late with an answer."""
        with self._lock:
            _ = self._surface

    def follow(self) -> None:
        """Find out what the probe has touched until now; asked whenever something that carries it turns round."""
        with self._lock:
            self._follow()

    def _follow(self) -> float:
        """Find out whether the probe has touched or let go since it was last seen; returns the time now."""
        now_s = self._clock.now_s()
        if now_s > self._seen_s:
            looks = min(max(math.ceil((now_s - self._seen_s) / LONGEST_STEP_S), 1), MOST_LOOKS)
            raised_um = self._raised_um()  # in between it went straight: the way turns only where somebody looks
            self._see(
                np.linspace(self._seen_s, now_s, looks + 1),
                np.linspace(self._seen_raised_um, raised_um, looks + 1),
            )
            self._seen_s, self._seen_raised_um = now_s, raised_um
        return now_s

    def _see(self, times_s: Values, raised_um: Values) -> None:
        if not self._touching and self._far_off(times_s, raised_um):
            return
        gaps_nm = self._gaps_nm(times_s, raised_um)
        self._watch.look(times_s, gaps_nm)
        self._touching = bool(self.contact.touches_along(gaps_nm, self._touching)[-1])

    def _far_off(self, times_s: Values, raised_um: Values) -> bool:
        """Whether a probe that did not touch cannot have come near the specimen, wherever on it it was."""
        highest_z_um = float(self._scanner.reported_um_at(2, times_s).max() - raised_um.min())
        nearest_nm = (self.settings.contact_height_um - highest_z_um - self._highest_um) * NM_PER_UM
        return nearest_nm - self._risen_nm(float(times_s[-1])) > FAR_OFF_NM

    def _deflections_nm(self, times_s: Values, raised_um: Values, touching: bool) -> Values:
        """Bend of the spring at each of `times_s`, for a probe that did or did not touch just before."""
        if not touching and self._far_off(times_s, raised_um):
            return np.zeros(len(times_s))
        gaps_nm = self._gaps_nm(times_s, raised_um)
        touches = self.contact.touches_along(gaps_nm, touching)
        drags_nm = self._drags_nn(times_s, gaps_nm) / self.settings.stiffness_n_per_m
        return np.array(
            [
                self.contact.touching_deflection_nm(gap_nm) if here else self._free_deflection_nm(gap_nm) + drag_nm
                for gap_nm, here, drag_nm in zip(gaps_nm.tolist(), touches, drags_nm, strict=True)
            ]
        )

    def _free_deflection_nm(self, gap_nm: float) -> float:
        return self.contact.free_deflection_nm(gap_nm) if gap_nm < OUT_OF_REACH_NM else 0.0

    def _drags_nn(self, times_s: Values, gaps_nm: Values) -> Values:
        """Push of the medium that is squeezed out under the sphere: 6 pi eta R^2 v / d (Taylor)."""
        z_um = self._scanner.reported_um_at(2, np.concatenate([np.maximum(times_s - SPEED_OVER_S, 0.0), times_s]))
        speeds_um_per_s = (z_um[len(times_s) :] - z_um[: len(times_s)]) / SPEED_OVER_S
        radius_m, films_m = self.settings.sphere_radius_um * 1e-6, np.maximum(gaps_nm, SMALLEST_FILM_NM) * 1e-9
        viscosity_pa_s = self.settings.viscosity_mpa_s * 1e-3
        drags_nn: Values = 6 * math.pi * viscosity_pa_s * radius_m**2 * speeds_um_per_s * 1e-6 / films_m * 1e9
        return drags_nn

    def _gaps_nm(self, times_s: Values, raised_um: Values) -> Values:
        places_um = self._scanner.true_um_at(times_s)
        surface_um = places_um[:, 2] + self._heights_um(places_um[:, :2])
        gaps_nm: Values = (self.settings.contact_height_um + raised_um - surface_um) * NM_PER_UM
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
