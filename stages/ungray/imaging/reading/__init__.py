"""Photo files of many kinds read into one shape: all of their pixels, alpha, colour profile, metadata."""
