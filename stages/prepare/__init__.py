"""Prepares training data: photos of one size, split without leakage, with rotated copies in train."""
