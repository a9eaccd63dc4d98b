"""Gravity: potentials, fields in three dimensions, and orbits."""
