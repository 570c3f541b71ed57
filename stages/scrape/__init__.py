"""Photos get in: from a search, a folder, or the built-in sample, with one manifest row per attempt."""
