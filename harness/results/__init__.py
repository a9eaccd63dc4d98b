"""Results on disk: parts that are whole or absent, the store, and its readers."""
