"""Presets: how long and how thoroughly to train, on whatever photos params.yaml names."""
