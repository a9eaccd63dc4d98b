"""What a page of a run says, in its text and packed beside it."""

import base64
import gzip
import json
import re

import pandas as pd


def packed(page, name):
    """Content that the page holds packed under a name."""
    (letters,) = re.findall(rf'<script type="text/plain" id="{name}">([^<]*)</script>', page)
    return gzip.decompress(base64.b64decode(letters)).decode()


def numbers_of(page):
    """Everything that the page's scripts read."""
    return json.loads(packed(page, "data"))


def words_of(page):
    """Text of the page, and that of its tables and verdicts."""
    return page + packed(page, "data")


def table_of(page, name):
    """Table of the page, "scores", "pairs" or "calibration", as its readers see it."""
    told = numbers_of(page)
    codes = told["scores"] if name == "scores" else told[name]
    text = told["text"] if name == "scores" else told[name]
    named = {
        "cell": [told["cells"][k] for k in codes["cell"]],
        "estimator": [told["estimators"][k] for k in codes["estimator"]],
        "quantity": [told["quantities"][k]["text"] for k in codes["quantity"]],
        "r [kpc]": ["–" if r is None else f"{r:.3g}" for r in codes["r"]],
    }
    return pd.DataFrame(named | dict(zip(text["columns"], text["values"], strict=True)))
