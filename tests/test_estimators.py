"""The estimators: scikit-learn's own checks, and what they say against ``fit`` and against closed forms."""

from __future__ import annotations

import io
import warnings

import jax
import joblib
import numpy as np
import pytest
from flax import nnx

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import edgewise as ew
from edgewise.errors import DataError, EdgewiseError, ShapeError, UnknownNameError
from edgewise.estimators import KANClassifier, KANRegressor
from edgewise.training import Callback
from edgewise.training.checkpoint import CheckpointError
from edgewise.training.losses import CrossEntropy, Huber, Quantile
from edgewise.training.regularizers import EdgeL1
from edgewise.training.saved_model import load_model
from model_checks import Compilations

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 50, 3]
Z = (X - X.mean(axis=0)) / X.std(axis=0)  # what the estimator makes of them: two deviations are the ends of "rbf:3"
Y = 100 + 20 * (np.sin(Z[:, 0]) + Z[:, 1] * Z[:, 2])
LABELS = np.array(["ash", "elm", "oak"])[np.digitize(Z[:, 0] + 0.3 * Z[:, 1], [-0.5, 0.5])]
SMALL = {"hidden_widths": (3,), "basis": "rbf:3", "residual": "silu", "max_steps": 20, "random_state": 0}


def regressor(**options):
    return KANRegressor(**SMALL | options)


def classifier(**options):
    return KANClassifier(**SMALL | options)


def parameters(estimator):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(nnx.state(estimator.model_, nnx.Param))])


@parametrize_with_checks([KANRegressor(), KANClassifier()])
def test_scikit_learns_checks_pass_with_the_defaults(estimator, check):
    check(estimator)


def network(n_in, n_out, seed=0):
    """The network that an estimator starts from."""
    seed = int(np.random.RandomState(seed).randint(2**31 - 1))
    with jax.enable_x64(True):
        return ew.KAN([n_in, 3, n_out], ew.RBF(3), rngs=nnx.Rngs(seed), param_dtype=np.float64)


def trained(x, y, n_out=1, loss="mse", **options):
    model = network(x.shape[1], n_out)
    with jax.enable_x64(True):
        return ew.fit(model, (x, y), loss=loss, steps=20, optimizer="adam:1e-2,cosine", **options)


def values(model, x):
    with jax.enable_x64(True):
        return np.asarray(model(x))


def test_a_regressor_is_fit_on_standardized_data():
    ours = regressor(alpha=0.0).fit(X, Y)
    theirs = trained(Z, (Y - Y.mean()) / Y.std())
    np.testing.assert_allclose(ours.loss_curve_, theirs.history.loss, rtol=1e-9)
    np.testing.assert_allclose(ours.predict(X), values(theirs.model, Z)[:, 0] * Y.std() + Y.mean(), rtol=1e-9)
    np.testing.assert_allclose(ours.input_scaling_.mean, X.mean(axis=0))
    assert ours.predict(X).dtype == np.float64


def test_a_classifier_is_fit_on_standardized_data():
    ours = classifier(alpha=0.0).fit(X, LABELS)
    numbers = np.searchsorted(["ash", "elm", "oak"], LABELS)
    theirs = trained(Z, numbers, n_out=3, loss="cross_entropy:0.05")
    np.testing.assert_allclose(ours.loss_curve_, theirs.history.loss, rtol=1e-9)
    chances = np.asarray(jax.nn.softmax(values(theirs.model, Z), axis=1))
    np.testing.assert_allclose(ours.predict_proba(X), chances, rtol=1e-5)
    assert ours.classes_.tolist() == ["ash", "elm", "oak"]


def test_standardizing_can_be_switched_off():
    ours = regressor(alpha=0.0, standardize=False).fit(Z, Y / 100)
    theirs = trained(Z, Y / 100)
    np.testing.assert_allclose(ours.predict(Z), values(theirs.model, Z)[:, 0], rtol=1e-9)


