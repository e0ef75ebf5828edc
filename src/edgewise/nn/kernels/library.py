"""The compiled kernels of layers on a CPU: built once, on request, and used from then on.

XLA writes the modes of a layer into memory and reads them for the product; ``layer.cc`` keeps both in the cache.  It is
compiled for the processor at hand, by the compiler of the machine, and called by XLA.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax

from edgewise._files import cache_folder
from edgewise.errors import EdgewiseError

__all__ = ["Built", "available", "build", "remove"]

_FOLDER = Path(__file__).parent
_SOURCES = (_FOLDER / "layer.cc", *sorted(_FOLDER.glob("*.h")))
_OPTIONS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
# for this processor, which some compilers have another name for, or none
_TARGETS = (("-march=native",), ("-mcpu=native",), ())
_OPERATIONS = ("outputs", "coefficients", "weights")
_SECONDS = 300  # for a compilation of five

_log = logging.getLogger(__name__)
_registered: set[str] = set()


class Built(NamedTuple):
    """Where the kernels are, and whether they have been compiled just now."""

    path: Path
    compiled: bool


def build(*, again: bool = False) -> Built:
    """Compile the kernels for this machine, unless that is done, and use them from now on.

    Programs that JAX has compiled before keep what they have.  The file is in the cache folder: ``~/.cache/edgewise``,
    or ``EDGEWISE_CACHE_DIR``.

    Args:
        again: compile them even if they are there.

    Raises:
        EdgewiseError: without a compiler or a folder to keep them in, or when the compiler fails.
    """
    path = _library()
    if path is None:
        raise EdgewiseError(
            "There is no folder for the compiled kernels.",
            "EDGEWISE_CACHE_DIR=0 says that none is to be used.",
            "name one: EDGEWISE_CACHE_DIR=~/.cache/edgewise.",
        )
    compiled = again or not path.exists()
    if compiled:
        _compile(path)
    available.cache_clear()
    available()
    return Built(path, compiled)


def remove() -> Path | None:
    """Delete the kernels of this machine, and use XLA's from now on; where they were, None if there were none."""
    path = _library()
    available.cache_clear()
    if path is None or not path.exists():
        return None
    path.unlink()
    return path


@cache
def available() -> bool:
    """Whether layers use the compiled kernels: they are built, and JAX has one CPU and nothing else to run on.

    ``EDGEWISE_KERNELS=0`` turns them off.
    """
    if os.environ.get("EDGEWISE_KERNELS") == "0":
        return False
    # XLA cannot divide a call among devices
    if jax.default_backend() != "cpu" or jax.device_count() > 1:
        return False
    path = _library()
    return path is not None and path.exists() and _loaded(path)


def _library() -> Path | None:
    """Where the library of this source, JAX and processor is, or would be; None without a folder for caches."""
    folder = cache_folder()
    if folder is None:
        return None
    made_of = (
        *(source.read_text(encoding="utf-8") for source in _SOURCES),
        *_OPTIONS,
        version("jaxlib"),
        _processor(),
    )
    return folder / f"kernels-{hashlib.sha256(chr(0).join(made_of).encode()).hexdigest()[:16]}.so"


def _loaded(path: Path) -> bool:
    if path.name in _registered:  # which can be done but once
        return True
    try:
        functions = ctypes.CDLL(str(path))
        for name in _OPERATIONS:
            target = jax.ffi.pycapsule(getattr(functions, f"edgewise_{name}"))
            jax.ffi.register_ffi_target(f"edgewise_{name}", target, platform="cpu")
    except (OSError, AttributeError) as error:
        _log.warning("The compiled kernels in %s cannot be used, and XLA's are: %s", path, error)
        return False
    _registered.add(path.name)
    return True


def _compile(path: Path) -> None:
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if compiler is None:
        raise EdgewiseError(
            "There is no C++ compiler.",
            "the kernels are compiled for the machine that they run on; without them XLA's are used.",
            "install one: apt install g++ (Debian, Ubuntu), xcode-select --install (macOS); or name it in CXX.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".kernels-") as folder:
        made = Path(folder) / path.name
        command = [*compiler.split(), *_OPTIONS, "-isystem", jax.ffi.include_dir(), str(_SOURCES[0]), "-o", str(made)]
        complaints: list[str] = []
        for target in _TARGETS:
            complaint = _complaint([*command, *target])
            if complaint is None:
                break
            complaints.append(complaint)
        else:
            raise EdgewiseError(
                f"{compiler} could not compile the kernels.",
                complaints[0],
                "try another compiler: CXX=clang++ edgewise kernels; without the kernels XLA's are used.",
            )
        os.replace(made, path)


def _complaint(command: list[str]) -> str | None:
    """The end of what a compiler says when it fails; None where it does not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{error}."
    if done.returncode == 0:
        return None
    return "\n".join(done.stderr.strip().splitlines()[-8:]) or f"it ended with code {done.returncode}."


def _processor() -> str:
    """What a program compiled for this processor depends on: unlike machines may share a home directory."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return platform.machine() + next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
