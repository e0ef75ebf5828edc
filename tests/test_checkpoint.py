"""Checkpoints: bit for bit, whole after every accident, and one clear error for every file that is not what it was."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
import zipfile
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgewise import KAN, BSpline, Chebyshev
from edgewise.bases import FAMILIES, Basis
from edgewise.errors import EdgewiseError, MissingExtraError, UnknownNameError
from edgewise.init import Custom
from edgewise.training import checkpoint_npz
from edgewise.training.checkpoint import Checkpoint, CheckpointError, leaf_names, read_header
from edgewise.training.saved_model import load_model, save_model

BACKENDS = ("npz", "orbax")
MODEL = KAN([2, 3, 1], Chebyshev(2), rngs=nnx.Rngs(0))
OURS = {"format", "format_version", "libraries", "leaves"}


class Pair(NamedTuple):
    """A container with attributes."""

    first: Any
    second: Any


def run_state() -> dict[str, Any]:
    """What a run holds: parameters, the memory of an optimizer, keys, counters, odd dtypes."""
    params = nnx.state(MODEL, nnx.Param)
    return {
        "params": params,
        "opt": optax.adam(1e-3).init(params),
        "keys": jax.random.split(jax.random.key(1), 3),
        "rbg": jax.random.key(2, impl="rbg"),
        "step": jnp.array(7),
        "plateau": Pair(np.float32(np.nan), None),
        "odd": [np.arange(3.0).astype(ml_dtypes.bfloat16), np.zeros((0, 2)), np.array(True), np.arange(3) * 1j],
        "wide": np.array([1 / 3, -0.0, np.inf, 5e-324]),
        "bits": jnp.array([0, 2**32 - 1], jnp.uint32),
        "count": 3,
    }


def bits(leaf: Any) -> tuple[str, tuple[int, ...], bytes]:
    """What must be equal, whatever the library of the array."""
    leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    dtype = str(leaf.dtype)
    if dtype.startswith("key"):
        leaf = jax.random.key_data(leaf)
    leaf = np.asarray(leaf)
    return dtype, leaf.shape, leaf.tobytes()


def assert_same(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for name, a, b in zip(leaf_names(expected), jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert bits(a) == bits(b), name


def given_part(header: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in header.items() if name not in OURS}


def flip(path, position: int, mask: int = 0xFF) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= mask
    path.write_bytes(data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


@pytest.fixture
def written(path):
    """A checkpoint of one small array."""
    checkpoint = Checkpoint(path)
    checkpoint.save({"a": np.arange(4.0)}, {"step": 1})
    return checkpoint


# Round trips


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_comes_back_bit_for_bit(tmp_path, backend):
    state, checkpoint = run_state(), Checkpoint(tmp_path / "run", backend=backend)
    header = {"config": MODEL.config, "best": float("inf"), "history": [0.1, None], "name": "é"}
    assert not checkpoint.exists()
    checkpoint.prepare()
    for step in range(3):
        checkpoint.save(state, header | {"step": step})
    assert checkpoint.exists()
    found, read = checkpoint.load(state)
    assert_same(found, state)
    assert given_part(read) == header | {"step": 2}
    assert read_header(checkpoint.path) == read
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
        assert isinstance(a, jax.Array if isinstance(b, jax.Array) else np.ndarray)
    # the next chunk takes the loaded state over, so it has to be its own
    jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), donate_argnums=0)(found["params"])
    assert_same(checkpoint.load(state)[0], state)


TEXT = st.text(max_size=4) | st.sampled_from(["coef", "0", "a/b", "../up", "header.json", "a\\b", "\0"])
DTYPES = st.one_of(
    hnp.scalar_dtypes().filter(lambda dtype: dtype.kind in "biufc" and dtype.name not in ("float128", "complex256")),
    st.sampled_from([np.dtype(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e4m3fn", "int4")]),
)


@st.composite
def arrays(draw):
    dtype, shape = draw(DTYPES), draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    array = np.frombuffer(draw(st.binary(min_size=(n := int(np.prod(shape)) * dtype.itemsize), max_size=n)), np.uint8)
    if dtype.name == "bool" or dtype.name == "int4":  # not all bits of a byte are theirs
        return (array % 2).astype(dtype).reshape(shape)
    order = draw(st.sampled_from("CF"))
    return np.asarray(array.view(dtype).reshape(shape), order=order)


def native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="))


LEAVES = arrays() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats()
TREES = st.recursive(
    LEAVES | st.none(),
    lambda tree: st.one_of(
        st.dictionaries(TEXT, tree, max_size=3),
        st.dictionaries(st.integers(-2, 20), tree, max_size=3),
        st.lists(tree, max_size=3),
        st.tuples(tree, tree),
        st.builds(Pair, tree, tree),
    ),
    max_leaves=8,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda value: st.lists(value, max_size=3) | st.dictionaries(st.text(max_size=5), value, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100)
@given(TREES, st.dictionaries(st.text(max_size=5).filter(lambda name: name not in OURS), JSON, max_size=3))
def test_any_tree_and_header_come_back(tmp_path, tree, header):
    checkpoint = Checkpoint(tmp_path / "any.npz")
    checkpoint.save(tree, header)
    found, read = checkpoint.load(tree)
    assert_same(found, jax.tree.map(lambda leaf: native(np.asarray(leaf)), tree))
    assert given_part(read) == header
    assert all(leaf.dtype.isnative for leaf in jax.tree.leaves(found))


def test_shapes_alone_say_what_to_load(path):
    state = run_state()
    Checkpoint(path).save(state, {})
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), getattr(leaf, "dtype", np.int64)), state)
    found, _ = Checkpoint(path).load(like)
    assert_same(found, jax.tree.map(lambda leaf: np.asarray(leaf) if isinstance(leaf, int) else leaf, state))
    # 64 bits stay, though the default of JAX would halve them
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(found))
    assert found["wide"].dtype == np.float64


def test_a_donated_state_says_what_to_load(written):
    committed = jax.device_put(jnp.arange(4, dtype=jnp.float32), jax.devices()[0])
    written.save({"a": committed}, {})
    jax.jit(lambda x: x + 1, donate_argnums=0)(committed)
    assert committed.is_deleted()
    found, _ = written.load({"a": committed})
    assert found["a"].committed
    assert not written.load({"a": jnp.zeros(4)})[0]["a"].committed
    np.testing.assert_array_equal(found["a"], np.arange(4))


def test_equal_states_are_equal_files(tmp_path):
    for name in ("a", "b"):
        Checkpoint(tmp_path / name).save(run_state(), {"step": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_members_are_named_by_their_place_and_numpy_reads_them(path):
    state = run_state()
    Checkpoint(path).save(state, {})
    with np.load(path, allow_pickle=False) as file:
        coef = np.asarray(MODEL.layers[0].coef[...])
        np.testing.assert_array_equal(file["params/layers/0/coef/value"], coef)
        np.testing.assert_array_equal(file["opt/0/count"], 0)
        assert file["plateau/first"].dtype == np.float32
        assert file["header.json"].dtype == np.uint8
    assert leaf_names({"it's": 1, "a b": [2]}) == ["'a b'/0", '"it\'s"']
    assert leaf_names(5) == ["leaf"]


def test_the_header_says_what_wrote_it_and_what_is_in_it(path):
    Checkpoint(path).save(run_state(), {"step": 3})
    header = read_header(str(path))
    assert set(header) == OURS | {"step"}
    assert (header["format"], header["format_version"]) == ("edgewise checkpoint", 2)
    assert header["libraries"]["jax"] == jax.__version__
    assert set(header["libraries"]) == {"edgewise", "jax", "flax", "optax", "numpy"}
    assert header["leaves"]["odd/0"] == {"dtype": "bfloat16", "shape": [3]}
    assert header["leaves"]["rbg"] == {"dtype": "key<rbg>", "shape": [], "key": "rbg"}


def test_the_header_is_read_without_the_arrays(path):
    Checkpoint(path).save({"a": np.full(1000, 7, np.uint8)}, {"step": 3})
    flip(path, path.read_bytes().index(bytes([7] * 100)))
    assert read_header(path)["step"] == 3
    with pytest.raises(CheckpointError, match=r"damaged.*CRC"):
        Checkpoint(path).load({"a": np.full(1000, 7, np.uint8)})


# Accidents

KILLS = """
import os, pathlib, random, signal, sys, time
import numpy as np
from edgewise.training.checkpoint import Checkpoint

