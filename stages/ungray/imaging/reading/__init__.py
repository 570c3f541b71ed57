"""Reads photo files of many kinds into one form: all of their pixels, alpha, color profile, metadata."""
