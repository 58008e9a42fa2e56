"""Architectures, one a file; each takes and gives normalised grey values."""
