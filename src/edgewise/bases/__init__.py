"""Families of univariate functions, one a file."""

from edgewise.bases.base import Basis, Concatenated, Pointwise, Refinement, State, Wrapped, from_config
from edgewise.bases.bernstein import Bernstein
from edgewise.bases.bspline import BSpline
from edgewise.bases.chebyshev import Chebyshev
from edgewise.bases.fourier import Fourier
from edgewise.bases.hermite import Hermite
from edgewise.bases.jacobi import Jacobi
from edgewise.bases.legendre import Legendre
from edgewise.bases.placement import Importance
from edgewise.bases.polynomial import OrthogonalPolynomials
from edgewise.bases.radial import Radial, SharedCentres
from edgewise.bases.rational import Rational
from edgewise.bases.rbf import RBF
from edgewise.bases.relu_bump import ReLUBump
from edgewise.bases.rswaf import RSWAF
from edgewise.bases.sine import Sine
from edgewise.bases.spelling import FAMILIES, parse
from edgewise.bases.wavelet import Wavelet

__all__ = [
    "FAMILIES",
    "RBF",
    "RSWAF",
    "BSpline",
    "Basis",
    "Bernstein",
    "Chebyshev",
    "Concatenated",
    "Fourier",
    "Hermite",
    "Importance",
    "Jacobi",
    "Legendre",
    "OrthogonalPolynomials",
    "Pointwise",
    "Radial",
    "Rational",
    "ReLUBump",
    "Refinement",
    "SharedCentres",
    "Sine",
    "State",
    "Wavelet",
    "Wrapped",
    "from_config",
    "parse",
]
