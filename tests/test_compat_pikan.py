"""jaxKAN's differential equations against jaxKAN itself, and against exact solutions; its faults not reproduced."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from edgewise.compat.jaxkan.models.KAN import KAN
from edgewise.compat.jaxkan.pikan import adaptive, pde, sampling, utils
from edgewise.errors import EdgewiseError, ShapeError

PI = np.pi
NAMES = ["ac", "diffusion", "burgers", "kdv", "sg", "advection", "helmholtz", "poisson", "wave", "ks"]


def theirs(module: str):
    """A module of jaxKAN's pikan."""
    if importlib.util.find_spec("jaxkan") is None:
        pytest.skip(f"jaxkan is not installed (it needs Python < 3.13; this is {sys.version.split()[0]})")
    return importlib.import_module(f"jaxkan.pikan.{module}")


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def smooth(x):
    """Two outputs, of which residuals look at the first."""
    first = jnp.sin(1.3 * x[:, 0] + 2 * x[:, 1]) + 0.3 * x[:, 0] ** 2 * x[:, 1] ** 4
    return jnp.stack([first, jnp.cos(x[:, 0])], axis=1)


class TestResiduals:
    @pytest.mark.parametrize("name", NAMES)
    def test_equal_jaxkan(self, name):
        """With defaults, and with other coefficients given by position."""
        x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (12, 2)), jnp.float32)
        other = {"ac": (0.3, 2.0), "kdv": (2.0, 0.7), "helmholtz": (0.5, 1.5, 2.0), "poisson": (0.5, 1.5),
                 "ks": (0.7, 0.4, 0.1)}.get(name, (0.7,))  # fmt: skip
        makers = [getattr(module, f"get_{name}_res") for module in (theirs("pde"), pde)]
        for reference, ours in zip(
            *jax.jit(lambda x: [[make(*c)(smooth, x) for c in ((), other)] for make in makers])(x), strict=True
        ):
            assert ours.shape == reference.shape == (12, 1)
            np.testing.assert_allclose(ours, reference, atol=2e-5 * np.abs(reference).max())

    @pytest.mark.slow
    def test_of_networks_equal_jaxkan(self):
        """jaxKAN's model and ours, each in jaxKAN's residual and in ours, and gradients."""
        modules = theirs("pde"), pde
        other = importlib.import_module("jaxkan.models.KAN").KAN([2, 2, 1], "chebyshev", {"D": 3}, seed=1)
        model, x = KAN([2, 2, 1], "chebyshev", {"D": 3}, seed=1), draw(9, 2) / 3

        @nnx.jit
        def everything(*models):
            return [
                nnx.value_and_grad(lambda model, module=module: jnp.mean(module.get_burgers_res()(model, x) ** 2))(
                    model
                )
                for module in modules
                for model in models
            ]

        (expected, slopes), *found = everything(other, model)
        for value, gradient in found:
            np.testing.assert_allclose(value, expected, rtol=1e-4)
            for ours, wanted in zip(*(jax.tree.leaves(tree) for tree in (gradient, slopes)), strict=True):
                np.testing.assert_allclose(ours, wanted, atol=1e-4 * np.abs(wanted).max())

    def test_of_a_network_is_that_of_its_function(self):
        model, x = KAN([2, 2, 1], "chebyshev", {"D": 2}, seed=1), draw(9, 2) / 3
        step = 1e-2

        @jax.jit
        def both(x):
            ahead, behind = (model(x + sign * step * jnp.array([1.0, 3.0])) for sign in (1, -1))
            return pde.get_advection_res(3.0)(model, x), (ahead - behind) / (2 * step)

        np.testing.assert_allclose(*both(x), atol=3e-3)

    @pytest.mark.parametrize(
        ("make", "solution"),
        [
            (lambda: pde.get_ac_res(0.02, 3.0),
             lambda t, x: 0.5 - 0.5 * jnp.tanh((x - 3 * np.sqrt(0.06 / 2) * t) * np.sqrt(3 / 0.16))),
            (lambda: pde.get_diffusion_res(), lambda t, x: jnp.exp(-0.25 * PI**2 * t) * jnp.sin(PI * x)),
            (lambda: pde.get_burgers_res(0.3), lambda t, x: 0.4 - 0.5 * jnp.tanh(0.5 * (x - 0.4 * t) / 0.6)),
            (lambda: pde.get_kdv_res(6.0, 0.5),
             lambda t, x: 0.4 / jnp.cosh(np.sqrt(0.8) / (2 * 0.5) * (x - 0.8 * t)) ** 2),
            (lambda: pde.get_sg_res(1.5), lambda t, x: 4 * jnp.arctan(jnp.exp((x - 0.6 * t) / np.sqrt(1.5 - 0.36)))),
            (lambda: pde.get_advection_res(), lambda t, x: jnp.sin(x - 20 * t)),
            (lambda: pde.get_helmholtz_res(), lambda x, y: jnp.sin(PI * x) * jnp.sin(4 * PI * y)),
            (lambda: pde.get_poisson_res(2.0, 3.0), lambda x, y: jnp.sin(2 * PI * x) * jnp.sin(3 * PI * y)),
            (lambda: pde.get_wave_res(), lambda t, x: jnp.sin(PI * x) * jnp.cos(2 * PI * t)),
        ],
        ids=NAMES[:-1],
    )  # fmt: skip
    def test_vanish_at_exact_solutions_in_float64(self, make, solution):
        """jaxKAN rounds coefficients to float32: its residuals stop at 1e-7 of their terms."""
        with jax.enable_x64(True):
            x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 2)))
            residual = jax.jit(lambda x: make()(lambda x: solution(x[:, :1], x[:, 1:]), x))(x)
            assert residual.dtype == jnp.float64
            np.testing.assert_allclose(residual, np.zeros((8, 1)), atol=1e-11)

    def test_of_kuramoto_sivashinsky_is_exact(self):
        with jax.enable_x64(True):
            x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 2)))
            t, s = x[:, :1], 3 * x[:, 1:]
            found = jax.jit(pde.get_ks_res(), static_argnums=0)(lambda x: jnp.exp(-x[:, :1]) * jnp.sin(3 * x[:, 1:]), x)
            u, slope = jnp.exp(-t) * jnp.sin(s), 3 * jnp.exp(-t) * jnp.cos(s)
            expected = -u + 6.25 * u * slope - 9 * 100 / 256 * u + 81 * 100 / 65536 * u
            np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_coefficients_may_be_trained(self):
        x = draw(5, 2)
        total = jax.jit(jax.value_and_grad(lambda c: pde.get_advection_res(c)(smooth, x).sum()))
        (low, slope), (high, _) = total(2.0), total(3.0)
        np.testing.assert_allclose(slope, high - low, rtol=1e-4)

    def test_whole_numbers_are_points(self):
        whole = pde.get_advection_res()(smooth, np.ones((3, 2), int))
        np.testing.assert_array_equal(whole, pde.get_advection_res()(smooth, np.ones((3, 2), np.float32)))

    def test_wrong_shapes_are_told(self):
        residual = pde.get_advection_res()
        for points in (np.ones(2), np.ones((4, 3))):
            with pytest.raises(ShapeError, match=r"collocs has shape .*expected \(N, 2\)"):
                residual(smooth, points)
        with pytest.raises(ShapeError, match=r"the model returns \(4,\) for \(4, 2\)"):
            residual(lambda x: x[:, 0], np.ones((4, 2)))