def test_two_deviations_of_an_input_reach_the_ends_of_the_interval_of_the_basis():
    for basis, reach in (("rbf:3", 1.0), ("chebyshev:3", 0.5), (ew.BSpline(3, 4, domain=(-3.0, 3.0)), 1.5)):
        fitted = regressor(basis=basis, max_steps=1).fit(X, Y)
        np.testing.assert_allclose(fitted.input_scaling_(X).std(axis=0), reach)


def test_units_of_inputs_and_targets_do_not_matter():
    one, two = regressor().fit(X, Y), regressor().fit(X * 2.0**10 + 1, Y * 2.0**-8)
    np.testing.assert_allclose(two.predict(X * 2.0**10 + 1) * 2.0**8, one.predict(X), rtol=1e-7)


def test_a_column_that_does_not_vary_counts_for_nothing():
    wider = np.hstack([X, np.full((60, 1), 0.1)])
    fitted = regressor().fit(wider, Y)
    moved = wider + [0, 0, 0, 5]
    np.testing.assert_array_equal(fitted.predict(moved), fitted.predict(wider))


def test_a_target_that_does_not_vary_is_predicted():
    np.testing.assert_allclose(regressor().fit(X, np.full(60, 7.0)).predict(X), 7.0)


def test_alpha_over_the_count_weights_the_sum_of_squares_of_coefficients_and_residual_kernels():
    layers = network(3, 1).layers
    squares = sum(float(np.sum(np.square(v[...]))) for layer in layers for v in (layer.coef, layer.residual_kernel))
    free, bound = (regressor(alpha=alpha, max_steps=1).fit(X, Y).loss_curve_[0] for alpha in (0.0, 0.25))
    assert bound - free == pytest.approx(0.25 / 60 * squares, rel=1e-9)


def test_without_a_hidden_layer_and_a_linear_residual_it_is_ridge_regression():
    """The penalty against the closed form: squared errors plus alpha times the squares of the slopes."""
    options = {"hidden_widths": (), "basis": "chebyshev:1,squash=none", "residual": None, "optimizer": "lbfgs"}
    fitted = regressor(**options, alpha=6.0, max_steps=60).fit(X, Y)
    # chebyshev:1 is T_1(x) = x beside a bias; the inputs have a deviation of 1/2
    ridge = Ridge(alpha=6.0).fit(Z / 2, (Y - Y.mean()) / Y.std())
    np.testing.assert_allclose(fitted.predict(X), ridge.predict(Z / 2) * Y.std() + Y.mean(), rtol=1e-6)


def test_without_a_hidden_layer_it_is_logistic_regression():
    options = {"hidden_widths": (), "basis": "chebyshev:1,squash=none", "residual": None, "optimizer": "lbfgs"}
    fitted = classifier(**options, loss="cross_entropy", alpha=0.6, max_steps=100).fit(X, LABELS)
    # theirs is the sum over samples plus squares / (2 C)
    logistic = LogisticRegression(C=1 / (2 * 0.6), tol=1e-10, max_iter=1000).fit(Z / 2, LABELS)
    np.testing.assert_allclose(fitted.predict_proba(X), logistic.predict_proba(Z / 2), atol=1e-4)


def test_regularizers_add_to_the_penalty():
    free, bound = (regressor(regularizers=some, max_steps=1).fit(X, Y) for some in ((), EdgeL1(0.5)))
    with jax.enable_x64(True):
        added = float(EdgeL1(0.5)(network(3, 1), (Z, None)))
    assert bound.loss_curve_[0] - free.loss_curve_[0] == pytest.approx(added, rel=1e-5)


@pytest.mark.parametrize("make", [regressor, classifier])
def test_a_sample_of_weight_two_is_two_samples_and_of_weight_zero_none(make):
    y = Y if make is regressor else LABELS
    weight = np.tile([2, 1, 0], 20)
    again = np.repeat(np.arange(60), weight)
    options = {} if make is regressor else {"class_weight": "balanced"}
    one = make(**options).fit(X, y, sample_weight=weight)
    two = make(**options).fit(X[again], y[again])
    np.testing.assert_allclose(one.loss_curve_, two.loss_curve_, rtol=1e-9)
    says = "predict" if make is regressor else "predict_proba"
    np.testing.assert_allclose(getattr(one, says)(X), getattr(two, says)(X), rtol=1e-7)
    assert one.score(X, y, sample_weight=weight) == pytest.approx(two.score(X[again], y[again]))


