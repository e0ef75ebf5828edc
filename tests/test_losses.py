"""Losses against scikit-learn, SciPy and closed forms in float64; what they refuse; objectives and their residuals."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special, stats
from sklearn import metrics
from sklearn.utils.class_weight import compute_sample_weight

from edgewise import KAN, Chebyshev
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.training.losses import (
    LOSSES,
    MAE,
    MSE,
    SCORES,
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    Poisson,
    Quantile,
    resolve_loss,
)
from edgewise.training.objective import LeastSquares, Objective

rng = np.random.default_rng(0)
N = 12
WEIGHT = rng.uniform(0, 2, N) * (np.arange(N) % 4 > 0)
PREDICTED, Y = rng.normal(size=(N, 3)), rng.normal(size=(N, 3))
COUNTS = rng.poisson(2.0, (N, 3))
LOGITS, LABELS = 3 * rng.normal(size=(N, 4)), rng.permutation(np.arange(N) % 4)
BINARY = rng.integers(0, 2, (N, 3))
CLASS_WEIGHT = (0.5, 2.0, 0.0, 1.5)


def softmax(logits):
    return special.softmax(logits, axis=1)


def smoothed(predicted, y, sample_weight, e):
    target = (1 - e) * np.eye(4)[y] + e / 4
    return np.average(-(target * special.log_softmax(predicted, axis=1)).sum(axis=1), weights=sample_weight)


def several(predicted, y, sample_weight, quantiles):
    columns = enumerate(quantiles)
    return np.mean([pinball(predicted[:, j], y[:, j], sample_weight, q) for j, q in columns])


def pinball(predicted, y, sample_weight, q):
    return metrics.mean_pinball_loss(y, predicted, sample_weight=sample_weight, alpha=q)


def squared(predicted, y, sample_weight):
    return metrics.mean_squared_error(y, predicted, sample_weight=sample_weight)


def half_deviance(predicted, y, sample_weight):
    columns = [
        metrics.mean_poisson_deviance(y[:, j], np.exp(predicted[:, j]), sample_weight=sample_weight) for j in range(3)
    ]
    return np.mean(columns) / 2


def log_loss(predicted, y, sample_weight, classes=range(4)):
    return metrics.log_loss(y, softmax(predicted), sample_weight=sample_weight, labels=list(classes))


def by_class(predicted, y, sample_weight):
    ours = compute_sample_weight(dict(enumerate(CLASS_WEIGHT)), y)
    return log_loss(predicted, y, ours if sample_weight is None else ours * sample_weight)


def binary(predicted, y, sample_weight, class_weight=(1, 1)):
    weight = np.where(y == 1, class_weight[1], class_weight[0]) * (
        1 if sample_weight is None else sample_weight[:, None]
    )
    return metrics.log_loss(y.ravel(), special.expit(predicted).ravel(), sample_weight=weight.ravel())


# loss, predictions, targets, reference(predicted, y, sample_weight)
CASES = {
    "mse": (MSE(), PREDICTED, Y, squared),
    "mae": (MAE(), PREDICTED, Y, lambda p, y, w: metrics.mean_absolute_error(y, p, sample_weight=w)),
    "huber": (Huber(), PREDICTED, Y, lambda p, y, w: np.average(special.huber(1.0, p - y).mean(axis=1), weights=w)),
    "huber 0.3": (Huber(0.3), PREDICTED, Y, lambda p, y, w: np.average(special.huber(0.3, p - y).mean(1), weights=w)),
    "quantile": (Quantile(0.9), PREDICTED, Y, partial(several, quantiles=(0.9, 0.9, 0.9))),
    "quantiles": (Quantile((0.1, 0.5, 0.9)), PREDICTED, Y, partial(several, quantiles=(0.1, 0.5, 0.9))),
    "poisson": (Poisson(), PREDICTED, COUNTS, half_deviance),
    "cross_entropy": (CrossEntropy(), LOGITS, LABELS, log_loss),
    "cross_entropy by class": (CrossEntropy(CLASS_WEIGHT), LOGITS, LABELS, by_class),
    "cross_entropy smoothed": (CrossEntropy(label_smoothing=0.2), LOGITS, LABELS, partial(smoothed, e=0.2)),
    "binary": (BinaryCrossEntropy(), PREDICTED, BINARY, binary),
    "binary by class": (BinaryCrossEntropy((0.5, 3.0)), PREDICTED, BINARY, partial(binary, class_weight=(0.5, 3.0))),
}  # fmt: skip


@partial(jax.jit, static_argnums=0)
def measured(loss, predicted, y, weight=None):
    """Loss, total weight and score, compiled: one program a loss and shape."""
    return loss(predicted, y, weight), loss.total_weight(predicted, y, weight), loss.score(predicted, y, weight)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
@pytest.mark.parametrize("case", CASES)
def test_a_loss_is_its_formula(case, weight):
    loss, predicted, y, reference = CASES[case]
    loss.check(predicted.shape, y, weight)
    assert float(measured(loss, predicted, y, weight)[0]) == pytest.approx(reference(predicted, y, weight), rel=2e-6)
    with jax.enable_x64(True):
        assert float(measured(loss, predicted, y, weight)[0]) == pytest.approx(
            reference(predicted, y, weight), rel=1e-12
        )


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_differences(case):
    loss, predicted, y, _ = CASES[case]
    direction = np.random.default_rng(1).normal(size=predicted.shape)
    along = jax.jit(lambda t: loss(predicted + t * direction, y, WEIGHT))
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(along))(0.0)
        assert float(slope) == pytest.approx(float(along(1e-6) - along(-1e-6)) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_samples_of_weight_0_are_not_there_and_blocks_add_up(case):
    loss, predicted, y, _ = CASES[case]
    whole = float(measured(loss, predicted, y, WEIGHT)[0])
    strange = np.where(WEIGHT.reshape(-1, 1) > 0, predicted, 20.0)
    assert float(measured(loss, strange, y, WEIGHT)[0]) == pytest.approx(whole, rel=1e-6)
    for weight in (WEIGHT, None):
        parts = [
            measured(loss, predicted[rows], y[rows], None if weight is None else weight[rows])
            for rows in (slice(0, 6), slice(6, N))
        ]
        merged = sum(value * share for value, share, _ in parts) / sum(share for _, share, _ in parts)
        assert float(merged) == pytest.approx(float(measured(loss, predicted, y, weight)[0]), rel=1e-5)
    assert float(measured(loss, predicted, y, np.zeros(N))[0]) == 0


@pytest.mark.parametrize("name", CASES)
def test_ranks_are_promoted_nowhere(name):
    loss, predicted, y, _ = CASES[name]
    with jax.numpy_rank_promotion("raise"):  # which users may have set
        jax.eval_shape(lambda predicted: measured(loss, predicted, y, np.ones(N)), predicted)


def test_integer_weights_are_repetitions():
    counts = np.arange(N) % 3
    repeated = np.repeat(np.arange(N), counts)
    for loss, predicted, y, _ in CASES.values():
        given = measured(loss, predicted, y, counts.astype(float))
        alike = measured(loss, predicted[repeated], y[repeated])
        assert float(given[0]) == pytest.approx(float(alike[0]), rel=1e-5)
        assert float(given[2]) == pytest.approx(float(alike[2]), rel=1e-5)
    assert float(measured(MSE(), PREDICTED, Y, counts)[0]) == pytest.approx(squared(PREDICTED, Y, counts), rel=1e-5)


def test_scores():
    score = lambda loss, *arguments: pytest.approx(float(loss.score(*arguments)), rel=1e-5)
    right = LOGITS.argmax(axis=1)
    assert metrics.accuracy_score(LABELS, right, sample_weight=WEIGHT) == score(CrossEntropy(), LOGITS, LABELS, WEIGHT)
    assert metrics.accuracy_score(LABELS, right) == score(CrossEntropy(CLASS_WEIGHT), LOGITS, LABELS)
    yes = PREDICTED > 0
    assert (yes == BINARY).mean() == score(BinaryCrossEntropy(), PREDICTED, BINARY)
    assert squared(PREDICTED, Y, WEIGHT) == score(Huber(), PREDICTED, Y, WEIGHT)
    assert squared(np.exp(PREDICTED), COUNTS, None) == score(Poisson(), PREDICTED, COUNTS)
    names = {name: loss.score_name for name, loss in LOSSES.items()}
    assert {name for name, score in names.items() if score == "accuracy"} == {"cross_entropy", "binary_cross_entropy"}
    assert set(names.values()) == {"accuracy", "mse"}
    assert float(SCORES["cross_entropy"](LOGITS, LABELS)) == score(CrossEntropy(), LOGITS, LABELS)


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(label_smoothing=0.1), BinaryCrossEntropy(), MSE(), MAE(),
                                  Huber(), Quantile(), Poisson()], ids=str)  # fmt: skip
def test_far_predictions_are_exact_and_have_finite_gradients(loss):
    far = np.array([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0], [20.0, -20.0], [1e4, 1e4]])
    if isinstance(loss, Poisson):
        far = np.minimum(far, 80)
    y = np.array([0, 0, 1, 0, 1]) if isinstance(loss, CrossEntropy) else np.array([[1, 0]] * 5)
    value_and_gradient = jax.jit(jax.value_and_grad(lambda predicted: loss(predicted, y)))
    value, gradient = value_and_gradient(np.float32(far))
    with jax.enable_x64(True):
        exact, slopes = value_and_gradient(far)
    assert float(value) == pytest.approx(float(exact), rel=1e-5)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_sure_answers_keep_their_small_loss():
    # float32 has exp(-30) = 9.4e-14, but not 1 + exp(-30)
    assert float(BinaryCrossEntropy()(np.float32([30.0]), np.array([1]))) == pytest.approx(np.exp(-30.0), rel=1e-5)
    for mu, y in ((1e6, 1.001e6), (3.0, 0.0), (1e-6, 0.0)):
        deviance = special.xlogy(y, y / mu) - y + mu
        got = float(Poisson()(np.float32([np.log(mu)]), np.float32([y])))
        assert got == pytest.approx(deviance, rel=0.05 if y > 1e5 else 1e-5)


@pytest.mark.parametrize("loss", [Huber(0.5), MAE(), Quantile(0.3)], ids=str)
def test_kinks_have_finite_gradients(loss):
    gradient = jax.jit(jax.grad(lambda predicted: 3 * loss(predicted, np.zeros(3))))(np.float32([0, 0.5, -0.5]))
    slopes = {Huber: [0, 0.5, -0.5], MAE: [0, 1, -1], Quantile: [0.2, 0.7, -0.3]}
    np.testing.assert_allclose(gradient, slopes[type(loss)], rtol=1e-6)


def test_the_minimum_of_quantile_is_the_quantile_and_of_poisson_the_log_mean():
    sample = stats.expon.rvs(size=400, random_state=0)
    grid = np.linspace(0, 4, 801)
    losses = jax.vmap(lambda level: Quantile(0.8)(jnp.full(400, level), sample))(grid)
    assert grid[np.argmin(losses)] == pytest.approx(np.quantile(sample, 0.8), abs=0.02)
    slope = jax.grad(lambda rate: Poisson()(jnp.full(N, rate), COUNTS[:, 0]))(np.log(COUNTS[:, 0].mean()))
    assert float(slope) == pytest.approx(0, abs=1e-6)


def test_one_target_serves_several_quantiles():
    loss, y = Quantile((0.1, 0.5, 0.9)), Y[:, 0]
    for target in (y, y[:, None]):
        loss.check(PREDICTED.shape, target)
        expected = several(PREDICTED, np.tile(y[:, None], 3), None, (0.1, 0.5, 0.9))
        assert float(loss(PREDICTED, target)) == pytest.approx(expected, rel=1e-6)
    assert float(loss.score(PREDICTED, y)) == pytest.approx(np.mean((PREDICTED - y[:, None]) ** 2), rel=1e-6)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "poisson", "quantile", "binary_cross_entropy"])
def test_a_column_and_a_vector_are_compared_one_by_one(name):
    loss = LOSSES[name]
    y = {"poisson": COUNTS, "binary_cross_entropy": BINARY}.get(name, Y)[:, 0]
    value = float(loss(PREDICTED[:, 0], y, WEIGHT))
    for predicted, target in ((PREDICTED[:, :1], y), (PREDICTED[:, 0], y[:, None]), (PREDICTED[:, :1], y[:, None])):
        loss.check(predicted.shape, target, WEIGHT)
        assert float(loss(predicted, target, WEIGHT)) == pytest.approx(value, rel=1e-6)
        assert float(loss.score(predicted, target)) == pytest.approx(float(loss.score(PREDICTED[:, 0], y)), rel=1e-6)
    assert float(CrossEntropy()(LOGITS, LABELS[:, None])) == pytest.approx(log_loss(LOGITS, LABELS, None), rel=1e-6)


CALLS = {
    "call": lambda loss, predicted, y: loss(predicted, y),
    "check": lambda loss, predicted, y: loss.check(predicted.shape, y),
    "score": lambda loss, predicted, y: jax.jit(loss.score)(predicted, y),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_targets_of_another_shape_are_refused(call):
    with pytest.raises(ShapeError, match="never broadcast"):
        call(MSE(), PREDICTED, Y[:, :2])
    with pytest.raises(ShapeError, match="never broadcast"):
        call(MSE(), PREDICTED, Y[:, 0])
    with pytest.raises(ShapeError, match=r"give the model 3 output\(s\)"):
        call(MAE(), PREDICTED[:, :1], Y)
    with pytest.raises(ShapeError, match="11 targets for 12 predictions"):
        call(Huber(), PREDICTED, Y[1:])
    with pytest.raises(ShapeError, match="1 targets for 12 predictions"):
        call(Poisson(), PREDICTED, Y[:1])
    with pytest.raises(ShapeError, match="no targets"):
        call(MSE(), PREDICTED, np.float32(1))
    with pytest.raises(ShapeError, match=r"y.argmax\(axis=1\)"):
        call(CrossEntropy(), LOGITS, np.eye(4, dtype=int)[LABELS])
    with pytest.raises(ShapeError, match="binary_cross_entropy"):
        call(CrossEntropy(), LOGITS[:, :1], LABELS)
    with pytest.raises(DataError, match=r"y.astype\(int\)"):
        call(CrossEntropy(), LOGITS, LABELS.astype(np.float32))
    with pytest.raises(ShapeError, match="2 class weights for 4 classes"):
        call(CrossEntropy((1.0, 2.0)), LOGITS, LABELS)
    with pytest.raises(ShapeError, match="2 quantiles for predictions of shape"):
        call(Quantile((0.1, 0.9)), PREDICTED, Y)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (CrossEntropy(), np.where(np.arange(N) == 5, 4, LABELS), r"label 4 \(sample 5\) is out of range for 4 classes"),
        (CrossEntropy(), np.where(np.arange(N) == 5, -1, LABELS), r"label -1 \(sample 5\)"),
        (CrossEntropy(), LABELS.astype(str), "must be real numbers, got <U"),
        (MSE(), LOGITS * 1j, "must be real numbers, got complex128"),
        (MSE(), np.where(np.arange(4) == 2, np.nan, LOGITS), r"not finite: nan \(sample 0\)"),
        (MAE(), jnp.full((N, 4), jnp.inf, jnp.bfloat16), "not finite: inf"),
        (Poisson(), np.where(np.arange(4) == 1, -2.0, LOGITS**2), r"target -2.0 \(sample 0\) is negative"),
        (BinaryCrossEntropy(), (LOGITS > 0) * 2, r"target 2 \(sample \d+\) is neither 0 nor 1"),
    ],
    ids=lambda value: str(value) if isinstance(value, Loss) else "",
)
def test_targets_that_a_loss_does_not_allow(loss, y, message):
    with pytest.raises(DataError, match=message):
        loss.check((N, 4), y)


def test_a_label_out_of_range_never_counts_as_a_class():
    assert np.isnan(CrossEntropy()(LOGITS, np.full(N, 4)))
    assert np.isnan(CrossEntropy()(LOGITS, np.full(N, -1)))


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (np.ones(N - 1), ShapeError, r"shape \(12,\)"),
        (np.ones((N, 1)), ShapeError, r"weight.reshape\(-1\)"),
        (-np.ones(N), DataError, r"sample weight -1.0 \(sample 0\) is negative"),
        (np.zeros(N), DataError, "all sample weights are 0"),
        (np.full(N, np.nan), DataError, "sample weights have a value that is not finite"),
        (np.full(N, "a"), DataError, "sample weights must be real numbers"),
    ],
)
def test_weights_that_are_none(weight, error, message):
    with pytest.raises(error, match=message):
        MSE().check(PREDICTED.shape, Y, weight)
    if error is ShapeError:
        with pytest.raises(ShapeError, match=message):
            MSE()(PREDICTED, Y, weight)


@pytest.mark.parametrize(
    ("spelled", "loss"),
    [
        ("mse", MSE()),
        ("huber", Huber(1.0)),
        ("huber:0.5", Huber(0.5)),
        ("quantile:0.9", Quantile(0.9)),
        ("quantile:0.1, 0.9", Quantile((0.1, 0.9))),
        ("cross_entropy", CrossEntropy()),
        ("cross_entropy:0.1", CrossEntropy(label_smoothing=0.1)),
        (Quantile([0.1, 0.9]), Quantile((0.1, 0.9))),
    ],
)
def test_names(spelled, loss):
    found = resolve_loss(spelled)
    assert found == loss
    assert hash(found) == hash(loss)


def test_values_that_are_none():
    loss_of = lambda model, batch: 0.0
    assert resolve_loss(loss_of) is loss_of
    assert CrossEntropy(class_weight=[1.0, 2.0]) == CrossEntropy((1.0, 2.0))
    assert MSE() != MAE()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resolve_loss("msee"), "did you mean 'mse'"),
        (lambda: resolve_loss("mse:3"), "mse takes no parameter"),
        (lambda: resolve_loss("huber:x"), "'x' is not a parameter"),
        (lambda: resolve_loss("huber:1,2"), 'write say "huber:0.5"'),
        (lambda: resolve_loss("cross_entropy:1,2"), 'write say "cross_entropy:0.1"'),
        (lambda: resolve_loss("cross_entropy:1"), "label_smoothing must be at least 0 and below 1"),
        (lambda: resolve_loss("quantile:1.5"), "above 0 and below 1"),
        (lambda: resolve_loss("huber:-1"), "delta must be a finite number above 0"),
        (lambda: resolve_loss(MAE), r"say MAE\(\)"),
        (lambda: resolve_loss(None), "is not a loss"),
        (lambda: resolve_loss(Unhashable()), "frozen=True"),
        (lambda: Quantile(()), "above 0 and below 1"),
        (lambda: CrossEntropy(label_smoothing=1.0), "below 1"),
        (lambda: CrossEntropy((1.0, -1.0)), "class weights must be finite"),
        (lambda: CrossEntropy((0.0, 0.0)), "not all 0"),
        (lambda: BinaryCrossEntropy((1.0, 2.0, 3.0)), "is not a pair"),
        (lambda: Huber(dleta=2.0), "did you mean 'delta'"),  # pyright: ignore
    ],
)
def test_losses_that_are_none(make, message):
    with pytest.raises(EdgewiseError, match=message):
        make()


class Unhashable:
    __hash__ = None

    def __call__(self, model, batch):
        return 0.0


def test_an_unknown_name_is_its_own_error():
    with pytest.raises(UnknownNameError, match="quantile"):
        resolve_loss("")


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
def test_residuals_square_to_the_loss(weight):
    residuals = MSE().residuals(PREDICTED, Y, weight)
    assert residuals.shape == (3 * N,)
    assert float(jnp.sum(residuals**2)) == pytest.approx(float(MSE()(PREDICTED, Y, weight)), rel=1e-6)
    column = MSE().residuals(PREDICTED[:, :1], Y[:, 0], weight)
    assert column.shape == (N,)
    np.testing.assert_allclose(np.sign(column), np.sign((PREDICTED - Y)[:, 0] * (1 if weight is None else weight)))


@pytest.fixture(scope="module")
def model():
    return KAN([2, 3, 1], Chebyshev(2), rngs=nnx.Rngs(0))


X = rng.uniform(-1, 1, (N, 2)).astype(np.float32)
BATCH = (X, np.sin(X[:, 0]).astype(np.float32), WEIGHT.astype(np.float32))


class Ridge:
    """A regularizer that is a sum of squares."""

    def __call__(self, model, batch):
        return jnp.sum(self.residuals(model, batch) ** 2)

    def residuals(self, model, batch):
        return 0.1 * jnp.ravel(model.layers[0].coef[...])


def test_an_objective_is_the_loss_and_its_regularizers(model):
    predicted = np.asarray(model(X))[:, 0]
    expected = squared(predicted, BATCH[1], WEIGHT)
    assert float(Objective("mse")(model, BATCH)) == pytest.approx(expected, rel=1e-5)
    ridge = 0.01 * float((np.asarray(model.layers[0].coef[...]) ** 2).sum())
    two = lambda model, batch: 2.0
    assert float(Objective("mse", (Ridge(), two))(model, BATCH)) == pytest.approx(expected + ridge + 2, rel=1e-5)
    assert float(Objective("mse", two)(model, BATCH)) == pytest.approx(expected + 2, rel=1e-5)
    loss, score = Objective("mae", two).measured(model, BATCH)
    assert float(loss) == pytest.approx(np.average(abs(predicted - BATCH[1]), weights=WEIGHT), rel=1e-5)
    assert float(score) == pytest.approx(expected, rel=1e-5)


def test_an_objective_of_a_function(model):
    objective = Objective(lambda model, batch: jnp.sum(model(batch)))
    objective.check(model, X)
    loss, score = objective.measured(model, X)
    assert float(loss) == pytest.approx(float(np.sum(model(X))), rel=1e-5)
    assert np.isnan(score)
    assert objective.score_name is None
    assert Objective("cross_entropy").score_name == "accuracy"


def test_residuals_of_objectives(model):
    error = lambda model, batch: model(batch[0]) - batch[1][:, None]
    for objective, per_sample in (
        (Objective("mse"), True),
        (Objective(LeastSquares(error)), False),
        (Objective("mse", (Ridge(),)), False),
        (Objective(LeastSquares(error), (Ridge(), Ridge())), False),
    ):
        assert objective.least_squares
        assert bool(objective.rows(lambda params: model, None, BATCH)) == per_sample
        objective.check(model, BATCH)
        both = nnx.jit(
            lambda model, batch, objective=objective: (objective.residuals(model, batch), objective(model, batch))
        )
        residuals, value = both(model, BATCH)
        assert residuals.ndim == 1
        assert float(jnp.sum(residuals**2)) == pytest.approx(float(value), rel=1e-5)


def test_per_sample_residuals_are_those_of_single_samples(model):
    whole = nnx.jit(Objective("mse").residuals)(model, BATCH)
    share = BATCH[2] / BATCH[2].sum()
    alone = lambda x, y: Objective("mse").residuals(model, (x[None], y[None]))[0]
    np.testing.assert_allclose(whole, np.sqrt(share) * jax.jit(jax.vmap(alone))(*BATCH[:2]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "objective",
    [Objective("mae"), Objective(lambda m, b: 0.0), Objective("mse", (lambda m, b: 0.0,))],
    ids=["loss", "function", "regularizer"],
)
def test_what_is_no_sum_of_squares_has_no_residuals(model, objective):
    assert not objective.least_squares
    assert not objective.rows(lambda params: model, None, BATCH)
    with pytest.raises(EdgewiseError, match="is not a sum of squares"):
        objective.residuals(model, BATCH)


def test_objectives_compare_by_value():
    assert Objective("huber:0.5") == Objective(Huber(0.5))
    assert hash(Objective("huber:0.5")) == hash(Objective(Huber(0.5)))
    assert Objective("huber:0.5") != Objective(Huber(0.6))


@pytest.mark.parametrize(
    ("objective", "batch", "error", "message"),
    [
        (Objective("mse"), X, ShapeError, r"is \(x, y\) or \(x, y, weight\), got ndarray of shape \(12, 2\)"),
        (Objective("mse"), (X,), ShapeError, "a tuple of 1"),
        (Objective("mse"), (X, X[:, :1] * np.nan), DataError, "not finite"),
        (Objective("mse"), (X, X), ShapeError, "never broadcast"),
        (Objective(lambda m, b: m(b[0])), BATCH, ShapeError, r"the loss .* has the shape \(12, 1\)"),
        (Objective("mse", lambda m, b: m(b[0])), BATCH, ShapeError, r"the regularizer .* has the shape \(12, 1\)"),
        (Objective(lambda m, b: None), BATCH, ShapeError, "NoneType instead of an array"),
    ],
)  # fmt: skip
def test_data_that_an_objective_refuses(model, objective, batch, error, message):
    with pytest.raises(error, match=message):
        objective.check(model, batch)


def test_regularizers_that_are_none():
    with pytest.raises(EdgewiseError, match="is not a regularizer"):
        Objective("mse", (Ridge,))
    with pytest.raises(EdgewiseError, match="is not a regularizer"):
        Objective("mse", 1e-3)
