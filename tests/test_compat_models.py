"""jaxKAN's architectures and helpers of models against jaxKAN itself; its faults not reproduced."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from edgewise.compat.jaxkan.layers.Dense import DenseLayer
from edgewise.compat.jaxkan.models import utils
from edgewise.compat.jaxkan.models.ActNet import ActLayer, ActNet
from edgewise.compat.jaxkan.models.KAN import KAN
from edgewise.compat.jaxkan.models.KKAN import KKAN, ChebyshevEmbedding, InnerBlock
from edgewise.compat.jaxkan.models.RGAKAN import RGAKAN, RGABlock
from edgewise.errors import EdgewiseError, UnknownNameError
from edgewise.nn.variables import Grid

MODELS = {
    "kkan": (KKAN, {"n_in": 2, "n_out": 2, "m": 4, "D_e": 3, "H": 5, "L": 2, "outer_layer_params": {"D": 3}}),
    "kkan-chebyshev": (
        KKAN,
        {"n_in": 1, "n_out": 1, "m": 4, "D_e": 4, "H": 3, "L": 0, "activation": "SiLU",
         "outer_layer_type": "chebyshev", "outer_layer_params": {"D": 3}},
    ),
    "actnet": (ActNet, {"layer_dims": [2, 5, 5, 1], "N": 3, "omega0": 2.5}),
    "actnet-projected": (ActNet, {"layer_dims": [2, 4, 5, 1], "use_projections": True}),
    "actnet-fixed": (ActNet, {"layer_dims": [2, 4, 1], "train_basis": False, "add_bias": False}),
    "rgakan": (RGAKAN, {"n_in": 2, "n_out": 2, "n_hidden": 4, "num_blocks": 1, "sine_D": 3, "alpha": 0.3, "beta": 0.6}),
    "rgakan-embedded": (
        RGAKAN,
        {"n_in": 2, "n_out": 1, "n_hidden": 4, "num_blocks": 0, "rff_std": 0.8, "alpha": 0.2,
         "period_axes": {1: (np.pi, True)}, "init_scheme": {"type": "lecun"}},
    ),
}  # fmt: skip
SLOW = ("kkan-chebyshev", "actnet-fixed", "rgakan-embedded")  # what they add to the others is little


def theirs(module: str):
    """A module of jaxKAN."""
    if importlib.util.find_spec("jaxkan") is None:
        pytest.skip(f"jaxkan is not installed (it needs Python < 3.13; this is {sys.version.split()[0]})")
    return importlib.import_module(f"jaxkan.{module}")


def both(name: str):
    """jaxKAN's model and ours, made with the same arguments."""
    cls, arguments = MODELS[name]
    return getattr(theirs(f"models.{cls.__name__}"), cls.__name__)(**arguments, seed=3), cls(**arguments, seed=3)


def parameters_of(module: nnx.Module) -> dict[tuple, np.ndarray]:
    return {path: np.asarray(value[...]) for path, value in nnx.to_flat_state(nnx.state(module, nnx.Param))}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODELS],
)
def test_draws_and_outputs_equal_jaxkan(name):
    """All draws, but for the layers of an RGAKAN to which jaxKAN gives the seed of the first gate."""
    reference, model = both(name)
    drawn, expected = parameters_of(model), parameters_of(reference)
    assert list(drawn) == list(expected)
    apart = [path for path in drawn if path[0] in ("V", "blocks") and path[-1] == "c_basis"]
    assert len(apart) == {"rgakan": 3, "rgakan-embedded": 1}.get(name, 0)
    for path, value in drawn.items():
        if path in apart:
            assert np.max(np.abs(value - expected[path])) > 0.1
        elif path != ("FE", "B"):  # jaxKAN draws that with its default seed
            np.testing.assert_allclose(value, expected[path], rtol=1e-5, atol=1e-6)
    if name == "actnet-fixed":  # plain arrays there
        np.testing.assert_allclose(model.layers[0].omega[...], reference.layers[0].omega, rtol=1e-6)
    draw = np.random.default_rng(0)
    state = nnx.state(reference, nnx.Param)
    state = jax.tree.map(
        lambda leaf: jnp.asarray(np.asarray(leaf) + draw.normal(size=leaf.shape) / 10, jnp.float32), state
    )
    nnx.update(reference, state)
    nnx.update(model, state)
    x = draw.uniform(-1, 1, (30, 1 if name == "kkan-chebyshev" else 2)).astype(np.float32)
    y, y_expected = (np.asarray(nnx.jit(lambda found, x: found(x))(found, x)) for found in (model, reference))
    np.testing.assert_allclose(y, y_expected, atol=1e-5 * max(1.0, np.max(np.abs(y_expected))))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Flax, for what jaxKAN calls
