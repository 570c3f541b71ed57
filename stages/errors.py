"""The error that the person at the keyboard can mend."""


class UngrayError(Exception):
    """One sentence: what is wrong, where, and the way out. Shown without a traceback; exit code 1."""