def tree(step):
    return {"a": np.full(200_000, step), "b": [np.full((100, 1000), -float(step)), np.int64(step)]}

path, moments, last, torn = pathlib.Path(sys.argv[1]), random.Random(0), 0, 0
checkpoint, (heard, said) = Checkpoint(path), os.pipe()
checkpoint.save(tree(0), {"step": 0})
for _ in range(12):
    child = os.fork()
    if not child:
        for step in range(last + 1, last + 10_000):
            checkpoint.save(tree(step), {"step": step})
            os.write(said, b".")
        os._exit(0)
    os.read(heard, 1000)
    begin = time.perf_counter()
    os.read(heard, 1000)
    time.sleep(moments.uniform(0, 2 * (time.perf_counter() - begin)))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    torn += len(list(path.parent.iterdir())) > 1
    found, header = checkpoint.load(tree(0))
    assert header["step"] > last, (header, last)
    last = header["step"]
    assert all((leaf == value).all() for leaf, value in zip((found["a"], *found["b"]), (last, -last, last)))
checkpoint.save(tree(last), {"step": last})
print(last, torn, *sorted(found.name for found in path.parent.iterdir()))
"""


def test_kill_9_leaves_the_old_or_the_new_file(tmp_path, run_python):
    last, torn, *files = run_python(KILLS, str(tmp_path / "run.npz")).split()
    assert int(last) >= 12
    assert int(torn) > 0, "no kill fell into a write, so nothing was tested"
    assert files == ["run.npz"], "the next write removes what killed writers left"


@pytest.mark.parametrize("stage", ["write_array", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(written, path, monkeypatch, stage, error):
    before, like = path.read_bytes(), {"a": np.zeros(4)}

    def fail(*arguments, **keywords):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(np.lib.format if stage == "write_array" else os, stage, fail)
        expected = CheckpointError if isinstance(error, OSError) else KeyboardInterrupt
        message = r"run.npz cannot be written: No space left[^\0]*as it was[^\0]*free space"
        with pytest.raises(expected, match=message if isinstance(error, OSError) else None):
            written.save({"a": np.ones(4)}, {"step": 2})
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["run.npz"]
    written.save({"a": np.ones(4)}, {"step": 2})
    assert written.load(like)[1]["step"] == 2


def test_the_data_are_on_the_disk_before_the_name_is(written, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))[1])
    written.save({"a": np.zeros(4)}, {})
    assert calls == ["fsync", "replace", "fsync"], "the file, its name, the folder that holds the name"


def test_a_disk_that_takes_only_so_much(written, path):
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CheckpointError, match="File too large"):
            written.save({"a": np.zeros(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["run.npz"]


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_kept(written, path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ours = checkpoint_npz._temporary(path)
    host, living = ours.name.removeprefix(".run.npz.").rsplit(".", 3)[0], str(os.getppid())
    names = {process: f".run.npz.{host}.{process}.1.tmp" for process in (str(ended.pid), living, str(os.getpid()))}
    others = [".run.npz.elsewhere.1.1.tmp", ".other.npz.host.1.1.tmp", "run.npz.tmp"]
    for name in [*names.values(), *others]:
        path.with_name(name).touch()
    written.save({"a": np.zeros(4)}, {})
    kept = {found.name for found in path.parent.iterdir()}
    # a file of this very process that no thread is writing is of an earlier process with its number
    assert kept == {"run.npz", names[living], *others}


def test_a_link_stays_a_link(tmp_path, path):
    (tmp_path / "scratch").mkdir()
    path.symlink_to(tmp_path / "scratch" / "real.npz")
    Checkpoint(path).save({"a": np.zeros(2)}, {"step": 5})
    assert path.is_symlink()
    assert read_header(tmp_path / "scratch" / "real.npz")["step"] == 5


# Files that are not what they were


@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_no_flipped_byte_is_taken_for_the_state(path, mask):
    checkpoint, state = Checkpoint(path), {"a": np.arange(3, dtype=np.int16), "b": np.float32(1.5)}
    checkpoint.save(state, {"step": 1})
    whole, refused = path.read_bytes(), 0
    expected = checkpoint.load(state)
    for position in range(len(whole)):
        path.write_bytes(whole)
        flip(path, position, mask)
        try:
            found = checkpoint.load(state)
        except CheckpointError:
            refused += 1
            continue
        assert_same(found[0], expected[0])  # dates and attributes in the archive are not the state
        assert found[1] == expected[1]
    assert refused > len(whole) / 2


def test_no_truncated_file_is_read(written, path):
    whole = path.read_bytes()
    for length in (*range(0, len(whole), 7), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"damaged, cut short, or no checkpoint[^\0]*resume=False"):
            written.load({"a": np.zeros(4)})


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit",)


def test_pickled_members_are_not_run(written, path):
    data = dict(np.load(path))
    np.savez(path, **(data | {"a": np.array(Bomb(), object)}), allow_pickle=True)
    with pytest.raises(CheckpointError, match="pickle"):
        written.load({"a": np.zeros(4)})


def rewrite_header(path, old: bytes, new: bytes) -> None:
    members = dict(np.load(path))
    text = members["header.json"].tobytes()
    assert old in text
    members["header.json"] = np.frombuffer(text.replace(old, new), np.uint8)
    with open(path, "wb") as file:
        np.savez(file, **members)


FOREIGN = {
    "missing": (lambda path: path.unlink(), "there is no checkpoint"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "is a folder"),
    "text": (lambda path: path.write_text("x,y\n1,2\n"), "no checkpoint at all"),
    "npy": (lambda path: np.save(path.open("wb"), np.zeros(3)), "no checkpoint at all"),
    "npz": (lambda path: np.savez(path, a=np.zeros(4)), r"no checkpoint of edgewise[^\0]*header.json"),
    "format": (lambda path: rewrite_header(path, b"edgewise checkpoint", b"other"), "no checkpoint of edgewise"),
    "version": (
        lambda path: rewrite_header(path, b'"format_version": 2', b'"format_version": 3'),
        r"version 3, and this edgewise reads version 2[^\0]*upgrade",
    ),
    "json": (lambda path: rewrite_header(path, b"}", b""), "damaged"),
    "list": (lambda path: rewrite_header(path, path_header(path), b"[1]"), "no checkpoint of edgewise"),
    "member": (lambda path: without_member(path, "a.npy"), "no item named 'a.npy'"),
    "shape": (lambda path: replace_member(path, a=np.zeros(5)), r"a is float64 \(5,\), and the header says"),
}


def path_header(path) -> bytes:
    return np.load(path)["header.json"].tobytes()


def without_member(path, name: str) -> None:
    with zipfile.ZipFile(path) as archive:
        kept = {member: archive.read(member) for member in archive.namelist() if member != name}
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in kept.items():
            archive.writestr(member, data)


def replace_member(path, **members: np.ndarray) -> None:
    members = dict(np.load(path)) | members
    with open(path, "wb") as file:
        np.savez(file, **members)


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_checkpoint_is_said_to_be_none(written, path, kind):
    spoil, message = FOREIGN[kind]
    spoil(path)
    like = {"a": np.zeros(4)}
    with pytest.raises(CheckpointError, match=message):
        written.load(like)
    if kind not in ("member", "shape"):
        with pytest.raises(CheckpointError, match="no orbax|checkpoint" if kind == "folder" else message):
            read_header(path)
    np.testing.assert_array_equal(like["a"], np.zeros(4))


OTHER = {
    "missing": ({"params": {"coef": np.zeros(3), "bias": np.zeros(1)}}, "missing: params/bias[.]"),
    "additional": ({"params": {}}, "additional: params/coef[.]"),
    "both": ({"other": np.zeros(3)}, "missing: other; additional: params/coef[.]"),
    "many": ({"params": {"coef": np.zeros(3)}, "x": [0] * 6}, "missing: x/0, x/1, x/2, x/3 and 2 more[.]"),
    "shape": ({"params": {"coef": np.zeros((4, 2))}}, r"params/coef: the file has \(3,\), expected \(4, 2\)[.]"),
    "dtype": ({"params": {"coef": np.zeros(3, np.float32)}}, "params/coef: the file has float64, expected float32[.]"),
    "two": ({"params": {"coef": jnp.zeros(2, jnp.bfloat16)}}, r"has float64 \(3,\), expected bfloat16 \(2,\)[.]"),
    "key": ({"params": {"coef": jax.random.split(jax.random.key(0), 3)}}, "has float64, expected key<fry>[.]"),
}


@pytest.mark.parametrize("kind", OTHER)
@pytest.mark.parametrize("backend", BACKENDS)
def test_another_structure_shape_or_dtype_is_named(tmp_path, backend, kind):
    checkpoint = Checkpoint(tmp_path / "run", backend=backend)
    checkpoint.save({"params": {"coef": np.zeros(3)}}, {})
    like, message = OTHER[kind]
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(like)


def test_another_kind_of_key_is_named(written):
    written.save(jax.random.key(0, impl="rbg"), {})
    with pytest.raises(CheckpointError, match="leaf: the file has key<rbg>, expected key<fry>"):
        written.load(jax.random.key(0))


# What cannot be saved, and where


@pytest.mark.parametrize("leaf", ["text", object(), np.array(["a"]), np.array([None]), np.datetime64("2020", "s")])
def test_a_leaf_that_is_no_number_is_named(written, path, leaf):
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"x/0 has dtype[^\0]*pickle"):
        written.save({"x": [leaf]}, {})
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [np.zeros(2), {1, 2}, print])
def test_a_header_that_is_no_json_is_said(written, value):
    with pytest.raises(CheckpointError, match="the header is not JSON"):
        written.save({}, {"value": value})


def test_a_header_keeps_off_the_entries_of_the_format(written):
    with pytest.raises(CheckpointError, match="'leaves' is the checkpoint's own"):
        written.save({}, {"leaves": 3})


class Twins:
    """A container whose children share a key."""


jax.tree_util.register_pytree_with_keys(
    Twins, lambda twins: (((jax.tree_util.GetAttrKey("x"), 1), (jax.tree_util.GetAttrKey("x"), 2)), None), Twins
)


def test_leaves_of_one_name_are_refused(written):
    with pytest.raises(CheckpointError, match="two leaves of the tree have one name"):
        written.save(Twins(), {})


@pytest.mark.parametrize("backend", BACKENDS)
def test_prepare_makes_the_folder_and_leaves_nothing(tmp_path, backend):
    path = tmp_path / "deep" / "er" / "run"
    Checkpoint(path, backend=backend).prepare()
    assert path.parent.is_dir()
    assert not list(path.parent.iterdir() if backend == "npz" else path.iterdir())


@pytest.mark.parametrize("backend", BACKENDS)
def test_prepare_says_that_nothing_can_be_written(tmp_path, backend):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot be written: .*(directory|exists)"):
        Checkpoint(tmp_path / "file" / "run", backend=backend).prepare()
    if os.geteuid():  # nothing is closed to root
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(CheckpointError, match="Permission denied"):
            Checkpoint(tmp_path / "closed" / "run", backend=backend).prepare()


def test_prepare_does_not_let_other_files_be_overwritten(written, path, tmp_path):
    written.prepare()
    assert written.load({"a": np.zeros(4)})[1]["step"] == 1
    (tmp_path / "data.csv").write_text("x,y\n")
    with pytest.raises(CheckpointError, match=r"data.csv exists and is no checkpoint[^\0]*move it away"):
        Checkpoint(tmp_path / "data.csv").prepare()
    with pytest.raises(CheckpointError, match=r"is a folder[^\0]*run.npz[^\0]*orbax"):
        Checkpoint(tmp_path).prepare()
    (tmp_path / "empty").touch()
    Checkpoint(tmp_path / "empty").prepare()


def test_the_home_folder_is_spelled_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Checkpoint("~/run.npz").save({"a": 1}, {})
    assert (tmp_path / "run.npz").exists()
    assert read_header("~/run.npz")["leaves"]


def test_wrong_arguments():
    with pytest.raises(EdgewiseError, match="is no path"):
        Checkpoint("")
    for every in (-1.0, float("nan")):
        with pytest.raises(EdgewiseError, match="every must be seconds"):
            Checkpoint("run.npz", every)
    with pytest.raises(UnknownNameError, match="did you mean 'orbax'"):
        Checkpoint("run.npz", backend="orbx")
    with pytest.raises(UnknownNameError, match="did you mean 'every'"):
        Checkpoint("run.npz", **{"evry": 3})
    assert hash(Checkpoint("run.npz", 0.0)) == hash(Checkpoint("run.npz", 0.0))


def test_arguments_of_wrong_types(run_python):
    """In an interpreter without the checks of annotations that the tests have."""
    run_python("""
