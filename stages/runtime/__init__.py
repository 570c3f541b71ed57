"""Where photo work runs: in this process, in others of this machine, or on a Dask scheduler's workers."""
