"""jaxKAN's helpers of models: activations, embedders, counts, complexity and optimizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from edgewise.errors import EdgewiseError, check_choice, check_count, check_keywords
from edgewise.nn import count_parameters

__all__ = [
    "PeriodEmbedder",
    "RFFEmbedder",
    "batched_frob",
    "count_params",
    "get_activation",
    "get_adam",
    "get_complexity",
    "get_frob",
    "get_lbfgs",
]

_ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "celu": nnx.celu,
    "elu": nnx.elu,
    "gelu": nnx.gelu,
    "hard_sigmoid": nnx.hard_sigmoid,
    "hard_silu": nnx.hard_silu,
    "hard_swish": nnx.hard_silu,
    "hard_tanh": nnx.hard_tanh,
    "identity": nnx.identity,
    "leaky_relu": nnx.leaky_relu,
    "log_sigmoid": nnx.log_sigmoid,
    "relu": nnx.relu,
    "selu": nnx.selu,
    "sigmoid": nnx.sigmoid,
    "silu": nnx.silu,
    "soft_sign": nnx.soft_sign,
    "softplus": nnx.softplus,
    "swish": nnx.swish,
    "tanh": nnx.tanh,
}
_SCHEDULES = ("exponential", "cosine", "polynomial", "piecewise_constant")


def get_activation(activation: str = "tanh") -> Callable[..., Array]:
    """The activation function of that name, in any case; raises ``UnknownNameError`` for an unknown one."""
    check_choice("activation", activation.lower(), _ACTIVATIONS)
    return _ACTIVATIONS[activation.lower()]


class PeriodEmbedder(nnx.Module):
    """x_i -> cos(w_i x_i), sin(w_i x_i) for the axes in ``period_axes``; other axes stay.

    What jaxKAN calls a period is the angular frequency w: inputs of period P take w = 2 pi / P.

    Args:
        period_axes: axis -> (w, whether it is trained).

    Attributes:
        axes: by the axis as text, the number w, or an ``nnx.Param`` where it is trained.
    """

    def __init__(self, period_axes: Mapping[int, tuple[float, bool]]):
        self.axes = nnx.Dict(
            {
                str(check_count("axis of period_axes", axis, 0)): nnx.Param(jnp.asarray(w, jnp.float32))
                if trained
                else float(w)
                for axis, (w, trained) in period_axes.items()
            }
        )

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, n_in + number of periodic axes]``."""
        x, features = jnp.asarray(x), []
        for index in range(x.shape[-1]):
            column, w = x[..., index : index + 1], self.axes.get(str(index))
            if w is None:
                features.append(column)
            else:
                w = w[...] if isinstance(w, nnx.Param) else w
                features += [jnp.cos(w * column), jnp.sin(w * column)]
        return jnp.concatenate(features, axis=-1)


