"""What can stand between people and the rig; in each case nothing moved."""


class NoSuchDevice(LookupError):
    """The rig has no device of that name."""


class RigTaken(RuntimeError):
    """The rig is not for people now."""


class BeyondLimits(ValueError):
    """A target outside of what an axis may do, or may do by hand."""


class HandRefused(RuntimeError):
    """Not by hand, or not now."""
