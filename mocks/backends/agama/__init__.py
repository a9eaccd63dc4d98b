"""agama, where it is installed: its potentials, orbits, distribution functions and Schwarzschild models."""
