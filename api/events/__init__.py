"""What happens in all runs of a data folder, in one numbered sequence, for those who follow it."""