from edgewise.errors import EdgewiseError
from edgewise.training.checkpoint import Checkpoint

for arguments, what in (((None,), "is no path"), ((3,), "is no path"), (("a", "30"), "every"), (("a", True), "every")):
    try:
        Checkpoint(*arguments)
    except EdgewiseError as error:
        assert what in str(error), error
    else:
        raise AssertionError(arguments)
""")


# Orbax

SHARDED = """
import sys, warnings
warnings.simplefilter("error")
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from edgewise.training.checkpoint import Checkpoint

checkpoint = Checkpoint(sys.argv[1], backend=sys.argv[2])
mesh = lambda devices: Mesh(np.array(jax.devices()[:devices]), ("d",))
split = lambda devices: NamedSharding(mesh(devices), P("d"))
values = np.arange(16.0).reshape(8, 2)
with jax.enable_x64(True):
    whole = jnp.asarray(values)
state = {
    "x": jax.device_put(whole, split(8)),
    "keys": jax.device_put(jax.random.split(jax.random.key(0), 8), split(8)),
    "w": jax.device_put(jnp.ones(3), NamedSharding(mesh(8), P())),
}
checkpoint.save(state, {"devices": 8})
fewer = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=split(2)), state)
fewer["w"] = np.ones(3, np.float32)
for like in (state, fewer):
    found, header = checkpoint.load(like)
    assert header["devices"] == 8
    for name in ("x", "keys", "w"):
        sharding = getattr(like[name], "sharding", None)
        assert sharding is None or found[name].sharding.is_equivalent_to(sharding, found[name].ndim), name
    assert len(found["x"].addressable_shards) == like["x"].sharding.num_devices
    assert found["x"].dtype == np.float64 and isinstance(found["w"], type(like["w"]))
    np.testing.assert_array_equal(found["x"], values)
    np.testing.assert_array_equal(*(jax.random.key_data(tree["keys"]) for tree in (found, state)))
