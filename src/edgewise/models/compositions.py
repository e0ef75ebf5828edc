"""Modules one after the other, and outputs that satisfy conditions exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from flax import nnx
from jax import Array

from edgewise.errors import EdgewiseError
from edgewise.models.kan import KAN
from edgewise.models.naming import class_name, class_named
from edgewise.nn import count_parameters
from edgewise.nn.functions import named

__all__ = ["Chain", "Transformed"]


class Chain(nnx.Module):
    """x -> f_n(... f_1(x)): embeddings and models one after the other.

    Args:
        modules: f_1 to f_n, at least one; the outputs of each are the inputs of the next.

    Attributes:
        modules: an ``nnx.List`` of them.

    Raises:
        EdgewiseError: for what is no module, and for outputs and inputs that do not fit where both are known.

    >>> model = Chain(PeriodicEmbedding(2, {1: 2.0}), KAN([3, 8, 1], rngs=rngs))
    """

    def __init__(self, *modules: nnx.Module):
        if not modules or not all(isinstance(module, nnx.Module) for module in modules):
            raise EdgewiseError(f"Chain{modules!r} needs modules.", do="pass say Chain(embedding, model).")
        for before, after in pairwise(modules):
            given, wanted = _outputs(before), _inputs(after)
            if given and wanted and given != wanted:
                raise EdgewiseError(
                    f"{type(before).__name__} has {given} outputs, {type(after).__name__} {wanted} inputs.",
                    "the outputs of each module are the inputs of the next.",
                    f"make the second with {given} inputs.",
                )
        self.modules = nnx.List(modules)

    def __call__(self, x: Any) -> Array:
        """``[*batch, features of the first]`` to ``[*batch, outputs of the last]``."""
        for module in self.modules:
            x = module(x)
        return x

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the modules from, ready for JSON."""
        return {"modules": [_described(module) for module in self.modules]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> Chain:
        """A chain of the modules that ``Chain.config`` described, freshly drawn."""
        return cls(*(_rebuilt(described, rngs) for described in config["modules"]))

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.modules))})"

    __str__ = __repr__


class Transformed(nnx.Module):
    """y = transform(x, model(x)): conditions built into the output, say u(t, x) = u_0(x) + t model(t, x).

    Args:
        model: any module.
        transform: a function at the top level of a module, or its name "module:function": ``[*batch, n_in]`` and
            ``[*batch, n_out]`` to the output.

    Raises:
        EdgewiseError: for what is no module, and for a function that no name leads to, such as a lambda.

    Hard conditions: Lagaris et al., arXiv physics/9705023, equation 2.
    """

    def __init__(self, model: nnx.Module, transform: Callable[..., Any] | str):
        if not isinstance(model, nnx.Module):
            raise EdgewiseError(f"model={model!r} is no module.", do="pass say edgewise.KAN([2, 8, 1], rngs=rngs).")
        self.model, self.transform = model, named("transform", transform)

    def __call__(self, x: Any) -> Array:
        """``[*batch, n_in]`` to what the transform returns."""
        return self.transform(x, self.model(x))  # pyright: ignore[reportCallIssue]

    @property
    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` rebuilds the model from, ready for JSON."""
        return {"model": _described(self.model), "transform": self.transform.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rngs: nnx.Rngs) -> Transformed:
        """A model as ``config`` described it, freshly drawn; imports the module that the transform is in."""
        return cls(_rebuilt(config["model"], rngs), config["transform"])

    def __repr__(self) -> str:
        return f"Transformed({self.model!r}, {self.transform.name}, {count_parameters(self):,} parameters)"

    __str__ = __repr__


def _inputs(module: nnx.Module) -> int | None:
    """Where it is known: of a KAN, columns that it does not look at included."""
    return module.n_features if isinstance(module, KAN) else getattr(module, "n_in", None)


def _outputs(module: nnx.Module) -> int | None:
    """Where it is known."""
    last = module.widths[-1] if isinstance(module, KAN) else getattr(module, "n_out", None)
    return last if isinstance(last, int) else None


def _described(module: Any) -> dict[str, Any]:
    """Class and configuration of ``module``."""
    kind, config = type(module), getattr(module, "config", None)
    if config is None or not hasattr(kind, "from_config"):
        raise EdgewiseError(
            f"{kind.__name__} has no config and from_config.",
            "a file holds no code.",
            "define both, as edgewise.KAN does.",
        )
    return {"model": class_name(kind), "config": config}


def _rebuilt(described: Mapping[str, Any], rngs: nnx.Rngs) -> Any:
    return class_named(described["model"]).from_config(described["config"], rngs=rngs)
