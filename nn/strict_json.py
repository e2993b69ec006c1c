"""Strict JSON, for files that nobody vouches for: every mistake in one is a ValueError of one line.

A float is a number to its last bit; one that is not finite is one of the texts "nan", "inf" and "-inf", for JSON has
no such numbers.
"""

import json
import math
from os import PathLike
from reprlib import repr as short
from typing import Any

from autograd_lite.files import read_at_most

__all__ = ["check_header", "check_keys", "decode", "from_json", "json_object", "listed", "read_text", "to_json"]

_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def read_text(path: str | PathLike[str], max_bytes: int) -> str:
    """Read a file of UTF-8, and no more of it than may be.

    Raises:
        OSError: The file can't be read.
        ValueError: It is too large, or not UTF-8.

    >>> from autograd_lite.files import write_atomically
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", "done")
    ...     read_text(Path(folder) / "note.txt", max_bytes=4)
    'done'
    """
    content = read_at_most(path, max_bytes)
    if len(content) > max_bytes:
        raise ValueError(f"the file is larger than {max_bytes:,} bytes")
    return content.decode("utf-8")


def decode(text: str, what: str) -> Any:
    """Return what a text says in JSON; `what` it should be is for the message.

    Raises:
        ValueError: It is not JSON to the letter, is nested too deeply, or has a key twice.

    >>> decode('{"a": 1, "a": 2}', "a model file")
    Traceback (most recent call last):
        ...
    ValueError: the key 'a' is there twice
    """
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"not {what}: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not {what}: it is not JSON: {error}") from None


def check_header(document: dict[str, Any], what: str, form: str, version: int, keys: tuple[str, ...]) -> None:
    """Check that a file says that it is of this format and version, and has these keys.

    Raises:
        ValueError: It says something else; of a newer version it says to upgrade.

    >>> check_header({"format": "f", "version": 2}, "a model file", "f", 1, ("format", "version"))
    Traceback (most recent call last):
        ...
    ValueError: the file is of version 2, this autograd_lite reads 1; upgrade it
    """
    if document.get("format") != form:
        raise ValueError(f'not {what}: "format" must be {form!r}, found {short(document.get("format"))}')
    found = document.get("version")
    if type(found) is int and found > version:
        raise ValueError(f"the file is of version {short(found)}, this autograd_lite reads {version}; upgrade it")
    if type(found) is not int or found != version:
        raise ValueError(f'"version" must be {version}, found {short(found)}')
    check_keys(document, keys, "the file")


def json_object(found: Any, what: str) -> dict[str, Any]:
    """Return what was found if it is a JSON object.

    Raises:
        ValueError: It is not.

    >>> json_object({}, "the file")
    {}
    """
    if not isinstance(found, dict):
        raise ValueError(f"{what} must be a JSON object, found {short(found)}")
    return found


def check_keys(found: dict[str, Any], wanted: tuple[str, ...], what: str) -> None:
    """Check that an object has the wanted keys and no others.

    Raises:
        ValueError: It has not.

    >>> check_keys({"a": 1}, ("a", "b"), "the file")
    Traceback (most recent call last):
        ...
    ValueError: the file must have 'a', 'b', found 'a'
    """
    if set(found) != set(wanted):
        raise ValueError(f"{what} must have {listed(wanted)}, found {listed(found)}")


def to_json(number: float) -> float | str:
    """Return a float as it is written: itself, or a text if it is not finite.

    >>> to_json(0.1), to_json(-math.inf)
    (0.1, '-inf')
    """
    return number if math.isfinite(number) else str(number)


def from_json(found: Any) -> float:
    """Return the float that `to_json` made this from; the message goes on after what the number is called.

    Raises:
        ValueError: It is no number, or beyond the range of a float64.

    >>> from_json("-inf"), from_json(2)
    (-inf, 2.0)
    """
    if isinstance(found, str) and found in _NOT_FINITE:
        return _NOT_FINITE[found]
    if type(found) not in (int, float):
        raise ValueError(f"must be a number, found {short(found)}")
    try:
        number = float(found)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("is beyond the range of a float64")
    return number


def listed(names: Any) -> str:
    """Join names for a message, at most eight of them.

    >>> listed("ab")
    "'a', 'b'"
    """
    shown = [*map(short, names)]
    return ", ".join(shown[:8] + ["…"] * (len(shown) > 8)) or "nothing"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                raise ValueError(f"the key {short(key)} is there twice")
            keys.add(key)
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
