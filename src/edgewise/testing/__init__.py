"""Checks for families and schemes of your own: ``check_basis(MyBasis())`` and ``check_initializer(my_scheme)``.

Each promise is one function; the first that is broken raises :class:`ConformanceError`, which says which, at which
input, and what to do.
"""

from edgewise.testing.basis import check_basis
from edgewise.testing.conformance import ConformanceError
from edgewise.testing.initializer import check_initializer

__all__ = ["ConformanceError", "check_basis", "check_initializer"]