def test_class_weights_multiply_those_of_the_samples():
    by_hand = classifier().fit(X, LABELS, sample_weight=np.where(LABELS == "elm", 3.0, 1.0))
    given = classifier(class_weight={"ash": 1.0, "elm": 3.0, "oak": 1.0}).fit(X, LABELS)
    np.testing.assert_allclose(given.predict_proba(X), by_hand.predict_proba(X), rtol=1e-9)
    counts = {name: 20 / np.sum(name == LABELS) for name in np.unique(LABELS)}  # 60 in all, as the samples
    balanced = classifier(class_weight="balanced").fit(X, LABELS)
    equal = classifier(class_weight=counts).fit(X, LABELS)
    np.testing.assert_allclose(balanced.predict_proba(X), equal.predict_proba(X), rtol=1e-7)


# No features that tell anything and no penalty: what is predicted is the best constant of the loss.
FLAT = {"hidden_widths": (), "basis": "chebyshev:1", "residual": None, "alpha": 0.0}
COUNTS = np.random.default_rng(1).poisson(4.0, 60).astype(float)


@pytest.mark.parametrize(
    ("loss", "best"),
    [
        ("mse", np.mean),
        ("mae", np.median),
        ("quantile:0.9", lambda y: np.quantile(y, 0.9)),
        (Quantile(0.25), lambda y: np.quantile(y, 0.25)),
        ("poisson", np.mean),
    ],
    ids=["mse", "mae", "quantile", "quantile object", "poisson"],
)
def test_a_loss_finds_its_own_constant(loss, best):
    y = COUNTS if loss == "poisson" else np.random.default_rng(1).normal(3, 5, 61)
    nothing = np.ones((len(y), 1))
    fitted = KANRegressor(**FLAT, loss=loss, optimizer="adam:3e-2,cosine", max_steps=600, random_state=0)
    predicted = fitted.fit(nothing, y).predict(nothing)
    np.testing.assert_allclose(predicted, best(y), atol=0.02 * y.std())


def test_quantiles_of_one_target_are_columns_in_the_order_asked_for():
    fitted = regressor(loss="quantile:0.1,0.5,0.9", max_steps=200, optimizer="adam:3e-2").fit(X, Y)
    predicted = fitted.predict(X)
    assert predicted.shape == (60, 3)
    below = (Y[:, None] < predicted).mean(axis=0)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.1)


def test_the_poisson_loss_predicts_rates():
    fitted = regressor(loss="poisson", standardize=True).fit(X, COUNTS)
    assert fitted.target_scaling_.std.tolist() == [1.0]
    assert (fitted.predict(X) > 0).all()
    np.testing.assert_allclose(np.log(fitted.predict(X)), values(fitted.model_, fitted.input_scaling_(X))[:, 0])
    with pytest.raises(DataError, match="negative"):
        regressor(loss="poisson").fit(X, COUNTS - 5)


def test_a_function_is_a_loss():
    def squares(model, batch):
        x, y, weight = batch
        return ((model(x) - y) ** 2 * weight[:, None]).sum() / weight.sum()

    ours, theirs = regressor(loss=squares).fit(X, Y), regressor().fit(X, Y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-7)


def test_label_smoothing_keeps_the_probabilities_from_the_ends():
    losses = ("cross_entropy", "cross_entropy:0.05", CrossEntropy(label_smoothing=0.3))
    fitted = [classifier(max_steps=200, alpha=0.0, loss=loss).fit(X, LABELS) for loss in losses]
    sure, little, much = (each.predict_proba(X).max() for each in fitted)
    assert sure > little > much
    assert KANClassifier().loss == losses[1]


def test_several_targets_are_each_in_units_of_their_own():
    y = np.stack([Y, 1e-3 * Z[:, 0]], axis=1)
    fitted = regressor(max_steps=200, optimizer="adam:3e-2", alpha=1.0).fit(X, y)
    assert fitted.n_outputs_ == 2
    assert fitted.predict(X).shape == (60, 2)
    assert (r2_score(y, fitted.predict(X), multioutput="raw_values") > 0.5).all()
    assert regressor().fit(X, Y[:, None]).predict(X).shape == (60, 1)


