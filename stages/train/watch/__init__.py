"""The page that shows trainings while they go on; it reads what they write and writes nothing itself."""
