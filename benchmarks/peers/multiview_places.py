"""multiview-stitcher: registration of all pairs side by side and its global optimisation; no mosaic (minutes more)."""

import numpy as np
import places
import skimage.io
import tifffile
from multiview_stitcher import msi_utils, registration, spatial_image_utils


def stitch(files: list[places.Path], claimed: places.Places, reach_px: float, out: places.Path) -> places.Places:
    """Register with its defaults; of its ways to find the pairs the one for grids that are not quite regular.

    It takes a reach as well (`overlap_tolerance`): told 30 px, it accepts wrong pairs on set A and is 13 px off.
    """
    views = []
    for path, (x, y) in zip(files, claimed, strict=True):
        frame = tifffile.imread(path) if path.suffix == ".tif" else skimage.io.imread(path)
        image = spatial_image_utils.get_sim_from_array(
            frame[None],
            dims=["c", "y", "x"],
            scale={"y": 1, "x": 1},
            translation={"y": y, "x": x},
            transform_key="stage",
        )
        views.append(msi_utils.get_msim_from_sim(image, scale_factors=[]))
    found = registration.register(
        views,
        transform_key="stage",
        new_transform_key="placed",
        reg_channel_index=0,
        pre_registration_pruning_method="keep_axis_aligned",
    )
    moved = np.array([np.asarray(matrix).reshape(3, 3)[:2, 2] for matrix in found])
    return claimed + moved[:, ::-1]


if __name__ == "__main__":
    places.run(stitch)
