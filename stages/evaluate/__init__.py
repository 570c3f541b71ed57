"""Judges what ``colorize`` would give a user, compared with the gray photo and the mean color."""
