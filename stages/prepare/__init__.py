"""What training sees: photos of one size, split so that nothing leaks, with rotated copies in train."""