print("same")
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_sharded_arrays_stay_sharded(tmp_path, run_python, backend):
    assert run_python(SHARDED, str(tmp_path / "run"), backend, devices=8).split() == ["same"]


WRITER = """
import sys
import numpy as np
from edgewise.training.checkpoint import Checkpoint

checkpoint, first = Checkpoint(sys.argv[1], backend="orbax"), int(sys.argv[2])
for step in range(first, first + 10_000):
    checkpoint.save({"a": np.full(200_000, step), "b": np.int64(step)}, {"step": step})
    print(step, flush=True)
"""


@pytest.mark.slow
def test_kill_9_leaves_the_old_or_the_new_folder(tmp_path, root):
    like, last, torn, moments = {"a": np.zeros(200_000, np.int64), "b": np.int64(0)}, 0, 0, np.random.default_rng(0)
    checkpoint = Checkpoint(tmp_path / "run", backend="orbax")
    for killed in range(40):
        if killed >= 5 and torn:
            break
        command = [sys.executable, "-c", WRITER, str(checkpoint.path), str(last + 1)]
        environment = os.environ | {"PYTHONPATH": str(root / "src")}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
            assert writer.stdout is not None
            said = int(writer.stdout.readline())
            time.sleep(moments.uniform(0, 0.3))
            writer.kill()
        torn += any("tmp" in found.name for found in (tmp_path / "run").iterdir())
        found, header = checkpoint.load(like)
        last = header["step"]
        assert last >= said
        assert found["b"] == last
        assert np.all(found["a"] == last)
    assert torn > 0, "no kill fell into a write, so nothing was tested"
    checkpoint.save(like, {"step": last})
    assert len(list((tmp_path / "run").iterdir())) == 1, "the next write removes what killed writers left"


