"""Training of restoration networks: what they learn from, and how."""
