"""What lies on disk: tables, the working cache, shards, the list of blocked photos."""
