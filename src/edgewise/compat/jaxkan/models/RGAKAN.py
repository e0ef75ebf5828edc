"""jaxKAN's ``RGAKAN``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise._compilation import compiled_for_few_runs
from edgewise.compat.jaxkan.layers.Chebyshev import ChebyshevLayer
from edgewise.compat.jaxkan.layers.Sine import SineLayer
from edgewise.compat.jaxkan.models.utils import PeriodEmbedder, RFFEmbedder
from edgewise.errors import EdgewiseError, check_count, check_keywords
from edgewise.nn.inputs import checked_input

__all__ = ["RGAKAN", "RGABlock"]

_SKIP = 10  # of the times, and of both places where there are two, jaxKAN takes every tenth for its initialization


class RGABlock(nnx.Module):
    """Two Chebyshev layers, each mixed with the gates u, v and the block's input x; ``alpha``, ``beta`` are trained.

    h = InputLayer(x);  z = beta (h u + (1 - h) v) + (1 - beta) x;
    h = OutputLayer(z);  y = alpha (h u + (1 - h) v) + (1 - alpha) x.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_hidden: int,
        D: int = 5,
        flavor: str = "exact",
        init_scheme: Any = None,
        alpha: float = 0.0,
        beta: float = 1.0,
        seed: Any = 42,
    ):
        if not n_in == n_out == n_hidden:
            raise EdgewiseError(
                f"n_in={n_in}, n_out={n_out}, n_hidden={n_hidden} differ.",
                "a block adds its input to what it computes, and gates have one width.",
                f"pass n_in=n_out=n_hidden={n_hidden}.",
            )
        options = {"D": D, "flavor": flavor, "init_scheme": init_scheme}
        self.InputLayer = ChebyshevLayer(n_in, n_hidden, seed=seed, **options)
        self.OutputLayer = ChebyshevLayer(n_hidden, n_out, seed=seed + 1, **options)
        self.alpha, self.beta = (nnx.Param(jnp.asarray(weight, jnp.float32)) for weight in (alpha, beta))

    def __call__(self, x: Array, u: Array, v: Array) -> Array:
        """``[*batch, n_hidden]`` and gates of that shape to ``[*batch, n_hidden]``."""
        y = x
        for layer, weight in ((self.InputLayer, self.beta[...]), (self.OutputLayer, self.alpha[...])):
            h = layer(y)
            y = weight * (h * u + (1 - h) * v) + (1 - weight) * x
        return y


