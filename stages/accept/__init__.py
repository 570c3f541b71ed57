"""Commits code changes that do not change outputs to dvc.lock, without running stages on the real data."""
