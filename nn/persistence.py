"""Models in files: JSON that holds every parameter to the last bit, and runs no code when it is read.

A file is `{"format": "autograd_lite model", "version": 1, "architecture": {...}, "parameters": {name: number},
"extra": {...}}`. A parameter that is not finite is one of the texts "nan", "inf" and "-inf": JSON has no such numbers.
"""

import json
from itertools import pairwise
from os import PathLike
from reprlib import repr as short
from typing import Any, overload

import autograd_lite as al
from autograd_lite.files import write_atomically

from .init import constant
from .modules import MLP, Activation
from .strict_json import check_header, check_keys, decode, from_json, json_object, listed, read_text, to_json

__all__ = ["load", "read_model", "save"]

_WHAT, _FORMAT, _VERSION = "a model file", "autograd_lite model", 1
_KEYS = ("format", "version", "architecture", "parameters", "extra")
_MAX_BYTES = 2**26  # 64 MiB is some two million parameters: far beyond what a scalar engine can train
_MAX_UNITS = 10**6


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
    ...     save(model, f"{folder}/model.json", classes=["short", "tall"])
    ...     same, extra = read_model(f"{folder}/model.json")
    >>> same.state_dict() == model.state_dict(), extra
    (True, {'classes': ['short', 'tall']})
    """
    if not isinstance(model, MLP):
        raise TypeError(f"save takes an MLP, got {short(model)}; of other modules, keep state_dict()")
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "architecture": _architecture(model),
        "parameters": {name: to_json(number) for name, number in model.state_dict().items()},
        "extra": {name: extra[name] for name in sorted(extra)},
    }
    try:
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    except TypeError as error:
        raise TypeError(f"the extra facts {listed(extra)} must be such as JSON can hold: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the extra facts {listed(extra)} must be such as JSON can hold: {error}") from None
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
    ...     save(MLP(2, [3, 1], seed=0), f"{folder}/model.json")
    ...     load(f"{folder}/model.json")
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
    ...     save(MLP(1, [1]), f"{folder}/model.json", feature_names=("height",))
    ...     read_model(f"{folder}/model.json")[1]
    {'feature_names': ['height']}
    """
    try:
        return _parse(read_text(path, _MAX_BYTES))
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


def _parse(text: str) -> tuple[MLP, dict[str, Any]]:
    """Make the model that a text describes; raise a ValueError that says what is wrong with it."""
    document = json_object(decode(text, _WHAT), "the file")
    check_header(document, _WHAT, _FORMAT, _VERSION, _KEYS)
    parameters = {
        name: _parameter(name, number) for name, number in json_object(document["parameters"], '"parameters"').items()
    }
    model = _build(json_object(document["architecture"], '"architecture"'), len(parameters))
    model.load_state_dict(parameters)
    return model, json_object(document["extra"], '"extra"')


def _parameter(name: str, found: Any) -> float:
    try:
        return from_json(found)
    except ValueError as error:
        raise ValueError(f"parameter {short(name)} {error}") from None


def _build(architecture: dict[str, Any], count: int) -> MLP:
    """Make the network, if it has as many parameters as the file: a small file can't ask for a large network."""
    check_keys(architecture, ("n_inputs", "sizes", "activation", "output"), '"architecture"')
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