def test_probabilities_sum_to_one_and_the_largest_is_predicted():
    fitted = classifier().fit(X, LABELS)
    chances = fitted.predict_proba(X)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[chances.argmax(axis=1)])
    assert fitted.score(X, LABELS) == accuracy_score(LABELS, fitted.predict(X))
    two = classifier().fit(X, LABELS == "elm")
    assert two.predict_proba(X).shape == (60, 2)
    assert two.predict(X).dtype == bool


def test_what_is_learned_is_in_attributes():
    fitted = regressor(validation_fraction=0.2, patience=30).fit(X, Y)
    assert fitted.n_features_in_ == 3
    assert [layer.n_out for layer in fitted.model_.layers] == [3, 1]
    assert fitted.loss_curve_.shape == (20,)
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    assert (fitted.n_iter_, fitted.stop_reason_) == (20, "completed")
    assert len(fitted.history_.validation) == 20
    with pytest.raises(NotFittedError):
        regressor().loss_curve_  # noqa: B018


def test_names_of_features_are_those_of_the_data_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["age", "mass", "dose"])
    fitted = regressor().fit(frame, pandas.Series(Y))
    assert fitted.feature_names_in_.tolist() == ["age", "mass", "dose"]
    np.testing.assert_array_equal(fitted.predict(frame), regressor().fit(X, Y).predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame.rename(columns={"age": "years"}))


def test_a_prediction_does_not_depend_on_the_other_rows():
    fitted = regressor().fit(X, Y)
    many = np.tile(X, (80, 1))  # more than a block
    np.testing.assert_array_equal(fitted.predict(many), np.tile(fitted.predict(X), 80))
    np.testing.assert_array_equal([fitted.predict(row[None])[0] for row in X[:5]], fitted.predict(X)[:5])


def test_seeds_decide_everything():
    one, two, other = (regressor(random_state=seed).fit(X, Y) for seed in (1, 1, 2))
    np.testing.assert_array_equal(parameters(one), parameters(two))
    assert not np.array_equal(parameters(one), parameters(other))
    state = np.random.RandomState(0)
    first, second = (regressor(random_state=state).fit(X, Y) for _ in range(2))
    assert not np.array_equal(parameters(first), parameters(second))


def test_equal_data_sizes_compile_once():
    regressor().fit(X, Y)
    with Compilations() as new_ones:
        for rows in (57, 59, 60):
            regressor(random_state=rows).fit(X[:rows], Y[:rows])
    assert new_ones.count == 0


def test_rows_that_are_predicted_compile_once():
    fitted = regressor().fit(X, Y)
    fitted.predict(X)
    with Compilations() as new_ones:
        for rows in (2, 13, 29):
            fitted.predict(X[:rows])
    assert new_ones.count == 0


def test_jax_is_left_in_its_own_precision():
    regressor().fit(X, Y).predict(X)
    assert not jax.config.read("jax_enable_x64")


def test_small_batches_train_in_single_precision():
    fitted = regressor(batch_size=16, max_steps=40).fit(X, Y)
    assert parameters(fitted).dtype == np.float32
    assert fitted.loss_curve_[-4:].mean() < fitted.loss_curve_[:4].mean()
    assert np.isfinite(fitted.predict(X)).all()


def test_many_rows_go_in_batches_and_few_do_not(monkeypatch):
    from edgewise.estimators import base

    assert parameters(regressor(max_steps=1).fit(X, Y)).dtype == np.float64
    monkeypatch.setattr(base, "_FULL", 32)
    monkeypatch.setattr(base, "_BATCH", 16)
    assert parameters(regressor(max_steps=1).fit(X, Y)).dtype == np.float32
    assert parameters(regressor(max_steps=1, optimizer="lbfgs").fit(X, Y)).dtype == np.float64