class RGAKAN(nnx.Module):
    """Residual-gated adaptive KAN (Rigas et al., arXiv 2510.23501): embedders, sines, gates and blocks, a last layer.

    Args:
        n_in, n_out: numbers of inputs and outputs.
        n_hidden: nodes between the layers.
        num_blocks: number of :class:`RGABlock`.
        flavor, D, init_scheme: of every Chebyshev layer, the last one included.
        alpha, beta: of every block at the start.
        ref: {"t", "x", "usol"} and perhaps "y": the last layer, of one output, is then fitted to usol[0] at all times
            (physics-informed initialization), and has no bias.
        period_axes, rff_std, sine_D: what :class:`~edgewise.compat.jaxkan.models.utils.PeriodEmbedder`,
            :class:`~edgewise.compat.jaxkan.models.utils.RFFEmbedder` and ``SineLayer`` take; None for no such part.
        seed: of gate ``U`` and the last layer; the other layers take those after it, where jaxKAN gives one to all.

    Attributes:
        PE, FE, SineBasis: the first parts, or None.
        U, V: the gates.
        blocks: an ``nnx.List``.
        OutLayer: the last layer, without ``ref``; OutBasis: its coefficients ``[1, n_hidden, D]`` with ``ref``.

    Raises:
        EdgewiseError: where what reaches the gates has not ``n_hidden`` features, or ``n_out`` is not 1 with ``ref``.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_hidden: int,
        num_blocks: int,
        flavor: str = "exact",
        D: int = 5,
        init_scheme: Any = None,
        alpha: float = 0.0,
        beta: float = 1.0,
        ref: Mapping[str, Any] | None = None,
        period_axes: Mapping[int, tuple[float, bool]] | None = None,
        rff_std: float | None = None,
        sine_D: int | None = None,
        seed: Any = 42,
    ):
        self.n_in, self.n_hidden, self.D = n_in, check_count("n_hidden", n_hidden), D
        self.pi_init = ref is not None
        self.PE = PeriodEmbedder(period_axes) if period_axes else None
        width = check_count("n_in", n_in) + len(period_axes or {})
        self.FE = RFFEmbedder(rff_std, width, n_hidden, seed) if rff_std else None
        width = n_hidden if rff_std else width
        self.SineBasis = SineLayer(width, n_hidden, sine_D, init_scheme=init_scheme, seed=seed) if sine_D else None
        _check_widths(n_hidden if sine_D else width, n_hidden, n_out, self.pi_init)
        options = {"D": D, "flavor": flavor, "init_scheme": init_scheme}
        self.U, self.V = (ChebyshevLayer(n_hidden, n_hidden, seed=seed + i, **options) for i in range(2))
        self.blocks = nnx.List(
            RGABlock(n_hidden, n_hidden, n_hidden, alpha=alpha, beta=beta, seed=seed + 2 + 2 * i, **options)
            for i in range(check_count("num_blocks", num_blocks, 0))
        )
        if ref is None:
            self.OutLayer = ChebyshevLayer(n_hidden, n_out, seed=seed, **options)
        else:
            self.OutBasis = nnx.Param(self._pi_init(ref))

    def _hidden(self, x: Any) -> Array:
        """What the last layer sees, ``[*batch, n_in]`` to ``[*batch, n_hidden]``."""
        x = checked_input(x, self.n_in, jnp.float32)
        for part in (self.PE, self.FE, self.SineBasis):
            x = x if part is None else part(x)
        u, v = self.U(x), self.V(x)
        for block in self.blocks:
            x = block(x, u, v)
        return x

    def _modes(self, x: Any) -> Array:
        """The polynomials of what the last layer sees, ``[*batch, n_hidden, D]``."""
        return self.U.basis(self._hidden(x))

    def _pi_init(self, ref: Mapping[str, Any]) -> Array:
        """The coefficients ``[1, n_hidden, D]`` closest to the initial condition at all times, by least squares."""
        check_keywords("ref", ref, ("t", "x", "y", "usol"))
        axes = [np.ravel(ref["t"])[::_SKIP], np.ravel(ref["x"])]
        start = np.asarray(ref["usol"])[0]
        if "y" in ref:
            axes = [axes[0], axes[1][::_SKIP], np.ravel(ref["y"])[::_SKIP]]
            start = start[::_SKIP, ::_SKIP]
        points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
        target = np.tile(start.ravel(), len(axes[0]))
        modes = compiled_for_few_runs(RGAKAN._modes)(self, jnp.asarray(points, jnp.float32))
        rows = np.asarray(modes, np.float64).reshape(len(points), -1)
        found = np.linalg.lstsq(rows, target, rcond=len(rows) * float(np.finfo(np.float32).eps))[0]
        return jnp.asarray(found.reshape(1, self.n_hidden, self.D), jnp.float32)

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``."""
        if not self.pi_init:
            return self.OutLayer(self._hidden(x))
        return jnp.einsum("...hk,ohk->...o", self._modes(x), self.OutBasis[...], precision="highest")


def _check_widths(reaching: int, n_hidden: int, n_out: int, pi_init: bool) -> None:
    if reaching != n_hidden:
        raise EdgewiseError(
            f"{reaching} features reach the gates, and n_hidden={n_hidden}.",
            "blocks add their input to what they compute, so both have one width.",
            f"pass sine_D=5, rff_std=1.0 or n_hidden={reaching}.",
        )
    if pi_init and n_out != 1:
        raise EdgewiseError(
            f"n_out={n_out} with ref.", "the last layer is fitted to one initial condition.", "pass n_out=1."
        )
