"""Figures for papers, one module a kind: fed with frames of :mod:`haloassay.analysis`, drawn by matplotlib.

matplotlib is imported by what draws and by nothing else: to import this room costs nothing.
"""
