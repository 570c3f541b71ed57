"""Reports what this machine can do, how full its caches are, and what training as in params.yaml costs."""
