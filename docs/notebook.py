# %% [markdown]
# # A scan from a notebook
# Against the simulated rig: `nanoraster serve --sim --data try`, and in another window this file, cell by cell.

# %%
import os

import numpy as np

from api.client import NanorasterError, connect, plan, print_progress

scope = connect(
    os.environ.get("NANORASTER_URL", "http://127.0.0.1:8600"),
    token=os.environ.get("NANORASTER_TOKEN"),  # not needed on loopback as long as there is none
    data=os.environ.get(
        "NANORASTER_DATA"
    ),  # the service's folder, if this machine has it: mosaics are zarr arrays then
)
print(scope.status().state, [(device.name, device.ok) for device in scope.devices()])

# %% [markdown]
# What a plan amounts to, and what stands in its way, before anything moves. A plan file does as well.

# %%
pads = plan(x_um=(4, 20), y_um=(4, 18), overlap=0.2, exposure_ms=10, name="pads")
expected = scope.preview(pads)
print(expected.tiles, "tiles in about", expected.duration_s, "s;", expected.problems or "nothing stands in the way")

try:
    scope.submit(plan(x_um=(4, 400), y_um=(4, 18)))
except NanorasterError as refusal:
    print("refused:", refusal.errors)

# %% [markdown]
# Nobody else commands meanwhile. The job can be paused, told to go on, to skip a tile or to end.

# %%
with scope.lease(seconds=60):
    job = scope.submit(pads)
    job.wait(print_progress)
run = job.run

# %% [markdown]
# Every attempt at a tile, as the journal has it; and the events, each once, from any number on.

# %%
tiles = list(run.tiles())
print(len(tiles), "attempts;", {tile["verdict"] for tile in tiles})
first = next(scope.events(after=0))
print(first.seq, first.run, first.kind)

# %% [markdown]
# The mosaic, (y, x): a zarr array where the folder of the service is at hand, elsewhere what the page shows, in 8 bit.

# %%
mosaic = run.mosaic("raw")
corner = np.asarray(mosaic[:256, :256])
print(mosaic.shape, mosaic.dtype, corner.mean())

# %% [markdown]
# The same with another model, beside the first; and the report, a page of its own.

# %%
run.reconstruct("nlm")
print(sorted(run.layers()))
report = run.report()
print(len(report), "characters of HTML")

# %%
scope.close()
