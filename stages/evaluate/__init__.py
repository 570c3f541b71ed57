"""Judging: what ``colorize`` would hand a user, beside the gray photo and the mean color."""
