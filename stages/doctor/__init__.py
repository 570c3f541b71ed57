"""What this machine can do, how full its caches are, and what a training as params.yaml has it would cost."""
