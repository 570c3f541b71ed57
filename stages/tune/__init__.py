"""Random search over training's params: trials in a shared study, the table of them, and the best one."""
