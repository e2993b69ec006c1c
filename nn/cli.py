"""The command `autograd-lite`: train a network, predict with it, draw the graph of an expression.

`_COMMANDS` at the end lists the sub-commands; each is one function from the parsed arguments to an exit status.
"""

import argparse
import csv
import io
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import autograd_lite as al

from . import data
from .data import Dataset, Scaler
from .drawing import draw
from .expressions import parse
from .modules import MLP, Module
from .optim import SGD, Adam, AdamW, Optimizer, RMSprop, cosine
from .persistence import read_model, save
from .plotting import plot_boundary, plot_history
from .training import History, classify, evaluate, fit, predict

__all__ = ["main"]

_INTERRUPTED, _BROKEN_PIPE = 128 + 2, 128 + 13  # what a shell makes of SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default those of the process, and return the exit status.

    It is 0 when all went well; 2 after an error, which is one line on the standard error; 130 after Ctrl-C; 141 if
    the reader of the output has gone.

    >>> main(["draw", "tanh(w*x + b)", "--at", "w=0.5,x=2,b=0.1"])
    tanh(w*x + b) = 0.8004990217606297
    d/dw = 0.7184026322...
    d/dx = 0.1796006580...
    d/db = 0.3592013161...
    0
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # rather than fail on a name that the terminal can't show
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            args = _parser().parse_args(argv)
            status: int = args.run(args)
            print(end="", flush=True)
            return status
    except KeyboardInterrupt:
        _complain("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return _BROKEN_PIPE
    except OSError as error:
        if error.filename is None:  # it may be the output itself that can't be written
            _discard_output()
        _complain(f"error: {_reason(error)}")
    except (ArithmeticError, ImportError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        _complain(f"error: {_reason(error)}")
    return 2


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line, as all others."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="autograd-lite",
        description="Train small neural networks on exact gradients, and look at every one of them.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        added = commands.add_parser(
            name,
            help=command.help,
            description=command.help,
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser


def _version() -> str:
    try:
        return version("autograd_lite")
    except PackageNotFoundError:
        return "(not installed)"


def _complain(message: str) -> None:
    print(f"autograd-lite: {message}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: Any) -> None:
    _complain(f"warning: {message}")


def _reason(error: BaseException) -> str:
    """Say in one line what was wrong."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _discard_output() -> None:
    """Let the flush at exit go nowhere, as the output can't be written."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# ---- draw -----------------------------------------------------------------------------------------------------


def _add_draw_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("expression", metavar="EXPRESSION", help='such as "tanh(w*x + b)"')
    parser.add_argument(
        "--at", metavar="NAME=NUMBER,...", type=_assignments, action="extend", default=[], help="the variables"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the graph to a .svg, .png, .pdf or .dot file")


def _assignments(text: str) -> list[tuple[str, float]]:
    assignments = []
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not name or not equals:
            raise argparse.ArgumentTypeError(f"found {part!r}, want NAME=NUMBER as in w=0.5,x=2")
        try:
            assignments.append((name, float(number)))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{name}={number}: {number!r} is not a number") from None
    return assignments


def _draw(args: argparse.Namespace) -> int:
    expression = parse(args.expression)
    values = dict(args.at)
    for name in values:
        if (times := [given for given, _ in args.at].count(name)) > 1:
            raise ValueError(f"--at: {name} is given {times} times")
    try:
        y, variables = expression.evaluate(values)
    except ValueError as error:
        raise ValueError(f"--at: {error}") from None
    y.backward()
    if args.output is not None:
        draw(y).save(args.output)
    print(f"{args.expression} = {y.data!r}")
    for name, x in variables.items():
        print(f"d/d{name} = {x.grad!r}")
    if args.output is None:
        print("(with -o graph.svg the graph is drawn)", file=sys.stderr)
    else:
        print(f"wrote {args.output}")
    return 0


# ---- train ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recipe:
    """How to train, unless the options say otherwise."""

    layers: tuple[int, ...] = (16, 16)
    epochs: int = 40
    lr: float = 0.02
    batch: int = 16


_DATA: dict[str, Callable[[int], Dataset]] = {
    "digits": lambda seed: data.digits(),
    "iris": lambda seed: data.iris(),
    "moons": lambda seed: data.moons(300, seed=seed),
    "circles": lambda seed: data.circles(300, seed=seed),
    "spiral": lambda seed: data.spiral(300, seed=seed),
    "same-value": lambda seed: data.same_value(100, noise=0.1, seed=seed),
}
_RECIPES = {
    "digits": _Recipe(layers=(32,), epochs=12, lr=0.01, batch=32),
    "iris": _Recipe(layers=(16,)),
    "spiral": _Recipe(epochs=60),
    "same-value": _Recipe(layers=(8,)),
}  # of other data, all of it as above
_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop, "sgd": partial(SGD, momentum=0.9),
}  # fmt: skip
_FILES = ("model.json", "history.csv", "network.svg", "loss.svg", "boundary.svg")
_MAX_UNITS = 10_000


def _add_train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=f"{', '.join(_DATA)}, or a CSV file with a header")
    parser.add_argument("--target", metavar="COLUMN", help="what to predict from the other columns of a CSV file (last)")
    parser.add_argument("--layers", metavar="N,...", type=_layers, help="units in each hidden layer, or none")
    parser.add_argument("--activation", metavar="NAME", default="relu", help="of the hidden units (relu)")
    parser.add_argument("--epochs", metavar="N", type=_count, help="how often to go through the training data")
    parser.add_argument("--lr", metavar="X", type=_rate, help="learning rate to begin with; it falls to 0 along a cosine")
    parser.add_argument("--batch", metavar="N", type=_count, help="examples to a step")
    parser.add_argument("--optimizer", choices=_OPTIMIZERS, default="adam", help="(adam; sgd is with momentum 0.9)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the data, split, weights and order (0)")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write the files (runs/DATA)")


_TRAIN_NOTES = f"""\
A fifth of the rows is held out to test with. Inputs, and the target of a regression, are standardised by the
training rows; model.json holds how, for predict. A target of text or of few integers is a class.

default:  {"layers":>6} {"epochs":>6} {"lr":>6} {"batch":>6}
"""


def _layers(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    try:
        layers = tuple(int(part) for part in text.split(","))
    except ValueError:
        layers = (0,)
    if not all(1 <= units <= _MAX_UNITS for units in layers):
        raise argparse.ArgumentTypeError(f"found {text!r}, want none or numbers of units from 1 to {_MAX_UNITS}: 32,16")
    return layers


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"found {text!r}, want a whole number, at least 1")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0.0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"found {text!r}, want a positive number")
    return rate
