"""What every layer of a model shares: the options, and in some architectures the basis."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from edgewise.bases import Basis
from edgewise.errors import EdgewiseError
from edgewise.nn import KANLayer

__all__ = ["LAYER_OPTIONS", "shared_basis"]

LAYER_OPTIONS = tuple(
    name
    for name in inspect.signature(KANLayer.__init__).parameters
    if name not in ("self", "n_in", "n_out", "basis", "rngs")
)
"""Keywords of a KANLayer that a model passes on."""


def shared_basis(layers: Iterable[KANLayer]) -> Basis:
    """The basis of all ``layers``; raises ``EdgewiseError`` where they have come to differ."""
    bases = list(dict.fromkeys(layer.basis for layer in layers))
    if len(bases) > 1:
        raise EdgewiseError(
            f"the layers of one kind have different bases: {', '.join(map(str, bases))}.",
            "the configuration of this architecture names one for all of them.",
            "give all of them one basis, or save the state: Checkpoint(path).save(nnx.state(model), {}).",
        )
    return bases[0]
