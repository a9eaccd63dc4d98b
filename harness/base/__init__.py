"""What all rooms stand on: errors, settings, kinds, cache, seeds, constants."""