def test_trees_of_nothing(tmp_path):
    for backend in BACKENDS:
        checkpoint = Checkpoint(tmp_path / backend, backend=backend)
        checkpoint.save({"a": None, "b": np.zeros((0, 3))}, {"step": 1})
        found, header = checkpoint.load({"a": None, "b": np.zeros((0, 3))})
        assert found["b"].shape == (0, 3)
        assert header["step"] == 1


def test_orbax_folders_that_are_none(tmp_path, written, path):
    like = {"a": np.zeros(4)}
    with pytest.raises(CheckpointError, match="there is no checkpoint folder"):
        Checkpoint(tmp_path / "none", backend="orbax").load(like)
    with pytest.raises(CheckpointError, match=r"it is a file[^\0]*npz"):
        Checkpoint(path, backend="orbax").load(like)
    (tmp_path / "empty").mkdir()
    empty = Checkpoint(tmp_path / "empty", backend="orbax")
    assert not empty.exists()
    with pytest.raises(CheckpointError, match="holds no complete checkpoint"):
        empty.load(like)
    with pytest.raises(CheckpointError, match="cannot be written"):
        Checkpoint(path, backend="orbax").save(like, {})
    assert written.load(like)[1]["step"] == 1


def test_an_orbax_folder_that_is_damaged(tmp_path):
    checkpoint, like = Checkpoint(tmp_path / "run", backend="orbax"), {"a": np.arange(500.0)}
    checkpoint.save(like, {"step": 1})
    (state,) = (tmp_path / "run").glob("*/state")
    for file in (found for found in state.rglob("d/*") if found.is_file()):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"checkpoint 1 in .* is damaged"):
        checkpoint.load(like)
    (header,) = (tmp_path / "run").glob("*/header/metadata")
    header.write_text("{")
    with pytest.raises(CheckpointError, match=r"checkpoint 1 in .* is damaged"):
        read_header(tmp_path / "run")


