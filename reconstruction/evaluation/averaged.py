"""Models that make more pixels, held against truths that have no more than the frame."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.restore import Restorer


class Averaged:
    """What a model of a larger scale makes, averaged over the pixels that lie on one of the frame; fulfils `Restorer`.

    A pixel of a detector is such an average, too. How far it may be off is not known of averages.
    """

    scale = 1

    def __init__(self, model: Restorer) -> None:
        self._model = model
        self.name = model.name
        self.sha256 = model.sha256
        self.halo_px = model.halo_px

    def restore(self, frame: NDArray[Any]) -> NDArray[Any]:
        rows, columns = frame.shape
        made = self._model.restore(frame).astype(np.float32)
        return np.rint(cv2.resize(made, (columns, rows), interpolation=cv2.INTER_AREA)).astype(frame.dtype)
