"""What the camera device and the twin have agreed on.

A request is one line of JSON: `{"ask": "describe"}` or `{"ask": "expose", "exposure_s": 0.02}`. The answer is one
line of JSON, then `nbytes` bytes of pixels (little endian, row by row); `nbytes` is 0 where there are none.
A request that cannot be met is answered with `{"error": "...", "nbytes": 0}`.
"""

SHORTEST_EXPOSURE_S, LONGEST_EXPOSURE_S = 0.0005, 2.0
"""pco.edge 5.5, rolling shutter."""
PIXEL_TYPE = "<u2"