def test_early_stopping_watches_samples_of_every_class():
    seen = []

    class Watch(Callback):
        def on_start(self, run):
            seen.append(run)

    labels = np.repeat(["rare", "common"], [6, 54])
    fitted = classifier(validation_fraction=0.25, patience=2, max_steps=400, optimizer="adam:0.1", callbacks=[Watch()])
    fitted.fit(X, labels)
    assert (fitted.stop_reason_, len(seen)) == ("early stopping", 1)
    best = int(np.argmin(fitted.history_.validation))
    assert fitted.n_iter_ == 4 * (best + 1 + 2) < 400


def test_the_samples_held_back_represent_the_classes():
    from edgewise.estimators.base import _held_back

    strata = np.repeat([0, 1, 2], [30, 15, 1])
    for seed in range(5):
        chosen = _held_back(46, 0.2, strata, np.random.RandomState(seed))
        assert chosen.sum() == 9
        assert np.bincount(strata[chosen], minlength=3).tolist() == [6, 3, 0]


def test_a_pipeline_searches_over_bases_and_schemes():
    grid = {"kanregressor__basis": ["rbf:3", "chebyshev:3"], "kanregressor__init": ["glorot", None]}
    search = GridSearchCV(make_pipeline(MinMaxScaler(), regressor(max_steps=5)), grid, cv=2, error_score="raise")
    search.fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == (60,)


def test_a_search_takes_bases_and_schemes_as_objects():
    grid = {"basis": [ew.RBF(3), ew.Chebyshev(3)], "init": [ew.init.Glorot(), "lecun"]}
    search = GridSearchCV(classifier(max_steps=5), grid, cv=2, error_score="raise").fit(X, LABELS)
    assert search.best_estimator_.basis in grid["basis"]


def test_the_score_is_cross_validated():
    data, labels = load_iris(return_X_y=True)
    scores = cross_val_score(classifier(max_steps=100, optimizer="adam:3e-2"), data, labels, cv=3, error_score="raise")
    assert (scores > 0.9).all()


@pytest.mark.parametrize("make", [regressor, classifier])
def test_pickled_and_read_again_it_predicts_the_same(make):
    cloudpickle = pytest.importorskip("cloudpickle")
    fitted = make(basis=ew.RBF(3), init=ew.init.Glorot()).fit(X, Y if make is regressor else LABELS)
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    for again in (joblib.load(file), cloudpickle.loads(cloudpickle.dumps(fitted))):
        np.testing.assert_array_equal(parameters(again), parameters(fitted))
        assert parameters(again).dtype == np.float64
        np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
        np.testing.assert_array_equal(again.loss_curve_, fitted.loss_curve_)
    assert not hasattr(clone(fitted), "model_")


SAVED = {
    "plain": (regressor(), Y),
    "objects": (regressor(basis=[ew.RBF(3), ew.Chebyshev(2)], init=ew.init.Glorot(), loss=Huber(0.5)), Y),
    "arrays": (regressor(hidden_widths=np.array([3]), alpha=np.float64(0.1)), Y),
    "several": (regressor(), np.stack([Y, -Y], axis=1)),
    "quantiles": (regressor(loss="quantile:0.2,0.8"), Y),
    "counts": (regressor(loss="poisson"), COUNTS),
    "single precision": (regressor(batch_size=16), Y),
    "stopped early": (regressor(validation_fraction=0.2), Y),
    "texts": (classifier(), LABELS),
    "text objects": (classifier(), LABELS.astype(object)),
    "integers": (classifier(class_weight={3: 1.0, 5: 2.0}), np.where(LABELS == "elm", 3, 5)),
    "booleans": (classifier(class_weight="balanced"), LABELS == "elm"),
}


