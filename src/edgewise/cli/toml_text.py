"""Flat TOML: settings read with an error for every fault, and written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgewise.errors import EdgewiseError

__all__ = ["read_toml", "toml_text"]

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_toml(path: Path) -> dict[str, Any]:
    """The top-level keys of a TOML file.

    Raises:
        EdgewiseError: the file is not there, cannot be read, or is no TOML; it names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise EdgewiseError(
            f"there is no file {str(path)!r}.", f"the current folder is {Path.cwd()}.", "check the spelling."
        ) from error
    except OSError as error:
        raise EdgewiseError(f"cannot read {str(path)!r}.", f"{error.strerror}.", "give a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgewiseError(
            f"{path.name} is no TOML: {error}.",
            do='write name = value, a line each: texts in quotes (basis = "chebyshev:5"), lists in brackets '
            "(widths = [8, 8]).",
        ) from error


def toml_text(values: Mapping[str, Any]) -> str:
    """``values`` as TOML, a line each: texts, whole numbers, numbers, yes and no, and lists of them.

    Raises:
        EdgewiseError: a value of another kind, or a text that UTF-8 cannot hold.
    """
    return "".join(f"{_key(name)} = {_value(name, value)}\n" for name, value in values.items())


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else _text(name, name)


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(name, value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(name, item) for item in value)}]"
    raise EdgewiseError(
        f"{name} = {value!r} cannot be written as TOML.",
        f"it is of type {type(value).__name__}.",
        "use texts, numbers, booleans and lists of them.",
    )


def _text(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EdgewiseError(
            f"{name} = {text!r} cannot be written in UTF-8.",
            "it holds bytes that are no text.",
            "rename the file or column.",
        ) from error
    # TOML's basic strings escape as JSON does, and DEL besides
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
