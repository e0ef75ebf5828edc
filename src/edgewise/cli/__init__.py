"""The commands: ``edgewise study``, ``fit``, ``predict``, ``show``, ``discover`` and ``pde``.

Nothing heavy is imported before the arguments are read, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from edgewise.cli import discover, fit, pde, predict, show, study
from edgewise.cli.parsing import BAD_INPUT, INTERRUPTED, Parser, Version, complain, print_plainly
from edgewise.errors import EdgewiseError

__all__ = ["main"]

COMMANDS = {"study": study, "fit": fit, "predict": predict, "show": show, "discover": discover, "pde": pde}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (``sys.argv`` without the program where ``None``); returns the exit code.

    0: done; 1: done, but something could not be written; 2: bad input, named on the error stream; 130: interrupted.
    """
    print_plainly()
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
    except BrokenPipeError:
        # The reader of our output has left; a second complaint at exit is of no use.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> Parser:
    parser = Parser(prog="edgewise", description="Kolmogorov-Arnold networks on JAX.")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=Parser)
    for name, command in COMMANDS.items():
        parser.commands[name] = command.add_parser(commands)
    return parser