@pytest.mark.parametrize("case", SAVED)
def test_a_saved_estimator_is_the_same_bit_for_bit(case, tmp_path):
    estimator, y = SAVED[case]
    fitted = clone(estimator).fit(X, y)
    fitted.save(tmp_path / "model.npz")
    again = type(estimator).load(tmp_path / "model.npz")
    np.testing.assert_array_equal(parameters(again), parameters(fitted))
    assert again.predict(X).dtype == fitted.predict(X).dtype
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    if isinstance(estimator, KANClassifier):
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
        assert again.classes_.dtype == fitted.classes_.dtype
    assert again.score(X, y) == fitted.score(X, y) if case != "quantiles" else True
    assert str(again.get_params()) == str(estimator.get_params()).replace("array([3])", "[3]").replace(
        "np.float64(0.1)", "0.1"
    )
    for name in ("n_iter_", "stop_reason_", "n_features_in_", "loss_"):
        assert getattr(again, name) == getattr(fitted, name)
    np.testing.assert_array_equal(again.history_.validation, fitted.history_.validation)
    clone(again).fit(X, y)
    network = load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(values(network, Z), values(fitted.model_, Z))


def test_code_is_left_out_of_the_file_with_a_warning(tmp_path):
    def loss(model, batch):
        return ((model(batch[0]) - batch[1]) ** 2).mean()

    fitted = regressor(loss=loss, random_state=np.random.RandomState(0)).fit(X, Y)
    with pytest.warns(UserWarning, match="holds no code: loss, random_state"):
        fitted.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(KANRegressor.load(tmp_path / "model.npz").predict(X), fitted.predict(X))


def test_names_of_features_are_saved(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["age", "mass", "dose"])
    regressor().fit(frame, Y).save(tmp_path / "model.npz")
    again = KANRegressor.load(tmp_path / "model.npz")
    assert again.feature_names_in_.tolist() == ["age", "mass", "dose"]
    with pytest.raises(ValueError, match="feature names should match"):
        again.predict(frame.rename(columns={"age": "years"}))


def test_what_is_no_saved_estimator_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        regressor().save(tmp_path / "model.npz")
    fitted = classifier().fit(X, LABELS)
    fitted.save(tmp_path / "classifier.npz")
    ew.save_model(fitted.model_, tmp_path / "network.npz")
    np.savez(tmp_path / "arrays.npz", X=X)
    (tmp_path / "text.npz").write_text("no archive")
    whole = (tmp_path / "classifier.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    for name, message in (
        ("classifier", "holds KANClassifier, and no KANRegressor"),
        ("network", "holds a model, and no KANRegressor"),
        ("arrays", "checkpoint"),
        ("text", "checkpoint"),
        ("half", "checkpoint"),
        ("none", "none.npz"),
    ):
        with pytest.raises(CheckpointError, match=message):
            KANRegressor.load(tmp_path / f"{name}.npz")
    (tmp_path / "mine.npz").write_text("mine")
    with pytest.raises(EdgewiseError):
        fitted.save(tmp_path / "mine.npz")
    assert (tmp_path / "mine.npz").read_text() == "mine"


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    whole = regressor().fit(X, Y)
    regressor(max_steps=20).fit(X, Y, checkpoint=tmp_path / "run.npz")
    again = regressor(max_steps=20).fit(X, Y, checkpoint=tmp_path / "run.npz", resume=True)
    np.testing.assert_array_equal(parameters(again), parameters(whole))
    steady = {"optimizer": "adam:1e-2"}
    regressor(**steady, max_steps=10).fit(X, Y, checkpoint=tmp_path / "half.npz")
    longer = regressor(**steady).fit(X, Y, checkpoint=tmp_path / "half.npz", resume=True)
    np.testing.assert_array_equal(parameters(longer), parameters(regressor(**steady).fit(X, Y)))
    with pytest.raises(EdgewiseError, match="random_state"):
        regressor(random_state=None).fit(X, Y, checkpoint=tmp_path / "run.npz", resume=True)


