"""Recipes: ready-made settings, each a small YAML file of overrides for params.yaml."""
