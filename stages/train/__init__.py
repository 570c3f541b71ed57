"""Training: the data, the losses, the loop and its checkpoints."""
