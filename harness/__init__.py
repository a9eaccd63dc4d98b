"""haloassay: mocks of known truth, surveys, estimators, and honest error bars on the bias."""

__version__ = "0.1.0"
