"""For tests of estimators: checks, assertions, strategies, and a plug-in of pytest; listed in ``__init__.pyi``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
