"""Models in files: JSON that holds every parameter to the last bit, and runs no code when it is read.

A file is `{"format": "autograd_lite model", "version": 1, "architecture": {...}, "parameters": {name: number},
"extra": {...}}`. A parameter that is not finite is one of the texts "nan", "inf" and "-inf": JSON has no such numbers.
"""

import json
import math
from itertools import pairwise
from os import PathLike
from pathlib import Path
from reprlib import repr as short
from typing import Any, overload

import autograd_lite as al

from .files import write_atomically
from .init import constant
from .modules import MLP, Activation

__all__ = ["load", "read_model", "save"]

_FORMAT, _VERSION = "autograd_lite model", 1
_KEYS = ("format", "version", "architecture", "parameters", "extra")
_MAX_BYTES = 2**26  # 64 MiB is some two million parameters: far beyond what a scalar engine can train
_MAX_UNITS = 10**6
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def save(model: MLP, path: str | PathLike[str], /, **extra: Any) -> None:
    """Write a model to a file, and with it any facts that JSON can hold: the names of features, the classes.

    The same model gives the same bytes. What is written has been read back first, so it can be loaded.

    Raises:
        TypeError: `model` is not an MLP, or a fact is of a type that JSON does not have.
        ValueError: An activation is not one of the table's, the layers no longer are as they were made, or a fact is
            not finite or too deep.
        OSError: The file can't be written.

    >>> from tempfile import TemporaryDirectory
    >>> model = MLP(2, [3, 1], activation=al.tanh, seed=0)
    >>> with TemporaryDirectory() as folder:
    ...     save(model, Path(folder) / "model.json", classes=["short", "tall"])
    ...     same, extra = read_model(Path(folder) / "model.json")
    >>> same.state_dict() == model.state_dict(), extra
    (True, {'classes': ['short', 'tall']})
    """
    if not isinstance(model, MLP):
        raise TypeError(f"save takes an MLP, got {short(model)}; of other modules, keep state_dict()")
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "architecture": _architecture(model),
        "parameters": {name: _to_json(number) for name, number in model.state_dict().items()},
        "extra": {name: extra[name] for name in sorted(extra)},
    }
    try:
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    except TypeError as error:
        raise TypeError(f"the extra facts {_listed(extra)} must be such as JSON can hold: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the extra facts {_listed(extra)} must be such as JSON can hold: {error}") from None
    again, _ = _parse(text)
    if repr(again) != repr(model):
        raise ValueError(f"the layers of {model!r} are not as they were made ({again!r}), so it can't be saved")
    write_atomically(path, text)


@overload
def load(path: str | PathLike[str], /) -> MLP: ...
@overload
def load(model: MLP, path: str | PathLike[str], /) -> MLP: ...
def load(model: Any, path: Any = None, /) -> MLP:
    """Read a model from a file: `load(path)` makes it, `load(model, path)` sets the parameters of one like it.

    Loading runs no code. A load that fails changes nothing.

    Raises:
        OSError: The file can't be read.
        TypeError: `model` is not an MLP.
        ValueError: The file is damaged or from a newer version, or its model has another architecture; one line
            names the file and what is wrong.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(MLP(2, [3, 1], seed=0), Path(folder) / "model.json")
    ...     load(Path(folder) / "model.json")
    MLP(2 inputs -> 3 relu -> 1 linear: a 2-layer network, 13 parameters)
    """
    if path is None:
        return read_model(model)[0]
    if not isinstance(model, MLP):
        raise TypeError(f"load takes a path, or an MLP and a path, got {short(model)} first")
    stored, _ = read_model(path)
    found, wanted = _architecture(stored), _architecture(model)
    differences = [
        f"{key} {short(found[key])} in the file and {short(wanted[key])} in the model"
        for key in wanted
        if found[key] != wanted[key]
    ]
    if differences:
        raise ValueError(f"{path}: the architectures differ: {'; '.join(differences)}")
    model.load_state_dict(stored.state_dict())
    return model