class TestSampling:
    def test_equals_jaxkan(self):
        reference = theirs("sampling")
        grid = [(-1.0, 0.5, 4), (0, 2, 3), (1.0, 1.0, 1)]
        for name, arguments in {
            "get_collocs_grid": (grid,),
            "get_collocs_random": ([(-1.0, 0.5), (0, 2)], 7),
            "get_collocs_sobol": ([(-1.0, 0.5), (0, 2)], 16),
        }.items():
            for seed in ({}, {"seed": 3}) if name != "get_collocs_grid" else ({},):
                ours, expected = (getattr(module, name)(*arguments, **seed) for module in (sampling, reference))
                assert ours.dtype == expected.dtype
                np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-7)

    def test_a_thousand_points_are_a_thousand(self):
        """jaxKAN gives 512."""
        points = sampling.get_collocs_sobol([(0.0, 1.0), (-2.0, 2.0)], 1000)
        assert points.shape == (1000, 2)
        np.testing.assert_array_equal(points[:512], sampling.get_collocs_sobol([(0.0, 1.0), (-2.0, 2.0)], 512))

    @pytest.mark.parametrize("draw", [sampling.get_collocs_random, sampling.get_collocs_sobol])
    def test_bad_ranges_are_told(self, draw):
        for ranges, points in (([(1, 0)], 4), ([(0, np.nan)], 4), ([(0, 1, 5)], 4), ([], 4), ([(0, 1)], 0)):
            with pytest.raises(EdgewiseError, match=r"range|total_points"):
                draw(ranges, points)
        with pytest.raises(EdgewiseError, match="number of points in a range must be at least 1"):
            sampling.get_collocs_grid([(0, 1, 0)])


