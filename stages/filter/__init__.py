"""Selects photos that can be decoded, are large enough, have colors to learn, and are no duplicates."""