def test_without_orbax_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(MissingExtraError, match=r"edgewise\[orbax\]"):
        Checkpoint(tmp_path / "run", backend="orbax").prepare()


# Models


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_comes_back(path, name):
    model = KAN([2, 3, 1], FAMILIES[name](), edge_scale=True, residual="tanh", rngs=nnx.Rngs(3))
    save_model(model, path)
    found = load_model(path)
    assert type(found) is KAN
    assert found.config == model.config
    assert_same(nnx.state(found), nnx.state(model))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(nnx.state(found)))


def test_a_model_computes_as_before(path):
    model, x = KAN([2, 3, 1], BSpline(2, 3), rngs=nnx.Rngs(0)), jnp.array([[0.1, -0.4], [0.9, 0.3]])
    save_model(model, path)
    found, forward = load_model(path), nnx.jit(lambda model: model(x))
    np.testing.assert_array_equal(forward(found), forward(model))
    assert leaf_names(nnx.state(found, nnx.Param)) == leaf_names(nnx.state(model, nnx.Param))


def test_models_of_other_dtypes_and_schemes(path):
    with jax.enable_x64(True):
        wide = KAN([2, 1], Chebyshev(2), param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    save_model(wide, path)
    assert_same(nnx.state(load_model(path)), nnx.state(wide))
    cast = KAN(
        [2, 1], Chebyshev(2), init=Custom(coef=np.ones((2, 2, 1)), residual_kernel=np.ones((2, 1))), rngs=nnx.Rngs(0)
    )
    nnx.update(cast, jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), nnx.state(cast)))
    save_model(cast, path)
    assert_same(nnx.state(load_model(path)), nnx.state(cast))


