"""Surveys: from true stars to the catalogue that an observer would have."""
