"""One layer, forward and backward, against the floor (the one matrix product it contains) and jaxKAN's layer.

On a GPU at a batch that fills it, in true float32 and in the TF32 that JAX multiplies float32 with by default there.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxkan.layers import get_layer

import edgewise as ew
from benchmarks.measure import alternate, markdown, median, ratio, temporary_bytes

BATCH, GPU_BATCH = 1024, 16384
SIZES = ((64, 64), (256, 256), (784, 64))
FAMILIES = (
    ("Chebyshev D=5", ew.Chebyshev(5), "chebyshev", {"D": 5}, None),
    ("Chebyshev D=10", ew.Chebyshev(10), "chebyshev", {"D": 10}, None),
    ("Legendre D=5", ew.Legendre(5), "legendre", {"D": 5}, None),
    ("cubic spline G=5", ew.BSpline(3, 5), "spline", {"k": 3, "G": 5, "external_weights": False}, "silu"),
    ("cubic spline G=20", ew.BSpline(3, 20), "spline", {"k": 3, "G": 20, "external_weights": False}, "silu"),
    ("Fourier 5", ew.Fourier(5), "fourier", {"D": 5}, None),
    ("radial 8", ew.RBF(8), "rbf", {"D": 8}, None),
    ("sine 8", ew.Sine(8), "sine", {"D": 8}, None),
)
PER_EDGE = ("cubic spline G=5, a grid an edge in jaxKAN", ew.BSpline(3, 5), "base", {"k": 3, "G": 5}, "silu")


def case(family, n_in: int, n_out: int, rounds: int, seconds: float, batch: int = BATCH, calls: int = 1) -> list:
    """One row: floor in ms, ratios to the floor, ratio to jaxKAN, temporary memory."""
    name, basis, kind, options, residual = family
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-1, 1, (batch, n_in)), jnp.float32)
    up = jnp.asarray(rng.normal(size=(batch, n_out)), jnp.float32)
    ours = ew.KANLayer(n_in, n_out, basis, residual=residual, precision=None, rngs=nnx.Rngs(0))
    theirs = get_layer(kind)(n_in=n_in, n_out=n_out, **options)
    columns = ours.coef.shape[0] * n_in
    a = jnp.asarray(rng.normal(size=(batch, columns)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(columns, n_out)), jnp.float32)

    def passes(function, *arguments):
        backward = jax.jit(lambda *args: (lambda y, pull: (y, pull(up)))(*jax.vjp(function, *args)))
        return jax.jit(function), backward, arguments

    def layer(module):
        graphdef, parameters, rest = nnx.split(module, nnx.Param, ...)
        # as plain arrays, which the floor is called with, too: taking a state of Flax apart is no work of a layer
        leaves, structure = jax.tree.flatten(parameters)
        return passes(lambda p, x: nnx.merge(graphdef, structure.unflatten(p), rest)(x), leaves, x)

    programs = {"floor": passes(jnp.matmul, a, w), "edgewise": layer(ours), "jaxkan": layer(theirs)}
    settings = {"rounds": rounds, "seconds": seconds, "calls": calls}
    times = [alternate({n: (lambda p=p, i=i: p[i](*p[2])) for n, p in programs.items()}, **settings) for i in (0, 1)]
    memory = {n: temporary_bytes(p[1], *p[2]) for n, p in programs.items()}
    return [
        name,
        f"{n_in}-{n_out}",
        " / ".join(f"{1e3 * median(t['floor']):.2f}" for t in times),
        " / ".join(f"{ratio(t, 'edgewise', 'floor'):.2f}" for t in times),
        " / ".join(f"{ratio(t, 'jaxkan', 'floor'):.2f}" for t in times),
        " / ".join(f"{ratio(t, 'jaxkan', 'edgewise'):.2f}" for t in times),
        f"{memory['edgewise'] / 2**20:.1f} / {memory['jaxkan'] / 2**20:.1f}",
    ]


HEADER = [
    "layer",
    "size",
    "floor, ms",
    "edgewise / floor",
    "jaxKAN / floor",
    "jaxKAN / edgewise",
    "temp MiB, ours / jaxKAN",
]


def main(quick: bool) -> str:
    """The table of all families at all sizes; quick: three families at the smallest."""
    families = FAMILIES[::3] if quick else FAMILIES
    sizes = SIZES[:1] if quick else SIZES
    rounds, seconds = (10, 2.0) if quick else (60, 8.0)
    if jax.default_backend() != "cpu":
        return _on_gpu(families, sizes)
    rows = [case(family, *size, rounds, seconds) for size in sizes for family in families]
    if not quick:
        rows.append(case(FAMILIES[4], 8, 8, rounds, seconds))
        rows.append(case(FAMILIES[4], 8, 8, rounds, seconds, calls=10))
        rows[-1][0] += ", ten calls in a row"
        rows.append(case(PER_EDGE, 64, 64, rounds, seconds))
    return f"Batch {BATCH}, float32; two figures: forward / forward + backward.\n\n" + markdown(HEADER, rows)


def _on_gpu(families, sizes) -> str:
    tables = []
    for precision, named in (("highest", "float32"), ("default", "TF32")):
        with jax.default_matmul_precision(precision):
            rows = [case(family, n_in, n_out, 15, 2.0, GPU_BATCH, 10) for n_in, n_out in sizes for family in families]
        tables.append(f"Batch {GPU_BATCH}, {named}; forward / forward + backward.\n\n" + markdown(HEADER, rows))
    return "\n\n".join(tables)
