"""Data: tables and mixed columns read from files, small named tables, and generators of published test functions.

Everything here is plain NumPy; nothing is downloaded.
"""

from edgewise.datasets.columns import Columns, read_columns
from edgewise.datasets.functions import FUNCTIONS, function_data, published
from edgewise.datasets.named import NAMES, load
from edgewise.datasets.preprocessor import Preprocessor
from edgewise.datasets.split import split_rows
from edgewise.datasets.table import Table, read_csv

__all__ = [
    "FUNCTIONS",
    "NAMES",
    "Columns",
    "Preprocessor",
    "Table",
    "function_data",
    "load",
    "published",
    "read_columns",
    "read_csv",
    "split_rows",
]
