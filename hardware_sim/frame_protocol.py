"""What the camera device and the twin have agreed on.

A request is one line of JSON, a message from the twin one line of JSON with `nbytes`, and so many bytes of pixels
(little endian, row by row) and the trailer, which tells a whole message from the halves of two.

- `{"ask": "describe"}`: answered by the sensor's `shape_px`, `speed`, `line_time_us` by pixel rate, `symmetric_region`.
- `{"ask": "expose", "frames": 3, "setup": {"exposure_s": 0.02}}`: a message for each frame as it comes; `"frames":
  null` goes on until stopped. `more` is false with the last one, and in a message without pixels when the sequence
  was stopped. A triggered sequence begins with `{"armed": true}`: from then on no edge is overlooked.
- `{"ask": "stop"}`: ends all sequences, this connection's and others', then is answered `{"stopped": true}`.

A request that cannot be met is answered with `{"error": "...", "more": false}`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SHORTEST_EXPOSURE_S, LONGEST_EXPOSURE_S = 0.0005, 2.0
"""pco.edge 5.5, rolling shutter."""
PIXEL_TYPE = "<u2"
TRAILER = b"END\n"
PixelRate = Literal["fast scan", "slow scan"]
Binning = Literal[1, 2, 4]
BINNINGS: tuple[Binning, ...] = (1, 2, 4)
MOST_FRAMES = 1_000_000_000


class Message(BaseModel):
    """Frozen, closed to unknown keys, and strict about types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Setup(Message):
    """How to expose."""

    exposure_s: float = Field(ge=SHORTEST_EXPOSURE_S, le=LONGEST_EXPOSURE_S)
    region: tuple[int, int, int, int] | None = None
    """Left, top, columns, rows in pixels of the sensor; None is all of it."""
    binning: Binning = 1
    """So many columns and rows are added up to one pixel."""
    trigger: Literal["internal", "external"] = "internal"
    pixel_rate: PixelRate = "fast scan"


class Describe(Message):
    """Ask what camera this is."""

    ask: Literal["describe"] = "describe"


class Expose(Message):
    """Ask for frames."""

    ask: Literal["expose"] = "expose"
    frames: Annotated[int, Field(ge=1, le=MOST_FRAMES)] | None = 1
    setup: Setup


class Stop(Message):
    """End what is under way."""

    ask: Literal["stop"] = "stop"


Request = Annotated[Describe | Expose | Stop, Field(discriminator="ask")]
REQUESTS: TypeAdapter[Describe | Expose | Stop] = TypeAdapter(Request)
