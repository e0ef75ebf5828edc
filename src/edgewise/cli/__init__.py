"""The commands: ``edgewise study``, ``fit``, ``predict``, ``show``, ``discover``, ``pde`` and ``kernels``.

Nothing heavy is imported before the arguments are read, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from edgewise.cli import discover, fit, kernels, pde, predict, show, study
from edgewise.cli.parsing import BAD_INPUT, INTERRUPTED, NOT_SAVED, Parser, Version, complain, print_plainly
from edgewise.errors import EdgewiseError

__all__ = ["main"]

COMMANDS = {
    "study": study,
    "fit": fit,
    "predict": predict,
    "show": show,
    "discover": discover,
    "pde": pde,
    "kernels": kernels,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (``sys.argv`` without the program where ``None``); returns the exit code.

    0: done; 1: done, but something could not be written; 2: bad input, named on the error stream; 130: interrupted.
    """
    print_plainly()
    try:
        try:
            return _done(argv)
        finally:
            if sys.stdout is not None:  # None where it is closed
                sys.stdout.flush()  # here, where it can be answered for; at exit Python would do it, and complain
    except BrokenPipeError:  # the reader of our output has left
        _silence()
        return 0
    except OSError as error:
        reason = f"{error.strerror or error}."
        if error.filename is not None:
            complain(EdgewiseError(f"cannot use {error.filename!r}.", reason, "check the path and its permissions."))
            return BAD_INPUT
        _silence()
        complain(EdgewiseError("cannot write to standard output.", reason))
        return NOT_SAVED


def _done(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments, unknown = parser.parse_known_args(argv)
    if arguments.command is None:
        if unknown:
            parser.unknown(unknown)
        parser.print_help()
        return 0
    if unknown:
        parser.commands[arguments.command].unknown(unknown)
    try:
        return COMMANDS[arguments.command].run(arguments)
    except EdgewiseError as error:
        complain(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted before there was anything to report.", file=sys.stderr)
        return INTERRUPTED


def _silence() -> None:
    """Standard output leads nowhere from here on: a second complaint at exit is of no use."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> Parser:
    parser = Parser(prog="edgewise", description="Kolmogorov-Arnold networks on JAX.")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=Parser)
    for name, command in COMMANDS.items():
        parser.commands[name] = command.add_parser(commands)
    return parser
