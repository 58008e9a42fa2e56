"""The morning report: what a run did, what it lost and why, on one page that needs nothing else."""
