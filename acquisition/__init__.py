"""What to take, in what order, safely, and where it goes."""
