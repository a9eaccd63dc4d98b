"""Debris and contaminants: stars that are not of the smooth halo."""
