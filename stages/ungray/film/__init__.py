"""Films: read and written by PyAV, a part at a time; their colors are from ungray.imaging.propagation."""
