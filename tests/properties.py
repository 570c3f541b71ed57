"""Hypothesis: the same examples in every run, and no record of them in the working tree."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

__all__ = ["example", "given", "st"]

settings.register_profile("ungray", derandomize=True, database=None, deadline=None)
settings.load_profile("ungray")
