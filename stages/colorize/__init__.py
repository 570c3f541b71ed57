"""Using a trained model on photos."""
