"""The digital twin: the other end of every wire, and the world behind it."""
