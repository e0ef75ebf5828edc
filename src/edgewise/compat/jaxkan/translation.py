"""What every layer shares: jaxKAN's parameters, by its names and in its shapes, and the layer of ours that computes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from edgewise.bases import Basis
from edgewise.compat.jaxkan.fitting import shrink
from edgewise.compat.jaxkan.schemes import draw
from edgewise.errors import ShapeError, check_count, check_keywords
from edgewise.nn import KANLayer
from edgewise.nn.residuals import PicklesResidual, resolve_residual
from edgewise.nn.variables import Grid
from edgewise.refine import extend
from edgewise.refine.layers import samples

__all__ = ["Layer", "architecture", "float_pair"]


class Layer(PicklesResidual):
    """A layer by jaxKAN's parameters.  Calling it hands them to a :class:`~edgewise.nn.KANLayer`, which computes.

    Attributes:
        c_basis: ``[n_out, n_in, M]``, M the modes kept (a Fourier layer has ``c_cos`` and ``c_sin`` instead).
        c_res: ``[n_out, n_in]``, or None without a residual.
        c_ext: ``[n_out, n_in]``, or None without external weights (``c_spl`` in base and spline layers).
        bias: ``[n_out]``, or None.

    All are ``nnx.Param``.  Knots and centres are in ``basis_state``, by edgewise's names, and never trained.

    A subclass has jaxKAN's signature, and its ``__init__`` names a basis of ours.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("c_basis",)
    external: ClassVar[str] = "c_ext"
    flat: ClassVar[bool] = False
    """Whether the coefficients have both nodes on one axis, ``[n_out * n_in, M]``."""

    n_in: int
    n_out: int
    _family: Any
    bias: nnx.Param | None
    c_res: nnx.Param | None

    def __new__(cls, *args: Any, **keywords: Any):
        check_keywords(cls.__name__, keywords, cls.parameters())
        return super().__new__(cls)

    @classmethod
    def parameters(cls) -> list[str]:
        """The names of jaxKAN's parameters of this layer."""
        return list(inspect.signature(cls.__init__).parameters)[1:]

    def _translate(
        self,
        n_in: int,
        n_out: int,
        basis: Basis,
        residual: Any,
        external_weights: bool,
        init_scheme: Any,
        add_bias: bool,
        seed: Any,
    ) -> None:
        """Make the parameters, taking keys in jaxKAN's order: state of the basis, external weights, residual, basis."""
        self.n_in, self.n_out, self._family = check_count("n_in", n_in), check_count("n_out", n_out), basis
        if getattr(residual, "__name__", "") == "<lambda>":
            residual = functools.partial(residual)  # jaxKAN takes any function; ours refuse one that cannot be saved
        self.residual = resolve_residual(residual)
        self._branches = (bool(add_bias), bool(external_weights))
        rngs = nnx.Rngs(jax.random.key(seed))
        self._place_state(rngs)
        self.bias = nnx.Param(jnp.zeros(n_out)) if add_bias else None
        setattr(self, self.external, nnx.Param(_ones(rngs.params(), (n_out, n_in))) if external_weights else None)
        template, _ = self._template()
        c_res, coefficients = draw(init_scheme, template, self._state(), len(self.coefficients), seed, rngs)
        self.c_res = None if c_res is None else nnx.Param(c_res)
        for name, part in zip(self.coefficients, coefficients, strict=True):
            setattr(self, name, nnx.Param(part.reshape(-1, part.shape[-1]) if self.flat else part))

    def _place_state(self, rngs: nnx.Rngs) -> None:
        """Make the state of the basis; a family with random state takes a key."""
        self._keep_state(self._family.init(self.n_in, key=jax.random.key(0)))

    def _keep_state(self, state: Mapping[str, Array]) -> None:
        """Store the state of the basis, given by edgewise's names."""
        self.basis_state = nnx.Dict({name: Grid(value) for name, value in state.items()})

    def _state(self) -> dict[str, Array]:
        """The state of the basis, by edgewise's names."""
        return {name: variable[...] for name, variable in self.basis_state.items()}

    def _template(self) -> tuple[KANLayer, nnx.GraphDef]:
        return architecture(self.n_in, self.n_out, self._family, self.residual, *self._branches)

    def to_edgewise(self) -> KANLayer:
        """The layer of ours with these parameters."""
        nodes = (self.n_out, self.n_in, -1)
        parts = [getattr(self, name)[...].reshape(nodes) for name in self.coefficients]
        values = {"coef": jnp.concatenate(parts, axis=-1).T, "basis_state": self._state()}
        for ours, theirs in (("residual_kernel", "c_res"), ("edge_scale", self.external), ("bias", "bias")):
            if (parameter := getattr(self, theirs)) is not None:
                values[ours] = parameter[...].T
        return nnx.merge(self._template()[1], values)

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_out]``; raises ``ShapeError`` for a wrong number of features."""
        return self.to_edgewise()(x)

    def basis(self, x: Any) -> Any:
        """The modes that have coefficients, ``[*batch, n_in]`` to ``[*batch, n_in, M]``."""
        return self._family(x, self._state())[..., self._template()[0].first_mode :]

    def update_grid(self, x: Any, D_new: int) -> None:
        """``D_new`` modes instead of D, the functions staying as they are.

        More modes get coefficients 0, so the layer computes exactly what it did; fewer are fitted at the samples.

        Args:
            x: samples, ``[*batch, n_in]``.
            D_new: the new D.

        Raises:
            EdgewiseError: for ``D_new`` below 1, x of a wrong shape or not finite.
        """
        self._update(x, "D", check_count("D_new", D_new))

    def _update(self, x: Any, name: str, size: int) -> None:
        """Refine the layer to ``size``, which jaxKAN calls ``name``, and take over what that gives."""
        layer = self.to_edgewise()
        x = samples(x, layer)
        if x.ndim == 0 or x.shape[-1] != self.n_in or x.size == 0:
            raise ShapeError(f"x has shape {x.shape}, expected (samples, {self.n_in}).")
        self._refine(layer, x.reshape(-1, self.n_in), size)
        self._family = layer.basis
        self._keep_state({name: variable[...] for name, variable in layer.basis_state.items()})
        parts = jnp.split(layer.coef[...].T, len(self.coefficients), axis=-1)
        for own, part in zip(self.coefficients, parts, strict=True):
            setattr(self, own, nnx.Param(part.reshape(-1, part.shape[-1]) if self.flat else part))
        if self.bias is not None and layer.bias is not None:
            self.bias[...] = layer.bias[...]
        setattr(self, name, size)

    def _refine(self, layer: KANLayer, x: np.ndarray, size: int) -> None:
        """Refine the translated layer, in place; a family with a grid moves it to ``x``."""
        if size >= getattr(layer.basis, layer.basis.resolution):
            extend(layer, size, seed=size)
        else:
            shrink(layer, size, x)


@functools.lru_cache(maxsize=256)
def architecture(n_in, n_out, basis, residual, bias, edge_scale) -> tuple[KANLayer, nnx.GraphDef]:
    """A layer of ours without arrays, and its structure."""
    layer = nnx.eval_shape(
        lambda: KANLayer(
            n_in, n_out, basis, residual=residual, bias=bias, edge_scale=edge_scale, rngs=nnx.Rngs(params=0)
        )
    )
    return layer, nnx.graphdef(layer)


def float_pair(grid_range: Any) -> tuple[float, float]:
    """The first and last number of jaxKAN's ``grid_range``, a tuple or a list."""
    return float(grid_range[0]), float(grid_range[-1])


def _ones(key: Array, shape: tuple[int, ...]) -> Array:
    """Ones; jaxKAN spends a key on them, and the draws after them depend on it."""
    return nnx.initializers.ones(key, shape, jnp.float32)
