"""What can be wrong with a request for a twin."""


class UsageError(ValueError):
    """What was asked for cannot be built; the message is one line with name, value and range."""
