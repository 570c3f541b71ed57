"""Photo files of many kinds read into one shape: all of their pixels, alpha, color profile, metadata."""
