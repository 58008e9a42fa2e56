"""One way to talk to each thing on the rig: blocking drivers behind three protocols."""
