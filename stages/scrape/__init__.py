"""Gathers photos from a search, a folder, a data set or the built-in sample, one manifest row per attempt."""
