"""One thread a test process: several would wait for each other longer than such small networks take."""

import torch

torch.set_num_threads(1)
