"""Sphinx's configuration: `tox -e docs` builds the site, without a network."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# Cells of tutorials run where they stand, in processes of their own: these see what is beside the pages, too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(HERE / "_ext"), os.environ.get("PYTHONPATH", "")])
)
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

project = "haloassay"
author = "the haloassay developers"
copyright = f"2026, {author}"  # Sphinx's name
release = importlib.metadata.version("haloassay")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "from_code"]
exclude_patterns = ["_build", "measured"]

html_theme = "furo"
html_title = f"haloassay {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
pygments_style = "friendly"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_render_markdown_format = "gfm"
nb_ipywidgets_js = {}

autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
