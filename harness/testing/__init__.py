"""Checks of anybody's estimator: :func:`check_estimator`, and what it finds; listed in ``__init__.pyi``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
