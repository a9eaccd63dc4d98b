"""What mocks, estimators and results agree on: catalogues, estimates, quantities, frames, profiles, rows."""
