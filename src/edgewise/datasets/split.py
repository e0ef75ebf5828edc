"""Rows for training and rows for the test."""

from __future__ import annotations

import numpy as np

from edgewise.errors import DataError

__all__ = ["split_rows"]


def split_rows(
    rows: int, fraction: float = 0.2, seed: int = 42, *, classes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and for the test, int64, a random ``fraction`` of ``rows`` for the test.

    Where ``classes``, int ``[rows]``, is given, every class is split on its own and is in both parts.  Without, it is
    the split of scikit-learn's ``train_test_split(test_size=fraction, random_state=seed)``.  ``fraction=0`` leaves no
    row for the test.

    Raises:
        DataError: ``fraction`` is not in [0, 1), or leaves no row to train on.
    """
    if not 0 <= fraction < 1:
        raise DataError(
            f"the test fraction is {fraction}.", "it is the share of the rows held back, in [0, 1).", "pass say 0.2."
        )
    random = np.random.RandomState(seed)
    if fraction == 0:
        return np.arange(rows), np.arange(0)
    if classes is None:
        order = random.permutation(rows)
        n_test = int(np.ceil(fraction * rows))
        train, test = order[n_test:], order[:n_test]
    else:
        shuffled = [random.permutation(np.flatnonzero(classes == label)) for label in np.unique(classes)]
        counts = [min(max(round(fraction * len(members)), 1), len(members) - 1) for members in shuffled]
        test = np.concatenate([members[:count] for members, count in zip(shuffled, counts, strict=True)])
        train = np.concatenate([members[count:] for members, count in zip(shuffled, counts, strict=True)])
        train, test = random.permutation(train), random.permutation(test)
    if not len(train):
        raise DataError(
            f"a test fraction of {fraction} leaves none of the {rows} rows to train on.",
            do="pass a smaller one, say 0.2.",
        )
    return train, test
