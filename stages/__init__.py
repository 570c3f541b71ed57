"""Ungray: a DVC-managed workflow that turns any collection of photographs into a colorizer."""

import sys

from stages import privacy
from stages.command import demand_folder

privacy.silence_libraries()
if sys.argv[:1] == ["-m"]:  # Python is about to load one of our commands, and torch with it
    demand_folder()
