"""The errors that the person at the keyboard, or the caller, can mend."""


class UngrayError(Exception):
    """One sentence: what is wrong, where, and the way out. Shown without a traceback; exit code 1."""


class ArgumentError(UngrayError, ValueError):
    """An argument from Python that makes no sense: of another type or shape, or out of its range."""
