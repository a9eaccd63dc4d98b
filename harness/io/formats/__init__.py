"""Table files as named columns and units: FITS, ECSV, CSV, Parquet, HDF5, VOTable, MRT and text.

What a file is, is told by its head; its suffix counts where the head says nothing (CSV, text). One module a format
lists the tables of a file, :mod:`choice` chooses one; :mod:`memory` refuses what does not fit before it is asked for.
"""

from haloassay.io.formats.fields import SKIP, Array, Fields, as_numbers, missing_as_nan, readable
from haloassay.io.formats.kinds import FORMATS, format_of
from haloassay.io.formats.objects import column_values, table_fields
from haloassay.io.formats.reading import read_fields
from haloassay.io.formats.writing import write_fields

__all__ = [
    "FORMATS",
    "SKIP",
    "Array",
    "Fields",
    "as_numbers",
    "column_values",
    "format_of",
    "missing_as_nan",
    "read_fields",
    "readable",
    "table_fields",
    "write_fields",
]
