"""Fit the model of SEM-NIQE that the package ships, on clean images of the twin's specimens.

python benchmarks/fit_sem_niqe.py [OUT.json]
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from api.twin import running_twin
from reconstruction.metrics.sem_niqe import PRISTINE, fit_pristine, save_model

SPECIMENS = ("alloy", "chip")
SEEDS = (101, 102)
PIXEL_NM = (40.0,)
SIDE_PX = 480
BLUR_PX = 0.6  # of the beam
ELECTRONS = 10_000  # in a white pixel: a long exposure, for what has no noise at all has no natural statistics either
OFFSETS_PX = (200, 1100, 2000)  # corners of the parts, along each axis


def clean_images() -> Iterator[np.ndarray]:
    """Parts of specimens (y, x) in 0..1 as a beam of some breadth shows them in a long exposure."""
    random = np.random.default_rng(1)
    for specimen in SPECIMENS:
        for seed in SEEDS:
            for pixel_nm in PIXEL_NM:
                options = ["--world", "still", "--specimen", specimen, "--seed", str(seed), "--pixel-nm", str(pixel_nm)]
                with running_twin(options) as twin:
                    image, _ = twin.world.specimen()
                for y in OFFSETS_PX:
                    for x in OFFSETS_PX:
                        part = image[y : y + SIDE_PX, x : x + SIDE_PX]
                        if part.shape == (SIDE_PX, SIDE_PX) and part.std() > 0:
                            seen = ndimage.gaussian_filter(part, BLUR_PX)
                            yield random.poisson(seen * ELECTRONS) / ELECTRONS


if __name__ == "__main__":
    source = (
        f"clean specimens of the twin: {', '.join(SPECIMENS)}; seeds {SEEDS}, pixels of {PIXEL_NM} nm, "
        f"blur {BLUR_PX} px, {ELECTRONS} electrons in white; benchmarks/fit_sem_niqe.py"
    )
    save_model(fit_pristine(clean_images(), 1.0, source), Path(sys.argv[1]) if sys.argv[1:] else PRISTINE)
