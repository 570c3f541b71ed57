"""Data on disk: tables, the working cache, shards, the blocklist."""