class RFFEmbedder(nnx.Module):
    """x -> cos(x B), sin(x B) with ``B`` ``[n_in, embed_dim / 2]`` from N(0, std^2), trained; no factor 2 pi.

    Raises:
        EdgewiseError: for an odd ``embed_dim``.
    """

    def __init__(self, std: float = 1.0, n_in: int = 1, embed_dim: int = 256, seed: Any = 42):
        if check_count("embed_dim", embed_dim, 2) % 2:
            raise EdgewiseError(
                f"embed_dim={embed_dim} is odd.", "half are cosines, half sines.", f"pass {embed_dim + 1}."
            )
        key = nnx.Rngs(jax.random.key(seed)).params()
        self.B = nnx.Param(std * jax.random.normal(key, (check_count("n_in", n_in), embed_dim // 2)))

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to ``[*batch, embed_dim]``."""
        angles = jnp.matmul(jnp.asarray(x), self.B[...], precision="highest")
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def count_params(model: nnx.Module) -> int:
    """Number of trained scalars."""
    return count_parameters(model)


def get_frob(model: Callable[[Array], Array], x: Any) -> Array:
    """Squared Frobenius norm of the Jacobian at one point ``[d]`` or ``[1, d]``, over all outputs."""
    x = jnp.asarray(x)
    jacobian = jax.jacrev(lambda point: model(point[None])[0])(x.reshape(x.shape[-1]))
    return jnp.sum(jacobian**2)


@nnx.jit
def batched_frob(model: Callable[[Array], Array], x: Any) -> Array:
    """:func:`get_frob` of many points, ``[n, d]`` to ``[n]``."""
    return jax.vmap(lambda point: get_frob(model, point))(x)


def get_complexity(model: Callable[[Array], Array], pde_collocs: Any, bc_collocs: Any = None) -> Array:
    """Mean of :func:`get_frob` over the points ``[n, d]`` of the domain and, if given, of its boundary."""
    points = [jnp.asarray(found) for found in (pde_collocs, bc_collocs) if found is not None]
    return jnp.mean(batched_frob(model, jnp.concatenate(points)))


def get_adam(
    learning_rate: float = 1e-3,
    schedule_type: str | None = None,
    decay_steps: int = 5000,
    decay_rate: float = 0.9,
    warmup_steps: int = 0,
    staircase: bool = False,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    **schedule_kwargs: Any,
) -> optax.GradientTransformation:
    """Adam under a schedule, after a linear warmup from 0.

    Args:
        learning_rate: at the start of the schedule and the end of the warmup.
        schedule_type: None (constant), "exponential", "cosine" (to 0), "polynomial" (to 1 %), "piecewise_constant".
        decay_steps: length of the schedule.
        decay_rate: of the exponential one; of the polynomial one the power.
        warmup_steps: length of the warmup, after which the schedule begins; 0 for none.
        staircase: whether the exponential one goes in steps.
        b1, b2, eps: of Adam.
        schedule_kwargs: for "piecewise_constant", ``boundaries`` and ``values``, one more: the rates between them.

    Raises:
        EdgewiseError: for an unknown schedule or keyword, or values that do not fit the boundaries.
    """
    kind = schedule_type or "constant"
    check_choice("schedule_type", kind, ("constant", *_SCHEDULES))
    check_keywords("get_adam", schedule_kwargs, ("boundaries", "values") if kind == "piecewise_constant" else ())
    if kind == "exponential":
        schedule = optax.exponential_decay(learning_rate, decay_steps, decay_rate, staircase=staircase)
    elif kind == "cosine":
        schedule = optax.cosine_decay_schedule(learning_rate, decay_steps)
    elif kind == "polynomial":
        schedule = optax.polynomial_schedule(learning_rate, learning_rate * 0.01, decay_rate, decay_steps)
    elif kind == "piecewise_constant":
        schedule = _steps(schedule_kwargs.get("boundaries"), schedule_kwargs.get("values"))
    else:
        schedule = optax.constant_schedule(learning_rate)
    if warmup_steps > 0:
        warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
        schedule = optax.join_schedules([warmup, schedule], [warmup_steps])
    elif kind == "constant":
        return optax.adam(learning_rate, b1, b2, eps)
    return optax.adam(schedule, b1, b2, eps)


def _steps(boundaries: Sequence[int] | None, values: Sequence[float] | None) -> optax.Schedule:
    if boundaries is None or values is None or len(values) != len(boundaries) + 1:
        raise EdgewiseError(
            f"boundaries={boundaries!r} and values={values!r} are no schedule.",
            "a piecewise constant one has a value before, between and after its boundaries.",
            "pass say boundaries=[1000, 2000], values=[1e-3, 1e-4, 1e-5].",
        )
    if any(later <= earlier for earlier, later in pairwise(boundaries)):
        raise EdgewiseError(f"boundaries={boundaries!r} do not increase.", do="sort them, and the values with them.")
    return optax.join_schedules([optax.constant_schedule(value) for value in values], list(boundaries))


def get_lbfgs(
    learning_rate: float | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """L-BFGS of optax; without ``linesearch`` its own, a zoom line search.

    Its ``update`` needs ``value``, ``grad`` and ``value_fn`` beside the gradients.
    """
    options = {} if linesearch is None else {"linesearch": linesearch}
    return optax.lbfgs(learning_rate, memory_size, scale_init_precond, **options)