def test_physics_informed_initialization_equals_jaxkan():
    """Without blocks, whose draws differ."""
    t, x = np.linspace(0, 1, 21), np.linspace(-1, 1, 40)
    ref = {"t": t[:, None], "x": x, "usol": np.sin(np.pi * x) * np.exp(-t[:, None])}
    arguments = {"n_in": 2, "n_out": 1, "n_hidden": 5, "num_blocks": 0, "D": 4, "sine_D": 3, "ref": ref}
    reference, model = theirs("models.RGAKAN").RGAKAN(**arguments), RGAKAN(**arguments)
    assert model.OutBasis.shape == reference.OutBasis.shape == (1, 5, 4)
    points = jnp.asarray(np.stack([np.full(40, 0.5), x], axis=1), jnp.float32)
    y, y_expected = (np.asarray(nnx.jit(lambda found, x: found(x))(found, points)) for found in (model, reference))
    np.testing.assert_allclose(y, y_expected, atol=2e-3)
    assert np.sqrt(np.mean((y[:, 0] - np.sin(np.pi * x)) ** 2)) < 0.05


@pytest.mark.slow
def test_physics_informed_initialization_in_two_dimensions():
    t, x, y = np.linspace(0, 1, 11), np.linspace(-1, 1, 51), np.linspace(-1, 1, 61)
    usol = np.tile(x[:, None] * y, (11, 1, 1))
    model = RGAKAN(3, 1, 6, 0, sine_D=5, ref={"t": t, "x": x, "y": y, "usol": usol})
    points = np.stack([a.ravel() for a in np.meshgrid(t[::10], x[::10], y[::10], indexing="ij")], axis=1)
    found = np.asarray(nnx.jit(lambda model, x: model(x))(model, points.astype(np.float32)))[:, 0]
    assert np.sqrt(np.mean((found - points[:, 1] * points[:, 2]) ** 2)) < 0.1  # its own is 0.44


