"""A sphere on a spring above a flat: where it rests, and where it jumps.

Derjaguin, Muller, Toporov (J. Colloid Interface Sci. 53, 1975): adhesion 2 pi R W acts at contact and Hertz repulsion
on top of it; farther off van der Waals attraction C / d^2, which equals that adhesion at the atomic distance. In air a
meniscus adds 4 pi R gamma cos(theta) as long as the two touch. Lengths nm, forces nN; 1 N/m is 1 nN/nm, 1 GPa is
1 nN/nm^2.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_sim.settings import CantileverSettings

Values = NDArray[np.float64]

ATOMIC_DISTANCE_NM = 0.165
"""Israelachvili, Intermolecular and Surface Forces, chapter 13."""
NM_PER_UM = 1000.0
NN_PER_MJ_PER_M2_NM = 1e-3
"""1 mJ/m2 times 1 nm."""
ROUNDS = 20
"""Of Newton's method on a convex function, at most; it is exact to rounding after some six."""
EXACT_NM = 1e-12


@dataclass(frozen=True)
class SphereContact:
    """The balance of one sphere and one spring; `gap_nm` is the distance with the spring at rest."""

    stiffness_n_per_m: float
    radius_nm: float
    modulus_gpa: float
    dispersion_nn: float
    """Van der Waals adhesion at contact."""
    meniscus_nn: float

    @classmethod
    def of(cls, settings: CantileverSettings) -> "SphereContact":
        """Read what is needed from the settings."""
        radius_nm = settings.sphere_radius_um * NM_PER_UM
        return cls(
            stiffness_n_per_m=settings.stiffness_n_per_m,
            radius_nm=radius_nm,
            modulus_gpa=settings.contact_modulus_gpa,
            dispersion_nn=2 * math.pi * radius_nm * settings.work_of_adhesion_mj_per_m2 * NN_PER_MJ_PER_M2_NM,
            meniscus_nn=settings.meniscus_nn,
        )

    @property
    def adhesion_nn(self) -> float:
        """What holds the sphere when it touches; pulling it off takes this force."""
        return self.dispersion_nn + self.meniscus_nn

    @property
    def _attraction_nn_nm2(self) -> float:
        return self.dispersion_nn * ATOMIC_DISTANCE_NM**2

    @property
    def _critical_distance_nm(self) -> float:
        """Where the gradient of the attraction equals the spring's stiffness."""
        return float(np.cbrt(2 * self._attraction_nn_nm2 / self.stiffness_n_per_m))

    @property
    def snaps_in_below_nm(self) -> float:
        """Gap at which a free sphere jumps into contact."""
        return max(1.5 * self._critical_distance_nm, ATOMIC_DISTANCE_NM)

    @property
    def pulls_off_above_nm(self) -> float:
        """Gap at which the spring pulls harder than the adhesion."""
        return ATOMIC_DISTANCE_NM + self.adhesion_nn / self.stiffness_n_per_m

    def free_deflection_nm(self, gap_nm: float) -> float:
        """Deflection (negative: towards the specimen) out of contact: the outer root of k (d - gap) = -C / d^2."""
        distance_nm = gap_nm
        for _ in range(ROUNDS):
            rest = self.stiffness_n_per_m * (distance_nm - gap_nm) + self._attraction_nn_nm2 / distance_nm**2
            slope = self.stiffness_n_per_m - 2 * self._attraction_nn_nm2 / distance_nm**3
            if slope <= 0:
                break  # as close as it can hang
            distance_nm = max(distance_nm - rest / slope, self._critical_distance_nm)
        return distance_nm - gap_nm

    def touching_deflection_nm(self, gap_nm: float) -> float:
        """Bend so that 4/3 E sqrt(R) i^1.5 + k i = adhesion + k (atomic distance - gap), for indentation i."""
        stiffness = self.stiffness_n_per_m
        hertz = 4 / 3 * self.modulus_gpa * math.sqrt(self.radius_nm)
        load_nn = max(self.adhesion_nn + stiffness * (ATOMIC_DISTANCE_NM - gap_nm), 0.0)
        indentation_nm = min(math.pow(load_nn / hertz, 2 / 3), load_nn / stiffness)
        for _ in range(ROUNDS):
            root = math.sqrt(indentation_nm)
            rest = (hertz * root + stiffness) * indentation_nm - load_nn
            before_nm, slope = indentation_nm, 1.5 * hertz * root + stiffness
            indentation_nm = max(before_nm - rest / slope, 0.0)
            if abs(indentation_nm - before_nm) < EXACT_NM:
                break
        return ATOMIC_DISTANCE_NM - indentation_nm - gap_nm

    def gap_at_nm(self, force_nn: float) -> float:
        """Gap at which a touching probe is pushed by this force: `touching_deflection_nm`, the other way round."""
        hertz = 4 / 3 * self.modulus_gpa * math.sqrt(self.radius_nm)
        indentation_nm = math.pow(max(self.adhesion_nn + force_nn, 0.0) / hertz, 2 / 3)
        return ATOMIC_DISTANCE_NM - indentation_nm - force_nn / self.stiffness_n_per_m

    def touches_along(self, gaps_nm: Values, touching: bool) -> NDArray[np.bool_]:
        """Follow a series of gaps: whether the sphere touches at each, when it did or did not before the first."""
        caught, freed = gaps_nm < self.snaps_in_below_nm, gaps_nm > self.pulls_off_above_nm
        decided_at = np.maximum.accumulate(np.where(caught | freed, np.arange(len(gaps_nm)), -1))
        touches: NDArray[np.bool_] = np.where(decided_at < 0, touching, caught[decided_at])
        return touches