class Doubled(KAN):
    """A model of the user's."""

    def __call__(self, x):
        return 2 * super().__call__(x)


class DrawsInNumpy(Chebyshev):
    """A basis whose state is drawn outside JAX."""

    def init(self, n_in, *, key):
        return {"shift": jnp.asarray(np.random.default_rng(np.asarray(jax.random.key_data(key))).normal(size=n_in))}


class Plain(nnx.Module):
    """A model without a configuration."""

    def __init__(self):
        self.weight = nnx.Param(jnp.ones(2))


def test_a_model_of_the_users_own_comes_back(path, monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or type(sys)(__name__))
    monkeypatch.setattr(sys.modules[__name__], "Doubled", Doubled, raising=False)
    model = Doubled([2, 1], Chebyshev(2), rngs=nnx.Rngs(0))
    save_model(model, path)
    assert type(load_model(path)) is Doubled
    monkeypatch.delattr(sys.modules[__name__], "Doubled")
    with pytest.raises(CheckpointError, match=r"cannot be rebuilt[^\0]*Doubled[^\0]*importable|can be imported"):
        load_model(path)


def test_a_basis_that_draws_in_numpy_comes_back(path):
    model = KAN([2, 1], DrawsInNumpy(2), rngs=nnx.Rngs(0))
    save_model(model, path)
    assert_same(nnx.state(load_model(path)), nnx.state(model))