BAD = [
    ({"hidden_widths": 8}, EdgewiseError, "hidden_widths=8 is no sequence"),
    ({"hidden_widths": "8"}, EdgewiseError, "is no sequence"),
    ({"hidden_widths": (8, 0)}, EdgewiseError, r"hidden_widths\[1\] must be at least 1"),
    ({"hidden_widths": (2.5,)}, EdgewiseError, r"hidden_widths\[0\] must be an integer"),
    ({"basis": "chebishev:5"}, UnknownNameError, "did you mean 'chebyshev'"),
    ({"basis": 3}, EdgewiseError, "basis=3 is no basis"),
    ({"basis": []}, EdgewiseError, r"basis=\[\] is no basis"),
    ({"basis": ew.RBF}, EdgewiseError, "is no basis"),
    ({"basis": ["rbf:3"] * 3}, EdgewiseError, "bases"),
    ({"init": "glorto"}, UnknownNameError, "did you mean 'glorot'"),
    ({"residual": "sillu"}, UnknownNameError, "did you mean 'silu'"),
    ({"loss": "msee"}, UnknownNameError, "did you mean 'mse'"),
    ({"loss": 3}, EdgewiseError, "loss=3"),
    ({"loss": "quantile:1.5"}, EdgewiseError, "above 0 and below 1"),
    ({"loss": "cross_entropy"}, EdgewiseError, "use KANClassifier"),
    ({"optimizer": "adan"}, UnknownNameError, "did you mean 'adam'"),
    ({"optimizer": "lm", "loss": "mae"}, EdgewiseError, "sum of squares"),
    ({"max_steps": 0}, EdgewiseError, "max_steps must be at least 1"),
    ({"max_steps": 2.5}, EdgewiseError, "max_steps must be an integer"),
    ({"max_steps": None}, EdgewiseError, "max_steps must be an integer"),
    ({"batch_size": 0}, EdgewiseError, "batch_size must be at least 1"),
    ({"batch_size": "all"}, EdgewiseError, "batch_size must be an integer"),
    ({"batch_size": 61}, EdgewiseError, "larger than the data"),
    ({"batch_size": 16, "optimizer": "lbfgs"}, EdgewiseError, "needs the whole data"),
    ({"alpha": -1.0}, EdgewiseError, "alpha must be a number of at least 0"),
    ({"alpha": np.nan}, EdgewiseError, "alpha must be a number"),
    ({"alpha": "0.1"}, EdgewiseError, "alpha must be a number"),
    ({"alpha": True}, EdgewiseError, "alpha must be a number"),
    ({"regularizers": 3}, EdgewiseError, "3 is not a regularizer"),
    ({"regularizers": [EdgeL1]}, EdgewiseError, "is not a regularizer"),
    ({"validation_fraction": 1.0}, EdgewiseError, "below 1"),
    ({"validation_fraction": -0.1}, EdgewiseError, "at least 0"),
    ({"validation_fraction": "0.1"}, EdgewiseError, "validation_fraction"),
    ({"validation_fraction": True}, EdgewiseError, "validation_fraction"),
    ({"validation_fraction": 0.999}, DataError, "leaves none to train on"),
    ({"patience": 0}, EdgewiseError, "patience"),
    ({"standardize": "no"}, EdgewiseError, "standardize must be True or False"),
    ({"callbacks": print}, EdgewiseError, "is no sequence of callbacks"),
    ({"random_state": "zero"}, ValueError, "cannot be used to seed"),
    ({"random_state": -1}, ValueError, "Seed must be between 0"),
]


@pytest.mark.parametrize(
    ("options", "error", "message"), BAD, ids=[f"{next(iter(o))}-{i}" for i, (o, *_) in enumerate(BAD)]
)
def test_a_parameter_that_cannot_be_used_is_explained_when_it_is_fitted(options, error, message):
    estimator = regressor(**options)
    with pytest.raises(error, match=message):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "model_")


@pytest.mark.parametrize("make", [regressor, classifier])
def test_a_fit_that_fails_leaves_what_was_learned_before(make):
    y, other = (Y, 1000 * Y) if make is regressor else (LABELS, np.roll(np.where(LABELS == "oak", "yew", "beech"), 1))
    estimator = make().fit(X, y)
    before = estimator.predict(X)
    with pytest.raises(EdgewiseError, match="hidden_widths"):
        estimator.set_params(hidden_widths=(0,)).fit(X * 10 + 1, other)
    np.testing.assert_array_equal(estimator.predict(X), before)


