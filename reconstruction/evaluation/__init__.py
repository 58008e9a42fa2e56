"""Restorers held against each other on images, with and without a truth: tables and pictures."""