def test_a_basis_that_is_not_defined_is_named(path, monkeypatch):
    save_model(MODEL, path)
    monkeypatch.setattr("edgewise.bases.base._FAMILIES", {"BSpline": Basis})
    with pytest.raises(UnknownNameError, match="unknown basis 'Chebyshev'"):
        load_model(path)


def test_models_that_cannot_be_saved(path):
    with pytest.raises(EdgewiseError, match=r"Plain has no config and from_config[^\0]*nnx.state\(model\)"):
        save_model(Plain(), path)
    changed = KAN([2, 3, 1], Chebyshev(2), rngs=nnx.Rngs(0))
    changed.layers[0].coef = nnx.Param(jnp.ones((1, 2, 3)))
    with pytest.raises(EdgewiseError, match="config of this KAN does not describe it"):
        save_model(changed, path)

    def local(x):
        return x

    with pytest.raises(CheckpointError, match=r"cannot be rebuilt[^\0]*local[^\0]*imported"):
        save_model(KAN([2, 1], Chebyshev(2), residual=local, rngs=nnx.Rngs(0)), path)
    assert not path.exists()


def test_a_run_is_no_model(written, path):
    with pytest.raises(CheckpointError, match=r"checkpoint of a run, and no model[^\0]*resume=True"):
        load_model(path)


def test_a_model_saved_over_a_data_file_is_refused(tmp_path):
    (tmp_path / "data.csv").write_text("x,y\n")
    with pytest.raises(CheckpointError, match="exists and is no checkpoint"):
        save_model(MODEL, tmp_path / "data.csv")