class TestAdaptive:
    def test_attention_equals_jaxkan(self):
        reference, residuals, weights = theirs("adaptive"), draw(9, 1), jnp.abs(draw(9, 1, seed=1))
        for module_function in ("update_rba_weights", "apply_rba_weights"):
            arguments = (residuals, weights) + ((0.9, 0.1) if module_function == "update_rba_weights" else ())
            ours, expected = (getattr(module, module_function)(*arguments) for module in (adaptive, reference))
            assert ours.shape == expected.shape == (9, 1)
            np.testing.assert_allclose(ours, expected, rtol=1e-6)
        none = jnp.zeros((9, 1))
        np.testing.assert_allclose(adaptive.update_rba_weights(none, weights, 0.9, 0.1), 0.9 * weights, rtol=1e-6)
        slope = jax.grad(lambda w: adaptive.apply_rba_weights(residuals, w).sum())(weights)
        np.testing.assert_array_equal(slope, np.zeros((9, 1)))

    def test_causal_weights_equal_jaxkan(self):
        losses, matrix = jnp.abs(draw(6)), jnp.triu(jnp.ones((6, 6)), 1).T
        expected = theirs("adaptive").get_causal_weights(losses, matrix, 0.7)
        np.testing.assert_allclose(adaptive.get_causal_weights(losses, matrix, 0.7), expected, rtol=1e-6)
        column = adaptive.get_causal_weights(losses[:, None], matrix, 0.7)
        np.testing.assert_allclose(column, expected[:, None], rtol=1e-6)
        slope = jax.grad(lambda losses: adaptive.get_causal_weights(losses, matrix, 0.7).sum())(losses)
        np.testing.assert_array_equal(slope, np.zeros(6))

    def test_a_later_chunk_that_blows_up_leaves_the_first_ones(self):
        """jaxKAN multiplies it by the 0 of the matrix: their weights are NaN."""
        matrix = np.tril(np.ones((3, 3)), -1)
        weights = adaptive.get_causal_weights(np.array([1.0, np.inf, 1.0]), matrix, 1.0)
        np.testing.assert_allclose(weights, [1, np.exp(-1), 0], rtol=1e-6)

    @pytest.mark.parametrize(("a", "c"), [(1.0, 1.0), (2.0, 0.0)])
    def test_probabilities_equal_jaxkan(self, a, c):
        residuals = draw(20, 1)
        expected = theirs("adaptive").get_rad_probabilities(residuals, a, c)
        found = adaptive.get_rad_probabilities(residuals, a, c)
        assert found.shape == expected.shape == (20,)
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_draws_equal_jaxkan(self):
        reference, residuals, pool = theirs("adaptive"), draw(40, 1), draw(40, 2, seed=1)
        old, weights = jnp.arange(3, 13), jnp.abs(draw(10, 1, seed=2))
        arguments = (pool, residuals, old, weights, jnp.ones((40, 1)), 10, 1.5, 0.5, 7)
        for ours, expected in zip(
            adaptive.get_rad_indices(*arguments), reference.get_rad_indices(*arguments), strict=True
        ):
            assert ours.dtype == expected.dtype
            np.testing.assert_allclose(ours, expected, rtol=1e-5)
        rows = adaptive.get_colloc_indices(pool, 10, np.full(40, 1 / 40), 5)
        np.testing.assert_array_equal(rows, reference.get_colloc_indices(pool, 10, jnp.full(40, 1 / 40), 5))
        assert len(set(rows.tolist())) == 10
        assert np.all(np.diff(pool[rows, 0]) > 0)

    def test_draws_follow_the_probabilities(self):
        px = np.array([0.5, 0.3, 0.15, 0.05], np.float32)
        drawn = jax.vmap(lambda seed: adaptive.get_colloc_indices(np.zeros((4, 1)), 1, px, seed)[0])(jnp.arange(4000))
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, px, atol=0.03)

    def test_small_residuals_count_as_large_ones_do(self):
        """In jaxKAN eps=1e-12 outweighs them: the draw is uniform where |r|^a is small."""
        residuals, ones = draw(20, 1), jnp.ones((20, 1))
        found = adaptive.get_rad_probabilities(1e-9 * residuals, 2.0, 0.1)
        np.testing.assert_allclose(found, adaptive.get_rad_probabilities(residuals, 2.0, 0.1), rtol=1e-4)
        small, large = (adaptive.update_rba_weights(size * residuals, ones, 0.9, 0.1) for size in (1e-12, 1.0))
        np.testing.assert_allclose(small, large, rtol=1e-5)

    @pytest.mark.parametrize("residuals", [np.zeros((5, 1)), np.array([[1.0], [np.nan], [2.0], [0.0], [1.0]])])
    def test_draws_are_uniform_where_nothing_is_known(self, residuals):
        np.testing.assert_allclose(adaptive.get_rad_probabilities(residuals, 1.0, 0.0), np.full(5, 0.2), rtol=1e-6)

    def test_several_equations_count_together(self):
        """jaxKAN returns the first column, of sum below 1."""
        px = adaptive.get_rad_probabilities(np.array([[3.0, 4.0], [0.0, 10.0], [1.0, 0.0]]), 1.0, 0.0)
        np.testing.assert_allclose(px, np.array([5, 10, 1]) / 16, rtol=1e-6)

    def test_annealing_equals_jaxkan(self):
        grads = [{"a": draw(3, 2), "b": draw(2)}, {"a": 1e-3 * draw(3, 2, seed=1), "b": jnp.zeros(2)}]
        grads.append({"a": jnp.zeros((3, 2)), "b": jnp.zeros(2)})
        lambdas = (1.0, jnp.asarray(2.0), 3.0)
        found = adaptive.lr_anneal(grads, lambdas, 0.9)
        assert isinstance(found, tuple)
        np.testing.assert_allclose(found, theirs("adaptive").lr_anneal(grads, lambdas, 0.9), rtol=1e-5)

    def test_annealing_of_small_and_of_no_gradients(self):
        """jaxKAN: NaN."""
        grads = [{"a": draw(3, 2)}, {"a": draw(3, 2, seed=1)}]
        small, none = (jax.tree.map(lambda leaf, size=size: size * leaf, grads) for size in (1e-30, 0.0))
        large = adaptive.lr_anneal(grads, (1.0, 2.0), 0.9)
        np.testing.assert_allclose(adaptive.lr_anneal(small, (1.0, 2.0), 0.9), large, rtol=1e-5)
        np.testing.assert_array_equal(adaptive.lr_anneal(none, (1.0, 2.0), 0.9), [1, 2])

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (lambda: adaptive.update_rba_weights(np.ones((4, 1)), np.ones(4), 0.9, 0.1), ShapeError, "weights have"),
            (lambda: adaptive.apply_rba_weights(np.ones(4), np.ones((4, 1))), ShapeError, "weights have"),
            (lambda: adaptive.get_causal_weights(np.ones(4), np.ones((3, 3)), 1.0), ShapeError, "do not multiply"),
            (lambda: adaptive.get_rad_probabilities(np.ones(4), 1.0, 1.0), ShapeError, r"expected \(N, 1\)"),
            (lambda: adaptive.get_colloc_indices(np.ones((4, 2)), 2, np.ones((4, 1)), 0), ShapeError, "px"),
            (lambda: adaptive.get_colloc_indices(np.ones((4, 2)), 5, np.ones(4), 0), EdgewiseError, "more than the 4"),
            (lambda: adaptive.lr_anneal([], [], 0.9), EdgewiseError, "0 gradients"),
            (lambda: adaptive.lr_anneal([np.ones(2)], [1.0, 2.0], 0.9), EdgewiseError, "1 gradients and 2 weights"),
        ],
    )  # fmt: skip
    def test_bad_input_gets_a_clear_error(self, call, error, message):
        with pytest.raises(error, match=message):
            call()


class TestModelEval:
    def test_equals_jaxkan(self):
        points, on_grid = draw(12, 2), draw(3, 4, seed=1)
        expected = theirs("utils").model_eval(lambda x: smooth(x)[:, :1], points, on_grid)
        found = utils.model_eval(lambda x: smooth(x)[:, :1], points, on_grid)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        compiled = jax.jit(lambda x, y: utils.model_eval(lambda x: smooth(x)[:, :1], x, y))(points, on_grid)
        np.testing.assert_allclose(compiled, expected, rtol=1e-6)
        reference = np.asarray(smooth(points)) * np.float64(1 + 1e-9)
        np.testing.assert_allclose(utils.model_eval(smooth, points, reference), 1e-9, rtol=1e-4)

    def test_outputs_are_not_shuffled(self):
        with pytest.raises(ShapeError, match=r"the model returns \(6, 2\), and refsol has shape \(2, 6\)"):
            utils.model_eval(smooth, draw(6, 2), np.ones((2, 6)))
        with pytest.raises(ShapeError, match="refsol"):
            utils.model_eval(smooth, draw(6, 2), np.ones((6, 1)))
