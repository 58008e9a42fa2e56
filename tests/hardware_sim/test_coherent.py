"""Laser light: propagation against closed forms, and the diffraction images that follow from it."""

import numpy as np
import pytest

from hardware_sim.coherent import propagated, propagator
from hardware_sim.optics import Microscope
from hardware_sim.settings import load_world
from hardware_sim.specimen import Specimen, load_specimen

WAVELENGTH_UM = 0.633


def centred_um(count: int, pixel_um: float) -> np.ndarray:
    return (np.arange(count) - count // 2) * pixel_um


def test_a_gaussian_beam_spreads_as_it_must() -> None:
    waist_um, distance_um, pixel_um, side = 4.0, 100.0, 0.25, 512
    x_um = centred_um(side, pixel_um)
    field = np.exp(-np.add.outer(x_um**2, x_um**2) / waist_um**2).astype(np.complex64)
    arrived = propagated(field, propagator((side, side), pixel_um, WAVELENGTH_UM, distance_um))
    rayleigh_um = np.pi * waist_um**2 / WAVELENGTH_UM
    width_um = waist_um * np.hypot(1, distance_um / rayleigh_um)
    expected = (waist_um / width_um) ** 2 * np.exp(-2 * np.add.outer(x_um**2, x_um**2) / width_um**2)
    # the closed form is paraxial: divergence 0.05, its square is what is neglected
    assert np.abs(arrived) ** 2 == pytest.approx(expected, abs=0.003)


def test_no_energy_is_lost_on_the_way() -> None:
    x_um = centred_um(256, 0.25)
    field = np.exp(-np.add.outer(x_um**2, x_um**2) / 16.0).astype(np.complex64)
    for distance_um in (0.0, 1.0, 30.0):
        arrived = propagated(field, propagator((256, 256), 0.25, WAVELENGTH_UM, distance_um))
        energy = (np.abs(arrived) ** 2).sum() / (np.abs(field) ** 2).sum()
        assert energy == pytest.approx(1.0, abs=1e-4)  # single precision


def test_going_back_undoes_going_there() -> None:
    x_um = centred_um(256, 0.25)
    field = (np.exp(-np.add.outer(x_um**2, x_um**2) / 9.0) * (1 + 0.5j)).astype(np.complex64)
    there, back = (propagator((256, 256), 0.25, WAVELENGTH_UM, distance_um) for distance_um in (20.0, -20.0))
    assert propagated(propagated(field, there), back) == pytest.approx(field, abs=1e-4)


def test_a_slit_throws_its_zeros_where_fraunhofer_has_them() -> None:
    slit_um, distance_um, pixel_um, side = 5.0, 400.0, 0.25, 2048
    x_um = centred_um(side, pixel_um)
    opening = np.tile((np.abs(x_um) <= slit_um / 2).astype(np.complex64), (8, 1))
    arrived = propagated(opening, propagator(opening.shape, pixel_um, WAVELENGTH_UM, distance_um))
    line = np.abs(arrived[4]) ** 2
    width_um = (np.abs(x_um) <= slit_um / 2).sum() * pixel_um
    for order in (1, 2):
        sine = order * WAVELENGTH_UM / width_um
        zero_um = distance_um * sine / np.sqrt(1 - sine**2)
        near = np.abs(x_um - zero_um) < 15.0
        # the far field begins at some width^2 / wavelength = 40 um: the zeros are where they belong, to 2 %
        assert x_um[near][line[near].argmin()] == pytest.approx(zero_um, rel=0.02)


def test_what_the_sampling_cannot_carry_is_cut_off() -> None:
    transfer = propagator((64, 64), 0.1, WAVELENGTH_UM, 1000.0)
    frequency = np.abs(np.fft.fftfreq(64, 0.1))
    step = 1 / 6.4
    limit = 1 / (WAVELENGTH_UM * np.sqrt((2 * step * 1000.0) ** 2 + 1))  # Matsushima & Shimobaba 2009, eq. 13
    assert np.array_equal(np.abs(transfer[0]) > 0.5, frequency <= limit)


def test_the_aperture_ends_the_spectrum() -> None:
    transfer = propagator((256, 256), 0.1, WAVELENGTH_UM, 1.0, na=0.5)
    frequency = np.fft.fftfreq(256, 0.1)
    passed = np.hypot(frequency[:, None], frequency[None, :])[np.abs(transfer) > 0.5]
    assert passed.max() == pytest.approx(0.5 / WAVELENGTH_UM, rel=0.02)  # the steps of the spectrum


def film(opened: np.ndarray) -> Specimen:
    """Units of 180 nm on pixels of 20 nm, in the middle of a film without end."""
    reflectance = np.zeros((600, 600), dtype=np.float32)
    pattern = np.kron(opened, np.ones((9, 9)))
    top, left = 300 - pattern.shape[0] // 2, 300 - pattern.shape[1] // 2
    reflectance[top : top + pattern.shape[0], left : left + pattern.shape[1]] = pattern
    return Specimen("film", 0.02, reflectance, np.zeros((150, 150), dtype=np.float32))


def diffraction(opened: np.ndarray, x_um: float = 6.0, y_um: float = 6.0) -> np.ndarray:
    world = load_world("diffraction")
    return Microscope(film(opened), world.camera, world.optics).render(x_um, y_um).astype(float)


def test_frames_are_those_of_opticalnet() -> None:
    world = load_world("diffraction")
    microscope = Microscope(load_specimen("blocks", 100.0, 0), world.camera, world.optics)
    image = microscope.render(40.0, 40.0)
    assert image.shape == (64, 64)
    assert microscope.pixel_um == pytest.approx(0.0417)


def test_a_film_without_walls_peaks_at_one_and_a_closed_one_is_dark() -> None:
    assert diffraction(np.ones((60, 60))).max() == pytest.approx(1.0, rel=0.01)
    assert diffraction(np.zeros((3, 3))).max() == pytest.approx(0.0, abs=1e-6)


def test_more_openings_let_more_light_through() -> None:
    one, three, nine = (
        diffraction(opened).sum() for opened in (np.diag([0, 1, 0]), np.diag([1, 1, 1]), np.ones((3, 3)))
    )
    assert one < three < nine


def test_the_image_depends_on_openings_beside_the_target() -> None:
    alone, surrounded = np.zeros((7, 7)), np.ones((7, 7))
    alone[2:5, 2:5] = surrounded[2:5, 2:5] = np.eye(3)
    assert np.abs(diffraction(alone) - diffraction(surrounded)).max() > 0.05


def test_the_beam_stays_and_the_specimen_moves() -> None:
    # one opening, moved by a unit: the light comes from where the opening is, weaker as it leaves the beam
    centre, moved = diffraction(np.ones((1, 1))), diffraction(np.ones((1, 1)), x_um=6.18)
    columns = np.arange(64)
    at_px = [float((image.sum(axis=0) * columns).sum() / image.sum()) for image in (centre, moved)]
    assert moved.sum() < 0.9 * centre.sum()
    assert at_px[1] - at_px[0] == pytest.approx(-0.18 / 0.0417, rel=0.25)  # the beam's own slope bends it
