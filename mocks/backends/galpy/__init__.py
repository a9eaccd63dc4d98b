"""galpy: its potentials as components of a mock, and those of a mock as its own."""
