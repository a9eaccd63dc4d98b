"""The library that draws the charts of a page: Vega, Vega-Lite and vega-embed as one script, bundled by vl-convert.

Why these: charts are described, not programmed; they are drawn as SVG with roles and descriptions that screen readers
tell, saved as SVG and PNG, have Mollweide's projection, and take 0.4 MB of a page, packed. Plotly's script has
4.8 MB (1.4 MB packed) and no such descriptions; Bokeh's (1.4 MB) draws on a canvas, which tells a reader nothing.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np

from haloassay.base.cache import cached
from haloassay.base.errors import InputError
from haloassay.reports.page.packing import compressed


def vega() -> bytes:
    """Script that defines ``vegaEmbed``, compressed by gzip.

    The build puts it into the package. In an editable install it is bundled once for each version of vl-convert, which
    takes five seconds, and kept in the cache.

    Raises
    ------
    InputError
        If it is neither there nor can be bundled.
    """
    built = Path(__file__).with_name("vega.js.gz")
    if built.is_file():
        return built.read_bytes()

    def bundle() -> dict[str, np.ndarray]:
        import vl_convert

        script = vl_convert.javascript_bundle().encode()  # type: ignore[call-arg] # its stub lacks the default
        return {"gzip": np.frombuffer(compressed(script), dtype=np.uint8)}

    try:
        version = importlib.metadata.version("vl-convert-python")
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            "the page needs vl-convert-python in an editable install: python -m pip install -e '.[dev]'"
        ) from None
    return cached({"script": "vega", "vl-convert": version}, bundle)["gzip"].tobytes()
