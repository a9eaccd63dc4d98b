"""Snapshots of N-body and hydrodynamical simulations as mocks."""
