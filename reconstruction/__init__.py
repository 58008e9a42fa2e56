"""Frames with nominal positions in, one restored and zoomable mosaic out; knows no device, no job and no HTTP."""
