"""Runs photo work in this process, in others of this machine, or on the workers of a Dask scheduler."""
