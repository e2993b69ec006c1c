"""The command `autograd-lite`: train a network, predict with it, draw an expression, step through it, audit an engine.

`_COMMANDS` at the end lists the sub-commands. Each is a function from the parsed arguments to an exit status; to say
what is wrong it raises, and `main` makes one line of that.
"""

import argparse
import csv
import io
import math
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from reprlib import repr as short
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import autograd_lite as al
from autograd_lite import audit

from . import data
from .data import Dataset, Scaler
from .drawing import draw
from .expressions import parse
from .modules import MLP, Module
from .optim import SGD, Adam, AdamW, Optimizer, RMSprop, cosine
from .persistence import read_model, save
from .plotting import plot_boundary, plot_history
from .stepping import stepper
from .training import History, classify, evaluate, fit, predict

__all__ = ["main"]

_INTERRUPTED, _BROKEN_PIPE = 128 + 2, 128 + 13  # what a shell makes of SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default those of the process, and return its exit status.

    The status is 0; 1 if an audit found something; 2 after an error, which is one line on the standard error; 130
    after Ctrl-C; 141 if whoever read the output has gone.

    >>> main(["draw", "tanh(w*x + b)", "--at", "w=0.5,x=2,b=-1"])
    tanh(w*x + b) = 0.0
    d/dw = 2.0
    d/dx = 0.5
    d/db = 1.0
    0
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # rather than fail on a name the terminal has no letters for
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            args = _parser().parse_args(argv)
            status: int = args.run(args)
            print(end="", flush=True)  # here, where a failure is still dealt with
            return status
    except KeyboardInterrupt:
        _complain("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return _BROKEN_PIPE
    except (ArithmeticError, ImportError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is None:
            _discard_output()  # it may be what could not be written
        _complain(f"error: {_reason(error)}")
        return 2


def _complain(message: str) -> None:
    if sys.stderr is not None:  # print takes None for the standard output
        print(f"autograd-lite: {message}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _complain(f"warning: {message}")


def _reason(error: BaseException) -> str:
    """Say in one line what was wrong."""
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return " ".join(reason.split()) or type(error).__name__


def _discard_output() -> None:
    """Let what is still to be written go nowhere, or Python complains at exit."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line, like all others."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="autograd-lite",
        description="Train small neural networks by exact gradients, and see every one of them.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        added = commands.add_parser(
            name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=command.notes,
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


# ---- draw -----------------------------------------------------------------------------------------------------

_DRAW_NOTES = f"""\
example:  autograd-lite draw "tanh(w*x + b)" --at w=0.5,x=2,b=0.1 -o graph.svg

An expression has numbers, names, + - * / **, brackets and operations; pi and e are constants. An operation on a
sequence takes a list, logsumexp([x, y]); the condition of where may be a comparison, where(x > 0, x, 0.1*x).
If an expression begins with a minus sign, put it last, after --:  autograd-lite draw --at x=2 -- "-x**2"

operations:
{textwrap.fill(", ".join(al.TABLE), 100, initial_indent="  ", subsequent_indent="  ")}
"""


def _add_expression_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("expression", metavar="EXPRESSION", help='such as "tanh(w*x + b)"')
    parser.add_argument(
        "--at", metavar="NAME=NUMBER,...", type=_assignments, action="extend", default=[], help="what the variables are"
    )


def _add_draw_arguments(parser: argparse.ArgumentParser) -> None:
    _add_expression_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="draw the graph into a .svg, .png, .pdf or .dot file")


def _assignments(text: str) -> list[tuple[str, float]]:
    assignments = []
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not name or not equals:
            raise argparse.ArgumentTypeError(f"found {short(part)}, want NAME=NUMBER, as in w=0.5,x=2")
        try:
            assignments.append((name, float(number)))
        except ValueError:
            raise argparse.ArgumentTypeError(f"found {short(number)} for {name}, want a number") from None
    return assignments


def _evaluated(args: argparse.Namespace) -> tuple[al.Value, dict[str, al.Value]]:
    """Return the Value of the expression, and its variables."""
    expression = parse(args.expression)
    values = dict(args.at)
    try:
        if len(values) < len(args.at):
            raise ValueError("a variable is given twice")
        return expression.evaluate(values)
    except ValueError as error:
        raise ValueError(f"--at: {error}") from None


def _draw(args: argparse.Namespace) -> int:
    y, variables = _evaluated(args)
    y.backward()
    if args.output is not None:
        draw(y).save(args.output)
    print(f"{args.expression} = {y.data!r}")
    for name, x in variables.items():
        print(f"d/d{name} = {x.grad!r}")
    if args.output is None:
        print("(-o graph.svg draws the graph)", file=sys.stderr)
    return 0


# ---- step -----------------------------------------------------------------------------------------------------

_STEP_NOTES = """\
On a terminal, the keys ← → home end move and q leaves; elsewhere every step is printed on a line of its own. The page
that -o writes has the graph in it, and works without a network.

example:  autograd-lite step "tanh(w*x + b)" --at w=0.5,x=2,b=0.1
"""


def _add_step_arguments(parser: argparse.ArgumentParser) -> None:
    _add_expression_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE.html", help="write a page to step through in a browser")


def _step(args: argparse.Namespace) -> int:
    s = stepper(_evaluated(args)[0])
    if args.output is None:
        s.play()
    else:
        s.save(args.output)
    return 0


# ---- train ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recipe:
    """How to train, unless the options say otherwise; these are the values for data without a recipe of its own."""

    layers: tuple[int, ...] = (16, 16)
    epochs: int = 30
    lr: float = 0.02
    batch: int = 16


_RECIPES = {
    "digits": _Recipe(layers=(32,), epochs=10, lr=0.01, batch=32),
    "iris": _Recipe(layers=(16,)),
    "circles": _Recipe(layers=(16,)),
    "spiral": _Recipe(epochs=60),
    "same-value": _Recipe(layers=(8,)),
}
_DATA: dict[str, Callable[[int], Dataset]] = {
    "digits": lambda seed: data.digits(),
    "iris": lambda seed: data.iris(),
    "moons": lambda seed: data.moons(300, seed=seed),
    "circles": lambda seed: data.circles(300, seed=seed),
    "spiral": lambda seed: data.spiral(300, seed=seed),
    "same-value": lambda seed: data.same_value(100, noise=0.1, seed=seed),
}
_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop, "sgd": partial(SGD, momentum=0.9),
}  # fmt: skip
_FILES = ("model.json", "history.csv", "network.svg", "loss.svg", "boundary.svg")
_MAX_UNITS = 10_000


def _defaults() -> str:
    rows = [("defaults", "layers", "epochs", "lr", "batch")]
    for name, recipe in (_RECIPES | {"others": _Recipe()}).items():
        rows.append((name, ",".join(map(str, recipe.layers)), str(recipe.epochs), str(recipe.lr), str(recipe.batch)))
    return "\n".join("".join(f"{cell:12}" for cell in row).rstrip() for row in rows)


_TRAIN_NOTES = f"""\
A fifth of the rows is held out to test with. A target of text, or of whole numbers of at most 20 different values, is
a class; any other is a number. Inputs, and a target that is a number, are standardised by the rows to train with;
model.json keeps how, for predict. The errors of the epochs are those of the standardised target, the last line is in
the target's own unit. Ctrl-C ends the training, keeps what was learnt and gives exit status {_INTERRUPTED}.

DIR gets {", ".join(_FILES[:-1])} and, if there are classes of two inputs, {_FILES[-1]}.

{_defaults()}

examples:  autograd-lite train digits
           autograd-lite train digits --compile
           autograd-lite train moons --layers 8,8 --activation tanh --out moons
           autograd-lite train houses.csv --target price
"""


def _add_train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=f"{', '.join(_DATA)}, or a CSV file")
    parser.add_argument("--target", metavar="COLUMN", help="the column of a CSV file to learn; the last by default")
    parser.add_argument("--layers", metavar="N,N,...", type=_layers, help="units in each hidden layer, or none")
    parser.add_argument(
        "--activation", metavar="NAME", type=_activation, default="relu", help="of hidden units; relu by default"
    )
    parser.add_argument("--epochs", metavar="N", type=_count, help="how often to go through the rows")
    parser.add_argument("--lr", metavar="X", type=_rate, help="learning rate at first; it falls to 0 along a cosine")
    parser.add_argument("--batch", metavar="N", type=_count, help="rows to a step")
    parser.add_argument(
        "--optimizer", choices=_OPTIMIZERS, default="adam", help="adam by default; sgd is with momentum 0.9"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of data, split, weights and order; 0 by default"
    )
    parser.add_argument(
        "--compile", action="store_true", help="train with compiled code, much faster; needs the extra `compile`"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write the files; runs/DATA by default")


def _layers(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    parts = text.split(",")
    if not all(part.strip().isdecimal() and 1 <= int(part) <= _MAX_UNITS for part in parts):
        raise argparse.ArgumentTypeError(
            f"found {short(text)}, want numbers of units up to {_MAX_UNITS}, as in 32,16, or none"
        )
    return tuple(map(int, parts))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {short(text)}, want a whole number of at least 1")
    return int(text)


def _rate(text: str) -> float:
    with suppress(ValueError):
        if 0.0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"found {short(text)}, want a positive number")


def _activation(name: str) -> al.Op:
    if name not in al.TABLE:
        close = " or ".join(get_close_matches(name, al.TABLE)) or "relu, tanh or sigmoid"
        raise argparse.ArgumentTypeError(f"there is no operation {short(name)}; did you mean {close}?")
    return al.TABLE[name]


def _train(args: argparse.Namespace) -> int:
    dataset = _dataset(args.data, args.target, args.seed)
    if len(dataset) < 3:
        raise ValueError(f"{args.data}: {len(dataset)} rows are too few to hold some out; give at least 3")
    train, test = dataset.split(seed=args.seed)
    given = {name: vars(args)[name] for name in ("layers", "epochs", "lr", "batch") if vars(args)[name] is not None}
    recipe = replace(_RECIPES.get(args.data, _Recipe()), **given)
    predictor = _untrained(train, recipe.layers, args.activation, args.seed)
    with _folder(args.out or Path("runs", Path(args.data).stem)) as folder:
        print(f"{args.data}: {len(train)} rows to train with, {len(test)} to test with")
        print(predictor.model)
        history = _fitted(predictor, train, test, recipe, _OPTIMIZERS[args.optimizer], args.seed, args.compile)
        if history.interrupted:
            print(f"interrupted after {len(history)} of {recipe.epochs} epochs")
        _write_files(folder, predictor, history, dataset)
    measured = evaluate(predictor.model, *predictor.standardised(test))
    if predictor.target is None:
        print(f"test accuracy {measured['accuracy']:.3f} ({measured['correct']}/{measured['total']})")
    else:
        print(f"test rmse {measured['rmse'] * predictor.target.scale[0]:g}")
    return _INTERRUPTED if history.interrupted else 0


def _dataset(name: str, target: str | None, seed: int) -> Dataset:
    if name in _DATA:
        if target is not None:
            raise ValueError(f"--target is for a CSV file; what to learn from {name} is settled")
        return _DATA[name](seed)
    if not Path(name).suffix and not Path(name).exists():
        raise ValueError(f"there is no data set {short(name)}; give {', '.join(_DATA)} or a CSV file")
    return data.read_csv(name, target)


@dataclass(frozen=True)
class _Predictor:
    """A model and what it takes to use it on rows as they are.

    Attributes:
        model: It takes standardised rows; it gives logits, or a standardised number.
        feature_names: The columns of a row.
        classes: The classes; empty for a regression.
        inputs: How the rows are standardised.
        target: How the target of a regression is; None for classes.
    """

    model: MLP
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    inputs: Scaler
    target: Scaler | None

    def __post_init__(self) -> None:
        if not len(self.feature_names) == len(self.inputs.mean) == self.model.n_inputs:
            raise ValueError(f"{self.model!r} does not fit the inputs {short(self.feature_names)}")
        if len(self.model.layers[-1].neurons) != _n_outputs(self.classes):
            raise ValueError(f"{self.model!r} does not fit the classes {short(self.classes)}")
        fits = len(self.classes) > 1 if self.target is None else not self.classes and len(self.target.mean) == 1
        if not fits:
            raise ValueError(f"want two classes or the scale of one number, found {short(self.classes)}, {self.target}")

    def standardised(self, dataset: Dataset) -> tuple[list[list[float]], list[int] | list[float]]:
        """Return the rows and the targets as the model has them."""
        X = self.inputs.transform(dataset.X)
        if self.target is None:
            return X, dataset.y
        return X, [t for (t,) in self.target.transform([[t] for t in dataset.y])]


def _n_outputs(classes: Sequence[str]) -> int:
    """One output is enough for a number, and for the second of two classes against the first."""
    return len(classes) if len(classes) > 2 else 1


def _untrained(train: Dataset, layers: tuple[int, ...], activation: al.Op, seed: int) -> _Predictor:
    sizes = [*layers, _n_outputs(train.classes)]
    model = MLP(len(train.feature_names), sizes, activation=activation, seed=seed)
    target = None if train.classes else Scaler.fit([[t] for t in train.y])
    return _Predictor(model, train.feature_names, train.classes, Scaler.fit(train.X), target)


def _fitted(
    predictor: _Predictor,
    train: Dataset,
    test: Dataset,
    recipe: _Recipe,
    make: Callable[..., Optimizer],
    seed: int,
    compile: bool,
) -> History:
    model = predictor.model
    steps = recipe.epochs * math.ceil(len(train) / recipe.batch)
    return fit(
        model,
        *predictor.standardised(train),
        optimizer=make(model.parameters(), cosine(recipe.lr, steps)),
        epochs=recipe.epochs,
        batch_size=recipe.batch,
        validation=predictor.standardised(test),
        seed=seed,
        compile=compile,
    )


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """Make a folder before the work that is to fill it; if that fails, take away what was made."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield path
    except BaseException:
        for folder in made:
            with suppress(OSError):  # someone else has put a file there
                folder.rmdir()
        raise


def _write_files(folder: Path, predictor: _Predictor, history: History, dataset: Dataset) -> None:
    """Write all of the files and then move them to the folder, so that it never holds those of two runs."""
    with TemporaryDirectory(prefix=".unfinished-", dir=folder) as name:
        unfinished = Path(name)
        _save(predictor, unfinished / "model.json")
        history.save(unfinished / "history.csv")
        _save_pictures(unfinished, predictor, history, dataset)
        written = [name for name in _FILES if (unfinished / name).exists()]
        for name in _FILES:
            if name in written:
                (unfinished / name).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    print(f"wrote {', '.join(written)} to {folder}")


def _save_pictures(folder: Path, predictor: _Predictor, history: History, dataset: Dataset) -> None:
    X, y = dataset
    model, features, classes = predictor.model, predictor.feature_names, predictor.classes
    outputs = {0: None, 2: classes[1:]}.get(len(classes), classes)
    pictures: dict[str, Callable[[Path], object]] = {
        "network.svg": lambda path: draw(model, inputs=features, outputs=outputs).save(path)
    }
    if len(history):
        pictures["loss.svg"] = lambda path: plot_history(history, path)
    if classes and len(features) == 2:
        pictures["boundary.svg"] = lambda path: plot_boundary(
            _OnRows(predictor), X, y, path, feature_names=features, classes=classes
        )
    left_out: dict[str, list[str]] = {}
    for name, save_to in pictures.items():
        try:
            save_to(folder / name)
        except (ArithmeticError, ImportError, RuntimeError, ValueError) as error:  # what was learnt is worth more
            left_out.setdefault(_reason(error), []).append(name)
    for reason, names in left_out.items():
        print(f"left out {' and '.join(names)}: {reason}")


class _OnRows(Module):
    """The model of a predictor as a function of rows as they are, for a picture in their units."""

    def __init__(self, predictor: _Predictor) -> None:
        self._predictor = predictor

    def __call__(self, row: Sequence[float]) -> list[al.Value]:
        return self._predictor.model(self._predictor.inputs.transform([row])[0])

    def named_parameters(self) -> list[tuple[str, al.Value]]:
        return self._predictor.model.named_parameters()


# ---- predict --------------------------------------------------------------------------------------------------

_PREDICT_NOTES = """\
The columns are found by the names they had in training, in any order; other columns are passed over. A file without a
header has just the columns of the inputs, in the order of training. What is printed is CSV: for classes the class and
its probability, for numbers the number.

example:  autograd-lite predict runs/houses/model.json new.csv > prices.csv
"""


def _add_predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL.json", help="what train wrote")
    parser.add_argument("file", metavar="FILE.csv", help="a row for each prediction")


def _predict(args: argparse.Namespace) -> int:
    predictor = _read(args.model)
    rows = data.read_features(args.file, predictor.feature_names)
    outputs = predict(predictor.model, predictor.inputs.transform(rows))
    table = csv.writer(sys.stdout, lineterminator="\n")
    if predictor.target is None:
        table.writerow(("prediction", "probability"))
        table.writerows((predictor.classes[classify(z)], _probability(z)) for z in outputs)
    else:
        (mean,), (scale,) = predictor.target.mean, predictor.target.scale
        table.writerow(("prediction",))
        table.writerows((mean + scale * z,) for (z,) in outputs)
    return 0


def _probability(logits: list[float]) -> float:
    """Return the probability of the likeliest class."""
    return float(max(al.softmax(logits)) if len(logits) > 1 else al.sigmoid(abs(logits[0])))


def _save(predictor: _Predictor, path: Path) -> None:
    save(
        predictor.model,
        path,
        feature_names=predictor.feature_names,
        classes=predictor.classes,
        inputs=asdict(predictor.inputs),
        target=predictor.target and asdict(predictor.target),
    )


def _read(path: str) -> _Predictor:
    model, facts = read_model(path)
    try:
        names, classes = (tuple(map(_text, facts[key])) for key in ("feature_names", "classes"))
        target = facts["target"] and Scaler(**facts["target"])
        return _Predictor(model, names, classes, Scaler(**facts["inputs"]), target)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: what train writes beside the model is missing or damaged: {error}") from None


def _text(fact: Any) -> str:
    if not isinstance(fact, str):
        raise TypeError(f"{short(fact)} is no name")
    return fact


# ---- the sub-commands -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Command:
    """A sub-command: what it is for, its arguments, what more there is to say in its help, and what it does."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    notes: str
    run: Callable[[argparse.Namespace], int]


_COMMANDS = {
    "train": _Command(
        "train a network, test it, and write it with pictures", _add_train_arguments, _TRAIN_NOTES, _train
    ),
    "predict": _Command("predict with a trained network", _add_predict_arguments, _PREDICT_NOTES, _predict),
    "draw": _Command(
        "compute an expression and its gradient, and draw its graph", _add_draw_arguments, _DRAW_NOTES, _draw
    ),
    "step": _Command(
        "step through an expression and its gradient, one product at a time", _add_step_arguments, _STEP_NOTES, _step
    ),
    "audit": _Command(
        "check an automatic-differentiation engine, of yours or another's", audit.add_arguments, audit.NOTES, audit.run
    ),
}
