"""Random parameters: the generator of JAX by NumPy, and the laws made of it."""

import flax
import jax
import numpy as np
import pytest
from flax import nnx
from scipy import stats

import edgewise as ew
from edgewise.bases import RBF, BSpline, Chebyshev, Fourier, Rational, ReLUBump, Wavelet
from edgewise.nn import threefry
from edgewise.nn.draws import draw_units, next_key
from model_checks import Compilations

LAWS = ("normal", "truncated_normal", "uniform")
SEEDS = (0, 42, 2**31 + 5)


def by_jax(key, stream, shape, law):
    return np.asarray(jax.jit(lambda key: draw_units(key, stream, shape, law))(key))


@pytest.mark.parametrize("seed", SEEDS)
def test_bits_and_keys_are_those_of_jax(seed):
    key = jax.random.key(seed)
    data = np.asarray(jax.random.key_data(key))
    for number in (0, 1, 2**32 - 1):
        folded = jax.random.key_data(jax.random.fold_in(key, np.uint32(number)))
        np.testing.assert_array_equal(threefry.fold_in(data, number), folded)
    drawn = np.concatenate(list(threefry.bits(data, 40_000)))  # several blocks
    np.testing.assert_array_equal(drawn, jax.random.bits(key, (40_000,)))
    np.testing.assert_array_equal(np.asarray(jax.random.key_data(key)), data)


def test_known_answers_of_threefry():
    # Random123's kat_vectors: threefry2x32 with 20 rounds
    for key, counter, answer in [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ]:
        x, y = (np.array([part], np.uint32) for part in counter)
        assert tuple(int(part[0]) for part in threefry._threefry(np.array(key, np.uint32), x, y)) == answer


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seed", SEEDS)
def test_concrete_and_traced_keys_give_the_same_numbers(seed, law):
    key, shape = jax.random.key(seed), (5, 30, 200)
    units = draw_units(key, 3, shape, law)
    assert isinstance(units, np.ndarray)
    assert (units.dtype, units.shape) == (np.float32, shape)
    np.testing.assert_allclose(units, by_jax(key, 3, shape, law), rtol=0, atol=2e-6)


def test_nothing_can_be_drawn():
    assert draw_units(jax.random.key(0), 1, (0, 2, 3), "normal").shape == (0, 2, 3)


@pytest.mark.parametrize("law", LAWS)
def test_numbers_follow_their_law(law):
    units = draw_units(jax.random.key(1), 0, (400, 500), law).ravel()
    std = 0.87962566103423978
    cdf = {
        "normal": stats.norm.cdf,
        "truncated_normal": stats.truncnorm(-2, 2, scale=1 / std).cdf,
        "uniform": stats.uniform(-(3**0.5), 2 * 3**0.5).cdf,
    }[law]
    assert stats.kstest(units, cdf).pvalue > 1e-3
    assert units.mean() == pytest.approx(0, abs=0.01)
    assert units.var() == pytest.approx(1, abs=0.01)


def test_a_prefix_does_not_depend_on_the_count():
    key = jax.random.key(0)
    few, many = (draw_units(key, 1, (count,), "normal") for count in (100, 100_000))
    np.testing.assert_array_equal(few, many[:100])


def test_streams_and_keys_differ():
    one, other = jax.random.split(jax.random.key(0))
    draws = [draw_units(key, stream, (1000,), "normal") for key in (one, other) for stream in (1, 2)]
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 0.15


def test_other_generators_are_left_to_jax():
    key = jax.random.key(0, impl="rbg")
    np.testing.assert_array_equal(draw_units(key, 1, (50,), "normal"), by_jax(key, 1, (50,), "normal"))
    key = jax.random.key(0)
    with jax.threefry_partitionable(False):
        units = draw_units(key, 1, (50,), "normal")
        np.testing.assert_array_equal(units, by_jax(key, 1, (50,), "normal"))
    assert np.abs(units - draw_units(key, 1, (50,), "normal")).max() > 0.1


@pytest.mark.parametrize(
    "options", [{"default": 7}, {"params": 7}, {"params": jax.random.key(7), "default": 1}], ids=str
)
def test_keys_come_in_turn_as_from_flax(options):
    ours, theirs = nnx.Rngs(**options), nnx.Rngs(**options)
    for _ in range(3):
        assert next_key(ours.params) == theirs.params()
        assert ours.params() == theirs.params()  # whoever asks next
    assert next_key(theirs.params) == ours.params()
    counts = [rngs.params.count[...] for rngs in (ours, theirs)]
    assert counts[0] == counts[1]
    assert counts[0].dtype == counts[1].dtype


def test_traced_streams_are_left_to_flax():
    keys = nnx.split_rngs(splits=3)(nnx.vmap(lambda rngs: next_key(rngs.params)))(nnx.Rngs(0))
    streams = nnx.split_rngs(splits=3)(nnx.vmap(lambda rngs: rngs.params()))(nnx.Rngs(0))
    assert (keys == streams).all()
    rngs = nnx.Rngs(0)
    assert nnx.jit(lambda rngs: next_key(rngs.params))(rngs) == nnx.Rngs(0).params()
    assert rngs.params.count[...] == 1
    with pytest.raises(flax.errors.TraceContextError):
        jax.jit(lambda: jax.random.key_data(next_key(rngs.params)))()


@pytest.mark.parametrize(
    "basis", [Chebyshev(7), BSpline(), Fourier(), RBF(), Wavelet(), ReLUBump(), Rational()], ids=str
)
def test_a_network_of_a_concrete_key_compiles_nothing(basis):
    rngs = nnx.Rngs(0)
    with Compilations() as new_ones:
        ew.KAN([2, 11, 13, 1], basis, edge_scale=True, rngs=rngs)
    assert new_ones.count == 0