class TestModels:
    @pytest.mark.parametrize("name", ["kkan", "actnet-fixed", "rgakan-embedded"])
    def test_copies_files_and_batch_shapes(self, name):
        cls, arguments = MODELS[name]
        model, x, run = cls(**arguments), jnp.full((3, 2), 0.3), nnx.jit(lambda model, x: model(x))
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            np.testing.assert_array_equal(run(other, x), run(model, x))
        assert jax.eval_shape(model, jnp.zeros((5, 3, 2))).shape[:2] == (5, 3)

    def test_fixed_sines_are_state_and_not_trained(self):
        model = ActNet([2, 3, 1], train_basis=False)
        assert {path[-1] for path, _ in nnx.to_flat_state(nnx.state(model, Grid))} == {"omega", "phase"}

    def test_gates_and_blocks_of_an_rgakan_differ(self):
        model = RGAKAN(2, 1, 4, 2, sine_D=3)
        layers = [
            model.U,
            model.V,
            *(layer for block in model.blocks for layer in (block.InputLayer, block.OutputLayer)),
        ]
        drawn = np.stack([np.ravel(layer.c_basis[...]) for layer in layers])
        assert np.min(np.linalg.norm(drawn[:, None] - drawn, axis=-1) + 9 * np.eye(len(layers))) > 0.5

    def test_the_last_layer_of_an_rgakan_has_its_degree(self):
        model = nnx.eval_shape(lambda: RGAKAN(2, 1, 4, 0, D=8, sine_D=3))
        assert model.OutLayer.c_basis.shape == (1, 4, 8)

    def test_gradients_of_sines_stay_finite_as_frequencies_vanish(self):
        layer = ActLayer(2, 3, N=4)
        layer.omega[...] = jnp.zeros(4)
        gradients = nnx.jit(nnx.grad(lambda layer, x: layer(x).sum(), argnums=(0, 1)))(layer, jnp.ones((5, 2)))
        assert all(np.isfinite(gradient).all() for gradient in jax.tree.leaves(gradients))
        assert jax.eval_shape(layer.basis, jnp.ones((5, 2))).shape == (5, 4, 2)

    def test_embeddings_of_high_degree_keep_float32(self):
        x = np.linspace(-1, 1, 50).astype(np.float32)
        embedded = np.asarray(ChebyshevEmbedding(20)(x))[:, 20] * 21
        np.testing.assert_allclose(embedded, np.cos(20 * np.arccos(x.astype(np.float64))), atol=2e-5)

    def test_activations_of_dense_layers(self):
        layer, x = DenseLayer(2, 3, activation=lambda x: x**2, add_bias=False), jnp.ones((4, 2))
        np.testing.assert_allclose(layer(x), (x @ (layer.g[...] * layer.v[...])) ** 2, rtol=1e-6)
        layer = DenseLayer(2, 3, activation=nnx.tanh)
        np.testing.assert_allclose(pickle.loads(pickle.dumps(layer))(x), layer(x))


class TestUtils:
    def test_embedders_equal_jaxkan(self):
        x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 3)), jnp.float32)
        axes = {0: (2.0, False), 2: (np.pi, True)}
        module = theirs("models.utils")
        pairs = [(found.PeriodEmbedder(axes), found.RFFEmbedder(0.7, 3, 6, seed=1)) for found in (module, utils)]
        for reference, embedder in zip(*pairs, strict=True):
            np.testing.assert_allclose(embedder(x), reference(x), atol=1e-6)
            assert parameters_of(embedder).keys() == parameters_of(reference).keys()

    @pytest.mark.parametrize(
        "options",
        [
            {"schedule_type": "exponential", "decay_steps": 3, "staircase": True},
            {"schedule_type": "cosine", "decay_steps": 8, "warmup_steps": 2},
            {"schedule_type": "polynomial", "decay_steps": 5, "decay_rate": 2.0, "b1": 0.8},
            {"schedule_type": "piecewise_constant", "boundaries": [3], "values": [0.1, 0.02]},
            {},
        ],
        ids=str,
    )
    def test_adam_equals_jaxkan(self, options):
        found = []
        for module in (theirs("models.utils"), utils):
            optimizer = module.get_adam(0.1, **options)
            found.append(_rates(optimizer))
        np.testing.assert_allclose(found[1], found[0], rtol=1e-6)

    def test_warmup_without_a_schedule(self):
        np.testing.assert_allclose(
            _rates(utils.get_adam(0.1, warmup_steps=4)), [0, 0.025, 0.05, 0.075, *[0.1] * 4], 1e-4
        )

    def test_piecewise_constant_rates_are_those_given(self):
        optimizer = utils.get_adam(schedule_type="piecewise_constant", boundaries=[2, 4], values=[0.1, 0.01, 0.05])
        np.testing.assert_allclose(_rates(optimizer), [0.1] * 2 + [0.01] * 2 + [0.05] * 4, rtol=1e-4)

    def test_lbfgs_with_a_line_search(self):
        optimizer = utils.get_lbfgs(memory_size=3)

        def loss(p):
            return jnp.sum((p - 1) ** 2 * jnp.array([1.0, 30.0]))

        @jax.jit
        def step(p, state):
            value, gradient = jax.value_and_grad(loss)(p)
            updates, state = optimizer.update(gradient, state, p, value=value, grad=gradient, value_fn=loss)
            return optax.apply_updates(p, updates), state

        p, state = jnp.zeros(2), optimizer.init(jnp.zeros(2))
        for _ in range(5):
            p, state = step(p, state)
        np.testing.assert_allclose(p, [1, 1], atol=1e-3)

    def test_complexity_counts_all_outputs(self):
        model = KAN([2, 3], "chebyshev", {"D": 3})
        x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (6, 2)), jnp.float32)
        jacobians = jax.jit(jax.vmap(jax.jacfwd(lambda point: model(point[None])[0])))(x)
        expected = np.sum(np.square(jacobians), axis=(1, 2))
        np.testing.assert_allclose(utils.batched_frob(model, x), expected, rtol=1e-4)
        np.testing.assert_allclose(utils.get_complexity(model, x[:4], x[4:]), expected.mean(), rtol=1e-4)
        one = KAN([2, 1], "chebyshev", {"D": 3})
        reference = jax.jit(theirs("models.utils").get_frob)(one, x[:1])
        np.testing.assert_allclose(jax.jit(utils.get_frob)(one, x[:1]), reference, rtol=1e-4)

    def test_counts(self):
        assert utils.count_params(ActNet([2, 3, 1], N=4)) == (12 + 6 + 8 + 3) + (4 + 3 + 8 + 1)
        assert utils.get_activation("Swish") is nnx.swish


