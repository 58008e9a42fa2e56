"""What a caller may have to tell its user."""


class InputError(ValueError):
    """What was given cannot be used; the message is one line with the file, the value and the range."""