def test_no_schedule_is_that_of_max_steps():
    assert regressor(schedule=None).fit(X, Y).n_iter_ == 20
    for schedule in (100, "refine:6", np.array([5, 5])):
        with pytest.raises(EdgewiseError, match="is no list"):
            regressor(schedule=schedule).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"loss": "mse"}, "use loss='cross_entropy'"), ({"class_weight": "even"}, "class_weight"),
     ({"class_weight": {"yew": 2.0}}, "not in class_weight"),
     ({"class_weight": dict.fromkeys(["ash", "elm", "oak"], 0)}, "not all 0"),
     ({"class_weight": {"elm": -1.0}}, "at least 0"), ({"optimizer": "lm"}, "sum of squares")],
)  # fmt: skip
def test_a_parameter_that_a_classifier_cannot_use_is_explained(options, message):
    with pytest.raises(ValueError, match=message):
        classifier(**options).fit(X, LABELS)


HOLE = np.where(np.arange(180).reshape(60, 3) == 7, np.nan, X)
WRONG_DATA = [
    (HOLE, Y, {}, ValueError, "contains NaN"),
    (np.where(np.isnan(HOLE), np.inf, HOLE), Y, {}, ValueError, "infinity"),
    (X, np.where(Y > 110, np.nan, Y), {}, ValueError, "contains NaN"),
    (X, Y[:5], {}, ValueError, "inconsistent numbers of samples"),
    (X[:, 0], Y, {}, ValueError, "Reshape your data"),
    (X[:0], Y[:0], {}, ValueError, "0 sample"),
    (X, LABELS, {}, ValueError, "could not convert string to float"),
    (X * 1e300, Y, {}, DataError, "column 0 of X has no standard deviation.*\n.*their squares overflow"),
    (X, Y * 1e-200, {}, DataError, "column 0 of y has no standard deviation.*\n.*their squares underflow"),
    (X, Y, {"sample_weight": -np.ones(60)}, DataError, "a sample weight is negative"),
    (X, Y, {"sample_weight": np.zeros(60)}, ValueError, "zero"),
    (X, Y, {"sample_weight": np.ones(5)}, ValueError, "sample_weight"),
    (X, Y, {"sample_weight": np.full(60, np.nan)}, ValueError, "contains NaN"),
    (X, Y, {"resume": True}, EdgewiseError, "needs a checkpoint"),
]


@pytest.mark.parametrize(("x", "y", "more", "error", "message"), WRONG_DATA, ids=range(len(WRONG_DATA)))
def test_data_that_cannot_be_used_are_refused(x, y, more, error, message):
    with pytest.raises(error, match=message):
        regressor().fit(x, y, **more)


def test_data_that_a_classifier_cannot_use_are_refused():
    with pytest.raises(DataError, match="one class only, 'ash'"):
        classifier().fit(X, np.full(60, "ash"))
    with pytest.raises(ValueError, match="Unknown label type"):
        classifier().fit(X, Y)
    with pytest.raises(ShapeError, match="3 quantiles for predictions"):
        regressor(loss="quantile:0.1,0.5,0.9").fit(X, np.stack([Y, Y], axis=1))


def test_new_data_are_checked_too():
    fitted = regressor().fit(X, Y)
    with pytest.raises(ValueError, match="contains NaN"):
        fitted.predict(HOLE)
    with pytest.raises(ValueError, match="X has 2 features"):
        fitted.predict(X[:, :2])
    with pytest.raises(NotFittedError):
        regressor().predict(X)


def test_wrong_types_are_refused(run_python):
    code = """
import numpy as np
from edgewise import EdgewiseError
from edgewise.estimators import KANRegressor
X = np.random.default_rng(0).normal(size=(8, 2))
for bad in ({"init": 3}, {"residual": 3}, {"optimizer": 3}, {"callbacks": [print]}):
    try:
        KANRegressor(**bad).fit(X, X[:, 0])
    except EdgewiseError as error:
        print(*bad, "|", str(error).splitlines()[0])
    else:
        raise SystemExit(f"{bad} was taken")
"""
    assert len(run_python(code).splitlines()) == 4


def test_fitting_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regressor().fit(X.astype(np.float32), Y.astype(np.float32)).predict(X)
        classifier().fit(X.astype(int), LABELS).predict(X)
