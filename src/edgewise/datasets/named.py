"""Small real tables that scikit-learn carries in its own files: nothing is downloaded."""

from __future__ import annotations

import numpy as np

from edgewise.datasets.table import Table
from edgewise.errors import check_choice, require

__all__ = ["NAMES", "load"]

REGRESSION = ("diabetes",)
CLASSIFICATION = ("breast_cancer", "digits", "iris", "wine")
NAMES = (*REGRESSION, *CLASSIFICATION)
TARGETS = {
    "diabetes": "disease progression after one year",
    "breast_cancer": "diagnosis",
    "digits": "digit",
    "iris": "species",
    "wine": "cultivar",
}


def load(name: str) -> Table:
    """One of ``NAMES``: diabetes (442 rows), breast_cancer (569), digits (1797), iris (150) or wine (178).

    Columns that are constant (three border pixels of digits) are left out, and a note says so.

    Raises:
        UnknownNameError: ``name`` is none of ``NAMES``.
        MissingExtraError: scikit-learn is not installed.
    """
    check_choice("data set", name, NAMES)
    bunch = getattr(require("sklearn.datasets", "sklearn"), f"load_{name}")()
    X = np.asarray(bunch.data, np.float64)
    varies = X.min(axis=0) < X.max(axis=0)
    features = tuple(str(feature) for feature, keep in zip(bunch.feature_names, varies, strict=True) if keep)
    dropped = int((~varies).sum())
    notes = (f"{dropped} constant columns are left out.",) if dropped else ()
    if name in REGRESSION:
        return Table(name, X[:, varies], np.asarray(bunch.target, np.float64), features, TARGETS[name], notes=notes)
    classes = tuple(str(label) for label in bunch.target_names)
    return Table(name, X[:, varies], np.asarray(bunch.target, np.int64), features, TARGETS[name], classes, notes)
