"""Ungray: a DVC-managed workflow that turns any collection of photographs into a colorizer."""

from stages import privacy

privacy.silence_libraries()
