"""Data: tables read from CSV files, small named tables, and generators of published test functions.

Everything here is plain NumPy; nothing is downloaded.
"""

from edgewise.datasets.functions import FUNCTIONS, function_data, published
from edgewise.datasets.named import NAMES, load
from edgewise.datasets.table import Table, read_csv

__all__ = ["FUNCTIONS", "NAMES", "Table", "function_data", "load", "published", "read_csv"]
