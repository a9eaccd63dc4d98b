"""The page of a run: one HTML file that holds everything and needs no network.

What must be read at once (the sentence, the verdicts, failures, budgets) is HTML; numbers of the map, the charts and
the tables are packed beside it, and drawn by the scripts of this room with Vega, of which nothing is loaded before
the first chart is asked for.
"""

from haloassay.reports.page.content import render
from haloassay.reports.page.writing import write_page

__all__ = ["render", "write_page"]
