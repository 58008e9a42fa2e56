"""How good an image is: against its truth, against what it was made of, on its own. One family of metrics a file."""
