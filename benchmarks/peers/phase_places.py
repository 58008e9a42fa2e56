"""The plain way: `cv2.phaseCorrelate` on every claimed overlap, and least squares."""

import cv2
import numpy as np
import places
import tifffile
from scipy import sparse
from scipy.sparse import linalg


def read(path: places.Path) -> np.ndarray:
    """Read a tile, (rows, columns) float32."""
    if path.suffix == ".tif":
        return tifffile.imread(path).astype(np.float32)
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32)


def stitch(files: list[places.Path], claimed: places.Places, reach_px: float, out: places.Path) -> places.Places:
    """Measure every pair as it is, believe all of them alike."""
    frames: dict[int, np.ndarray] = {}
    shape = read(files[0]).shape
    pairs = places.neighbours(claimed, shape)
    last = {index: position for position, pair in enumerate(pairs) for index in pair}
    measured = []
    for position, (first, second) in enumerate(pairs):
        for index in (first, second):
            if index not in frames:
                frames[index] = read(files[index])
        x, y = np.rint(claimed[second] - claimed[first]).astype(int)
        one, other = cut(frames[first], x, y), cut(frames[second], -x, -y)
        window = cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F)
        (dx, dy), _ = cv2.phaseCorrelate(one, other, window)
        measured.append((x - dx, y - dy))
        for index in (first, second):
            if last[index] == position:
                del frames[index]
    number = np.arange(len(pairs))
    ends = np.array(pairs)
    signs = sparse.csr_matrix(
        (np.repeat([-1.0, 1.0], len(pairs)), (np.tile(number, 2), ends.T.ravel())), (len(pairs), len(files))
    )
    free = signs[:, 1:]  # the first tile stays where it is
    normal = (free.T @ free).tocsc()
    solved = linalg.spsolve(normal, free.T @ np.array(measured))
    return np.vstack([np.zeros(2), solved]) + claimed[0]


def cut(frame: np.ndarray, x: int, y: int) -> np.ndarray:
    """Cut out what a tile displaced by (x, y) covers."""
    rows, columns = frame.shape
    return frame[max(y, 0) : rows + min(y, 0), max(x, 0) : columns + min(x, 0)]


if __name__ == "__main__":
    places.run(stitch)