def read_model(path: str | PathLike[str]) -> tuple[MLP, dict[str, Any]]:
    """Read a model and the extra facts that were saved with it; errors as for `load`.

    Facts come back as JSON has them: tuples as lists, keys as texts.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(MLP(1, [1]), Path(folder) / "model.json", feature_names=("height",))
    ...     read_model(Path(folder) / "model.json")[1]
    {'feature_names': ['height']}
    """
    with Path(path).open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    try:
        if len(content) > _MAX_BYTES:
            raise ValueError(f"the file is larger than {_MAX_BYTES:,} bytes")
        return _parse(content.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _architecture(model: MLP) -> dict[str, Any]:
    return {
        "n_inputs": model.n_inputs,
        "sizes": [len(layer.neurons) for layer in model.layers],
        "activation": _activation_name(model.activation),
        "output": _activation_name(model.output),
    }


def _activation_name(activation: Activation) -> str | None:
    if activation is None:
        return None
    for name, operation in _operations().items():
        if operation is activation:
            return name
    raise ValueError(f"{activation!r} is not an operation of the table, and a file holds no code; keep state_dict()")


def _operations() -> dict[str, Any]:
    return {**al.TABLE, "softmax": al.softmax}


def _to_json(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _parse(text: str) -> tuple[MLP, dict[str, Any]]:
    """Make the model that a text describes; raise a ValueError that says what is wrong with it."""
    document = _object(_decode(text), "the file")
    if document.get("format") != _FORMAT:
        raise ValueError(f'not a model file: "format" must be {_FORMAT!r}, found {short(document.get("format"))}')
    version = document.get("version")
    if type(version) is int and version > _VERSION:
        raise ValueError(f"the file is of version {short(version)}, this autograd_lite reads {_VERSION}; upgrade it")
    if type(version) is not int or version != _VERSION:
        raise ValueError(f'"version" must be {_VERSION}, found {short(version)}')
    _check_keys(document, _KEYS, "the file")
    parameters = {
        name: _from_json(name, number) for name, number in _object(document["parameters"], '"parameters"').items()
    }
    model = _build(_object(document["architecture"], '"architecture"'), len(parameters))
    model.load_state_dict(parameters)
    return model, _object(document["extra"], '"extra"')


def _decode(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("not a model file: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not a model file: it is not JSON: {error}") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {short(key)} is there twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _object(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"{what} must be a JSON object, found {short(found)}")
    return found


def _check_keys(found: dict[str, Any], wanted: tuple[str, ...], what: str) -> None:
    if set(found) != set(wanted):
        raise ValueError(f"{what} must have {_listed(wanted)}, found {_listed(found)}")


def _from_json(name: str, found: Any) -> float:
    if isinstance(found, str) and found in _NOT_FINITE:
        return _NOT_FINITE[found]
    if type(found) not in (int, float):
        raise ValueError(f"parameter {short(name)} must be a number, found {short(found)}")
    try:
        number = float(found)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"parameter {short(name)} is beyond the range of a float64")
    return number


def _build(architecture: dict[str, Any], count: int) -> MLP:
    """Make the network, if it has as many parameters as the file: a small file can't ask for a large network."""
    _check_keys(architecture, ("n_inputs", "sizes", "activation", "output"), '"architecture"')
    sizes = architecture["sizes"]
    if not isinstance(sizes, list):
        raise ValueError(f'"sizes" must be a list, found {short(sizes)}')
    units = [_units(n) for n in [architecture["n_inputs"], *sizes]]
    wanted = sum((n_in + 1) * n_out for n_in, n_out in pairwise(units))
    if wanted != count:
        raise ValueError(f"a network of sizes {short(units)} has {wanted:,} parameters, the file holds {count:,}")
    try:
        activation, output = (_operation(architecture[key]) for key in ("activation", "output"))
        return MLP(units[0], units[1:], activation, output, init=constant, seed=0)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _units(found: Any) -> int:
    if type(found) is not int or not 1 <= found <= _MAX_UNITS:
        raise ValueError(f"a number of units must be an integer from 1 to {_MAX_UNITS:,}, found {short(found)}")
    return found


def _operation(name: Any) -> Activation:
    if name is not None and (not isinstance(name, str) or name not in _operations()):
        raise ValueError(f"unknown activation {short(name)}")
    return None if name is None else _operations()[name]


def _listed(names: Any) -> str:
    """Join names for a message, at most eight of them."""
    listed = [*map(short, names)]
    return ", ".join(listed[:8] + ["…"] * (len(listed) > 8)) or "nothing"