def _rates(optimizer: optax.GradientTransformation) -> np.ndarray:
    """The learning rates of eight steps: Adam moves by one rate under equal gradients."""
    state, rates = optimizer.init(jnp.zeros(())), []
    for _ in range(8):
        update, state = optimizer.update(jnp.ones(()), state)
        rates.append(-float(update))
    return np.array(rates)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: InnerBlock(activation="tahn"), UnknownNameError, "did you mean 'tanh'"),
        (lambda: KKAN(2, 1, outer_layer_params={"d": 3}), UnknownNameError, "did you mean 'D'"),
        (lambda: KKAN(2, 1, D_e=0), EdgewiseError, "D_e must be at least 1"),
        (lambda: ActNet([3]), EdgewiseError, "inputs and outputs"),
        (lambda: ActNet([2, 3, 1])(np.ones((4, 3))), EdgewiseError, r"expected \(..., 2\)"),
        (lambda: RGAKAN(2, 1, 4, 1), EdgewiseError, "2 features reach the gates, and n_hidden=4"),
        (lambda: RGAKAN(2, 1, 5, 1, rff_std=1.0), EdgewiseError, "embed_dim=5 is odd"),
        (lambda: RGAKAN(4, 2, 4, 0, ref={}), EdgewiseError, "n_out=2 with ref"),
        (lambda: RGABlock(3, 4, 4), EdgewiseError, "differ"),
        (lambda: utils.get_adam(schedule_type="exponentail"), UnknownNameError, "did you mean 'exponential'"),
        (lambda: utils.get_adam(decay_step=3), UnknownNameError, "decay_step"),
        (lambda: utils.get_adam(schedule_type="piecewise_constant"), EdgewiseError, "are no schedule"),
        (lambda: utils.get_adam(schedule_type="piecewise_constant", boundaries=[5, 3], values=[1.0, 2.0, 3.0]),
         EdgewiseError, "do not increase"),
        (lambda: DenseLayer(2, 3, RWF={"mu": 1.0}), UnknownNameError, "mean, std"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_clear_error(make, error, message):
    with pytest.raises(error, match=message):
        make()
