"""Gravity: potentials, fields in three dimensions, orbits, and the same in galpy and agama."""
