"""What the commands share: the parser, the exit codes, how an error is printed, and where a report goes."""

from __future__ import annotations

import argparse
import codecs
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from edgewise._files import cache_folder
from edgewise.errors import EdgewiseError

__all__ = [
    "BAD_INPUT", "INTERRUPTED", "NOT_SAVED", "Parser", "Version", "complain", "enable_compilation_cache", "free_folder",
    "print_plainly",
]  # fmt: skip

BAD_INPUT, INTERRUPTED, NOT_SAVED = 2, 130, 1

# What is printed where the encoding of the output lacks a sign.
PLAIN = dict(zip("▁▂▃▄▅▆▇█–─·×", "_.-=+*#@---x", strict=True)) | {"±": "+-", "²": "^2", "³": "^3"}


class Parser(argparse.ArgumentParser):
    """argparse, with the nearest valid option or command offered for an unknown one."""

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **keywords)
        self.commands: dict[str, Parser] = {}

    @property
    def options(self) -> tuple[str, ...]:
        """The options of the parser and of its commands."""
        own = {option for action in self._actions for option in action.option_strings}
        return tuple(sorted(own.union(*(command.options for command in self.commands.values()))))

    def error(self, message: str) -> NoReturn:
        """Print ``message`` with a suggestion and leave with the code for bad input."""
        wrong = re.match(r"argument command: invalid choice: '(.*?)'", message)
        near = get_close_matches(wrong[1], self.commands, n=1) if wrong else []
        self._leave(message, near)

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """Leave with the code for bad input, since ``words`` mean nothing."""
        near = [match for word in words for match in get_close_matches(word.split("=")[0], self.options, n=1)]
        self._leave(f"unrecognized arguments: {' '.join(words)}", near)

    def _leave(self, message: str, near: Sequence[str]) -> NoReturn:
        hint = f"\nDid you mean {near[0]}?" if near else ""
        self.exit(BAD_INPUT, f"error: {message}{hint}\nSee: {self.prog} --help\n")


class Version(argparse.Action):
    """``--version``, which looks the version up only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print the version and leave."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("edgewise")
        except PackageNotFoundError:
            found = "(not installed as a package)"
        print(f"edgewise {found}")
        parser.exit()


def complain(error: EdgewiseError) -> None:
    """Print what is wrong, why, and what to do, on the error stream."""
    print(f"error: {error.what}", file=sys.stderr)
    for name, text in (("why", error.why), ("do", error.do)):
        if text:
            print(f"  {name + ':':4} {text}", file=sys.stderr)


def print_plainly() -> None:
    """Print plain signs, and escapes of letters, where the encoding of standard output lacks others."""
    codecs.register_error("edgewise-plain", _plain)
    if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="edgewise-plain")  # pyright: ignore[reportAttributeAccessIssue]


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(c, c.encode("ascii", "backslashreplace").decode()) for c in signs), error.end


def free_folder(name: str) -> Path:
    """The folder ``name`` in the current one, or the first of ``name-2``, ``name-3``, ... that is not there."""
    number = 1
    while (folder := Path(name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def enable_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder: compiling costs more than a small study.

    ``EDGEWISE_CACHE_DIR`` names another folder, or ``0`` for none; JAX's own setting goes first, and so does that of a
    program that has imported JAX already.  A folder that cannot be written to is passed over, since only time is lost.
    """
    folder = cache_folder()
    if folder is None or "jax" in sys.modules or os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return
    except OSError:
        return
    # JAX reads these when it is imported, which is later, or never if the input is bad.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
