"""Equilibria: tracers whose distribution does not change, spherical and phase-mixed."""
