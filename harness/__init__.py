"""haloassay: mocks of known truth, surveys, estimators, and honest error bars on the bias.

Every command is a function of the same name: ``run``, ``plan``, ``report``, ``figure``, ``table``, ``budget``,
``predict``, ``rank``, ``league``, ``match``, ``check``, ``claims``, ``challenge``, ``compare``, ``baseline``, ``mock``,
``measure``, ``failures``, ``merge``, ``status``, ``train``, ``init``, ``list``, ``describe``; ``attach`` is
``budget --apply``.
All that is public is listed in ``__init__.pyi`` and imported when first used, so that ``import haloassay`` costs
nothing; everything else may move.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
