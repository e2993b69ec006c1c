"""Training learns, repeats itself bit for bit, and whatever stops it leaves whole steps behind."""

import csv
import gc
import io
import math
import signal
import sys

import numpy as np
import pytest

import autograd_lite as al
from autograd_lite import Value
from nn import data, losses
from nn.modules import MLP, Layer, Module, Neuron
from nn.optim import SGD, Adam, Optimizer, exponential_decay
from nn.training import DivergenceError, History, classify, evaluate, fit, predict

XOR = ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
LINE = ([[-1.0], [0.0], [1.0], [2.0]], [-1.0, 1.0, 3.0, 5.0])


class Line(Module):
    """One input, one output, and a note of every row it was called with."""

    def __init__(self, slope: float = 0.0) -> None:
        self.slope = Value(slope, "slope")
        self.calls: list[float] = []

    def named_parameters(self):
        return [("slope", self.slope)]

    def __call__(self, x):
        self.calls.append(x[0])
        return [self.slope * x[0]]


def numbers(model: Module) -> list[float]:
    return list(model.state_dict().values())


def without_seconds(history: History) -> list[dict[str, float]]:
    return [{name: x for name, x in record.items() if name != "seconds"} for record in history]


# It learns


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_learns_moons(n_outputs):
    train, test = data.moons(240, noise=0.1, seed=1).split(0.25)
    model = MLP(2, [16, n_outputs], seed=0)
    history = fit(model, *train, optimizer=Adam(model.parameters(), lr=0.05), epochs=25, batch_size=16, progress=False)
    assert history.metric == "accuracy"
    assert history["accuracy"][-1] > 0.95
    assert history["loss"][-1] < history["loss"][0] / 3
    assert evaluate(model, *test)["accuracy"] > 0.95


@pytest.mark.parametrize("problem", [XOR, data.same_value()], ids=["xor", "same_value"])
def test_learns_what_no_line_separates(problem):
    model = MLP(2, [8, 1], activation=al.tanh, seed=0)
    fit(model, *problem, epochs=200, progress=False)
    assert evaluate(model, *problem)["accuracy"] == 1.0
    line = MLP(2, [1], seed=0)
    fit(line, *problem, epochs=200, progress=False)
    assert evaluate(line, *problem)["correct"] <= 3


def test_learns_numbers():
    model = Neuron(1, seed=0)
    history = fit(model, *LINE, optimizer=SGD(model.parameters(), lr=0.1), epochs=100, progress=False)
    assert history.metric == "rmse"
    assert history["rmse"][-1] < 1e-3
    assert numbers(model) == pytest.approx([2.0, 1.0], abs=1e-3)


def test_learns_lists_of_numbers():
    model = MLP(1, [2], seed=0)
    targets = [[y, -y] for y in LINE[1]]
    fit(model, LINE[0], targets, optimizer=SGD(model.parameters(), lr=0.2), epochs=200, progress=False)
    assert predict(model, [[10.0]])[0] == pytest.approx([21.0, -21.0], rel=1e-3)


def test_learns_the_digits():
    train, test = data.digits().split(0.2)
    model = MLP(64, [16, 10], seed=0)
    fit(model, *train, epochs=2, progress=False)
    assert evaluate(model, *test)["accuracy"] > 0.8


def test_one_step_is_gradient_descent_on_the_mean_loss():
    model = Line(slope=0.5)
    fit(model, *LINE, optimizer=SGD(model.parameters(), lr=0.1), epochs=1, progress=False)
    gradient = sum(2 * (0.5 * x - y) * x for (x,), y in zip(*LINE, strict=True)) / 4
    assert model.slope.data == pytest.approx(0.5 - 0.1 * gradient, rel=1e-15)


def test_every_epoch_sees_every_row_once_in_another_order():
    model = Line()
    X = [[float(i)] for i in range(10)]
    fit(model, X, [0.0] * 10, epochs=3, batch_size=4, progress=False)
    passes = [model.calls[1 + 10 * k : 11 + 10 * k] for k in range(3)]  # the first call tries the model
    assert all(sorted(each) == [x for (x,) in X] for each in passes)
    assert len({tuple(each) for each in passes}) == 3


def test_what_is_given_is_left_alone():
    X, y = [[2], [1], [0]], [0.5, 1, 2]
    fit(Line(), X, y, epochs=2, progress=False)
    assert (X, y) == ([[2], [1], [0]], [0.5, 1, 2])


# It repeats itself


def test_the_same_seed_gives_the_same_bits():
    train, test = data.moons(60).split()

    def run(seed):
        model = MLP(2, [4, 1], seed=3)
        history = fit(model, *train, epochs=3, batch_size=8, validation=test, seed=seed, progress=False)
        return numbers(model), without_seconds(history)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_numpy_arrays_give_the_same_as_lists():
    moons = data.moons(40)

    def run(X, y):
        model = MLP(2, [4, 1], seed=3)
        return without_seconds(fit(model, X, y, epochs=2, progress=False)), predict(model, X), evaluate(model, X, y)

    assert run(np.array(moons.X), np.array(moons.y)) == run(*moons)
    assert run([tuple(row) for row in moons.X], np.array(moons.y) == 1) == run(*moons)


# What it reports


def test_the_loss_of_an_epoch_weighs_every_example_alike():
    X, y = [[float(i)] for i in range(5)], [float(i * i) for i in range(5)]
    model = Line(slope=1.0)
    still = SGD(model.parameters(), lr=0.0)
    history = fit(model, X, y, optimizer=still, epochs=1, batch_size=2, validation=(X, y), progress=False)
    squares = [(x - t) ** 2 for (x,), t in zip(X, y, strict=True)]
    (record,) = history
    assert record["loss"] == record["validation_loss"] == pytest.approx(sum(squares) / 5)
    assert record["rmse"] == record["validation_rmse"] == pytest.approx(math.sqrt(sum(squares) / 5))


def test_a_record_has_everything():
    model = MLP(2, [4, 1], seed=0)
    optimizer = SGD(model.parameters(), lr=exponential_decay(0.5, 0.5))
    history = fit(model, *XOR, optimizer=optimizer, epochs=3, batch_size=2, validation=XOR, progress=False)
    assert len(history) == 3
    assert list(history.records[0]) == list(history.names)
    assert history.names == (
        "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds",
    )  # fmt: skip
    assert history["epoch"] == [1, 2, 3]
    assert history["learning_rate"] == [0.5, 0.125, 0.03125]
    assert all(seconds > 0 for seconds in history["seconds"])
    with pytest.raises(KeyError, match="no column 'rmse'; the history has epoch, loss"):
        history["rmse"]


def test_evaluate_counts():
    model = Neuron(1, init=lambda *_: [[1.0]])
    measured = evaluate(model, [[1.0], [2.0], [-3.0]], [1, 0, 0])
    assert (measured["correct"], measured["total"], measured["accuracy"]) == (2, 3, 2 / 3)
    assert evaluate(model, [[1.0], [2.0]], [1.0, 4.0]) == {"loss": 2.0, "rmse": math.sqrt(2.0)}


@pytest.mark.parametrize(
    ("output", "n_outputs", "y", "loss", "metric"),
    [
        (None, 1, [0, 1], None, "accuracy"),
        (None, 3, [0, 2], None, "accuracy"),
        (None, 1, [True, False], None, "accuracy"),
        (None, 1, [-1, 1], losses.hinge, "accuracy"),
        (None, 1, [0.0, 1.0], losses.binary_cross_entropy, "accuracy"),
        (None, 1, [3, 5], losses.mse, "rmse"),
        (None, 1, [0.5, 1], None, "rmse"),
        (None, 2, [[0, 1], [1, 0]], None, "rmse"),
        (al.sigmoid, 1, [0, 1], losses.half_sse, "rmse"),
        (al.sigmoid, 1, [0, 1], lambda o, t: -al.log(o[0] if t else 1.0 - o[0]), "accuracy"),
        (al.softmax, 2, [0, 1], lambda o, t: -al.log(o[t]), "accuracy"),
    ],
)
def test_the_metric_is_that_of_targets_and_loss(output, n_outputs, y, loss, metric):
    model = MLP(1, [n_outputs], output=output, seed=0)
    history = fit(model, [[-2.0], [2.0]], y, loss=loss, epochs=300, validation=([[-2.0], [2.0]], y), progress=False)
    assert history.metric == metric
    if metric == "accuracy":  # and it counts right: two points are always separable
        assert history["accuracy"][-1] == history["validation_accuracy"][-1] == 1.0


def test_history_saves_the_same_bytes_for_the_same_training(tmp_path):
    contents = []
    for name in ("a.csv", "b.csv"):
        history = fit(MLP(2, [4, 1], seed=0), *XOR, epochs=3, validation=XOR, progress=False)
        history.save(tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    rows = list(csv.DictReader(io.StringIO(contents[0].decode())))
    assert [{name: float(cell) for name, cell in row.items()} for row in rows] == without_seconds(history)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_an_empty_history_is_one_too(tmp_path):
    history = History("rmse", validated=True)
    assert history["validation_rmse"] == []
    assert repr(history) == "History(0 epochs)"
    history.save(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text() == "epoch,loss,rmse,validation_loss,validation_rmse,learning_rate\n"


def test_classify():
    assert [classify(outputs) for outputs in ([-1.0], [0.0], [0.1], [1.0, 3.0, 3.0], (2.0, 1.0))] == [0, 0, 1, 1, 0]
    assert (classify([0.4], threshold=0.5), classify([0.6], threshold=0.5)) == (0, 1)
    with pytest.raises(ValueError, match="no outputs"):
        classify([])


def test_predict_records_nothing_and_changes_nothing():
    model = MLP(2, [4, 1], seed=0)
    before = numbers(model)
    outputs = predict(model, XOR[0])
    assert outputs == [[output.data for output in model(row)] for row in XOR[0]]
    assert numbers(model) == before
    assert all(w.grad == 0.0 for w in model.parameters())


def test_learns_also_where_nothing_else_is_recorded():
    model = Line()
    with al.no_grad():
        fit(model, *LINE, epochs=1, progress=False)
    assert model.slope.data != 0.0


# What stops it


def fails_at(n: int, failure: BaseException | float):
    """A squared error that at its n-th call since the targets were tried raises or is not finite."""
    calls = iter(range(-len(LINE[0]), 10**9))

    def loss(outputs, target):
        if next(calls) == n:
            if isinstance(failure, BaseException):
                raise failure
            return outputs[0] + failure
        return losses.mse(outputs, target)

    return loss


def after(epochs: int) -> float:
    model = Line()
    fit(model, *LINE, epochs=epochs, batch_size=4, progress=False)
    return model.slope.data


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_step(value):
    model = Line()
    loss = fails_at(9, value)
    with pytest.raises(DivergenceError) as caught:
        fit(model, *LINE, loss=loss, epochs=5, batch_size=4, progress=False)
    assert str(caught.value) == (
        f"epoch 3, batch 1: the loss is {value}; the parameters are as before this batch; "
        "lower the learning rate (now 0.01) or scale the inputs"
    )
    assert model.slope.data == after(epochs=2)
    assert caught.value.history["epoch"] == [1, 2]


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    model = Neuron(1, init=lambda *_: [[1.0]])
    with pytest.raises(DivergenceError, match=r"batch 1: the step makes w\[1\] nan, its gradient is nan"):
        fit(model, [[1.0]], [1.0], loss=lambda o, t: al.sqrt((o[0] - t) * (o[0] - t)), progress=False)
    assert numbers(model) == [1.0, 0.0]


def test_a_learning_rate_too_high_stops():
    model = MLP(1, [4, 1], seed=0)
    with pytest.raises(DivergenceError, match=r"lower the learning rate \(now 1e\+200\)"):
        fit(model, *LINE, optimizer=SGD(model.parameters(), lr=1e200), epochs=50, progress=False)
    assert all(map(math.isfinite, numbers(model)))


def test_weights_are_recorded_before_training_and_after_each_epoch():
    model = Line()
    history = fit(model, *LINE, epochs=3, batch_size=4, record=True, progress=False)
    assert [list(weights) for weights in history.weights] == [[0.0], *([after(epochs=n)] for n in (1, 2, 3))]
    assert history.weights[-1][0] == model.slope.data
    assert {weights.typecode for weights in history.weights} == {"d"}


def test_what_is_recorded_is_in_the_order_of_the_parameters():
    model = MLP(2, [3, 2], seed=0)
    before = numbers(model)
    history = fit(model, GOOD_X, [0, 1], epochs=2, record=True, progress=False)
    assert (list(history.weights[0]), list(history.weights[2])) == (before, numbers(model))
    assert history.model == repr(model)


def test_recording_changes_nothing_of_the_training():
    histories, models = [], []
    for record in (False, True):
        models.append(MLP(2, [4, 1], seed=3))
        histories.append(
            fit(models[-1], *XOR, epochs=5, batch_size=2, validation=XOR, seed=7, record=record, progress=False)
        )
    assert without_seconds(histories[0]) == without_seconds(histories[1])
    assert numbers(models[0]) == numbers(models[1])
    assert histories[0].weights == []


def test_an_interrupt_keeps_the_recorded_weights_of_the_finished_epochs():
    model = Line()
    failing = fails_at(11, KeyboardInterrupt())
    history = fit(model, *LINE, loss=failing, epochs=9, batch_size=4, record=True, progress=False)
    assert [list(weights) for weights in history.weights] == [[0.0], *([after(epochs=n)] for n in (1, 2))]


def test_a_divergence_keeps_the_recorded_weights_too():
    model = MLP(1, [4, 1], seed=0)
    with pytest.raises(DivergenceError) as caught:
        fit(model, *LINE, optimizer=SGD(model.parameters(), lr=1e200), epochs=50, record=True, progress=False)
    assert len(caught.value.history.weights) == len(caught.value.history) + 1


def test_an_interrupt_from_progress_stops_and_keeps_what_was_learnt():
    def progress(record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    model = Line()
    history = fit(model, *LINE, epochs=9, batch_size=4, progress=progress)
    assert history.interrupted
    assert len(history) == 2
    assert repr(history).endswith(", interrupted)")
    assert model.slope.data == after(epochs=2)


@pytest.mark.parametrize("n", [8, 9, 11])
def test_an_interrupt_within_a_batch_loses_only_that_batch(n):
    model = Line()
    history = fit(model, *LINE, loss=fails_at(n, KeyboardInterrupt()), epochs=9, batch_size=4, progress=False)
    assert history.interrupted
    assert history["epoch"] == [1, 2]
    assert model.slope.data == after(epochs=2)


def test_ctrl_c_is_such_an_interrupt():
    class Pressed(Line):
        def __call__(self, x):
            if len(self.calls) == 7:
                signal.raise_signal(signal.SIGINT)
            return super().__call__(x)

    model = Pressed()
    assert fit(model, *LINE, batch_size=4, progress=False).interrupted
    assert model.slope.data == after(epochs=1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_step_is_whole_or_not_at_all(error):
    class Stopped(Optimizer):
        def _move(self, rate):
            self.parameters[0].data += 1.0
            raise error

    model = MLP(2, [4, 1], seed=0)
    before = numbers(model)
    if error is KeyboardInterrupt:
        assert fit(model, *XOR, optimizer=Stopped(model.parameters(), lr=1.0), progress=False).interrupted
    else:
        with pytest.raises(error):
            fit(model, *XOR, optimizer=Stopped(model.parameters(), lr=1.0), progress=False)
    assert numbers(model) == before


def test_training_may_go_on_after_an_interrupt():
    model = Line()
    fit(model, *LINE, loss=fails_at(2, KeyboardInterrupt()), batch_size=4, progress=False)
    fit(model, *LINE, epochs=2, batch_size=4, progress=False)
    assert model.slope.data == after(epochs=2)


@pytest.mark.parametrize("thresholds", [(700, 10, 10), (0, 5, 5), (200_000, 7, 7)])
def test_the_garbage_collector_is_as_before(thresholds):
    before = gc.get_threshold()
    seen = []
    try:
        gc.set_threshold(*thresholds)
        fit(Line(), *LINE, epochs=1, progress=lambda record: seen.append(gc.get_threshold()))
        assert gc.get_threshold() == thresholds
        with pytest.raises(DivergenceError):
            fit(Line(), *LINE, loss=fails_at(0, math.nan), progress=False)
        assert gc.get_threshold() == thresholds
    finally:
        gc.set_threshold(*before)
    assert seen[0][0] == (max(thresholds[0], 100_000) if thresholds[0] else 0)
    assert seen[0][1:] == thresholds[1:]


# Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_elsewhere(capsys):
    fit(MLP(2, [4, 1], seed=0), *XOR, epochs=10, validation=XOR)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("epoch  1/10  loss 0.")
    assert "  validation accuracy " in lines[9]


def test_no_progress(capsys):
    fit(Line(), *LINE, epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_function_gets_the_records():
    records = []
    history = fit(Line(), *LINE, epochs=3, progress=records.append)
    assert records == history.records


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    fit(MLP(2, [4, 1], seed=0), *XOR, epochs=4, batch_size=2, validation=XOR)
    first, *drawn = sys.stdout.getvalue().split("\r")
    assert first == ""
    assert drawn[0].startswith("epoch 1/4 [#.........] 0:0")
    assert drawn[-1].startswith("epoch 4/4 [##########]  loss ")
    assert drawn[-1].endswith("\n")
    assert all(len(each.rstrip("\n")) < 40 for each in drawn)


def test_a_bar_ends_its_line_whatever_happens(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert fit(Line(), *LINE, loss=fails_at(5, KeyboardInterrupt()), batch_size=4).interrupted
    assert sys.stdout.getvalue().endswith("\n")


def test_a_bar_in_a_notebook(monkeypatch):
    shown = []

    class OutStream(io.StringIO):
        __module__ = "ipykernel.iostream"

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle["text/plain"])

    monkeypatch.setattr("IPython.display.display", lambda bundle, raw, display_id: Handle())
    monkeypatch.setattr(sys, "stdout", OutStream())
    fit(Line(), *LINE, epochs=2)
    assert shown[-1].startswith("epoch 2/2 [##########]  loss ")
    assert sys.stdout.getvalue() == ""


# Bad input

GOOD_X = [[0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        ([], [], ValueError, "X has no rows"),
        (GOOD_X, [0], ValueError, "X has 2 rows and y has 1 targets"),
        ([[0.0, 0.0], [1.0]], [0, 1], ValueError, "row 1 of X has 1 numbers, but row 0 has 2"),
        ([[0.0] * 3] * 2, [0, 1], ValueError, "X does not fit the model: want 2 inputs, got 3"),
        ([0.0, 1.0], [0, 1], TypeError, r"row 0 of X must be a list of numbers, such as \[0.5\], got 0.0"),
        (["ab", "cd"], [0, 1], TypeError, "row 0 of X must be a list of numbers"),
        ("ab", [0, 1], TypeError, "X must be a list"),
        (7, [0, 1], TypeError, "X must be a list, one item per example, but 7 is of type int"),
        ({"a": [0.0, 0.0]}, [0], TypeError, "X must be a list"),
        (np.array(7.0), [0, 1], TypeError, "X must be a list"),
        (GOOD_X, 3, TypeError, "y must be a list"),
        ([[0.0, "1"], [1.0, 1.0]], [0, 1], TypeError, r"X\[0\]\[1\] must be a real number, but '1'"),
        ([[0.0, Value(1.0)], [1.0, 1.0]], [0, 1], TypeError, r"X\[0\]\[1\] must be .* use its .data"),
        ([[0.0, 0.0], [math.nan, 1.0]], [0, 1], ValueError, r"X\[1\]\[0\] is nan, but a model needs finite"),
        ([[0.0, 0.0], [1.0, -math.inf]], [0, 1], ValueError, r"X\[1\]\[1\] is -inf"),
        (GOOD_X, [0, math.nan], ValueError, r"y\[1\] is nan"),
        (GOOD_X, [0, [math.inf]], ValueError, r"y\[1\]\[0\] is inf"),
        (GOOD_X, ["cat", "dog"], TypeError, r"y\[0\] is the text 'cat'; give the index of its class"),
        (GOOD_X, [0, None], TypeError, r"y\[1\] must be a real number, but None"),
    ],
)
def test_bad_examples(X, y, error, message):
    model = MLP(2, [1], seed=0)
    before = numbers(model)
    for use in (fit, evaluate):
        with pytest.raises(error, match=message):
            use(model, X, y)
    with pytest.raises(error, match=f"validation: .*{message}"):
        fit(model, GOOD_X, [0, 1], validation=(X, y))
    assert numbers(model) == before
    if "X" in message and "rows and" not in message:
        with pytest.raises(error, match=message):
            predict(model, X)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 2], r"y\[1\] does not fit the loss, chosen as the targets are integers .* loss=mse\): .* got 2"),
        ([[0.5], [1, 2]], r"y\[1\] does not fit the loss, chosen as .* not all integers .*: mse wants .* 2 targets"),
        ([[], []], r"y\[0\] does not fit .* 0 targets"),
    ],
)
def test_a_target_that_does_not_fit_is_named_with_the_loss(y, message):
    with pytest.raises(ValueError, match=message):
        fit(MLP(2, [1], seed=0), GOOD_X, y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got 1.5"),
        ({"batch_size": -1}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": "8"}, TypeError, "batch_size must be an integer"),
        ({"seed": None}, TypeError, "a seed must be an integer"),
        ({"loss": "mse"}, TypeError, "loss must be a function such as nn.mse, got 'mse'"),
        ({"loss": lambda o, t: 1.0}, TypeError, r"y\[0\] does not fit the loss: a loss must give a Value, .* 1.0"),
        ({"loss": losses.cross_entropy}, ValueError, r"y\[0\] does not fit the loss: cross_entropy wants one output"),
        ({"optimizer": SGD}, TypeError, r"optimizer must be one such as SGD\(model.parameters\(\), lr=0.1\)"),
        ({"optimizer": SGD([Value(1.0)], lr=0.1)}, ValueError, "none of the model's parameters"),
        ({"validation": 0.2}, TypeError, r"validation must be a pair \(X, y\), got 0.2"),
        ({"validation": GOOD_X[:1]}, TypeError, r"validation must be a pair"),
        ({"validation": (GOOD_X, [0, 2])}, ValueError, r"validation: y\[1\] does not fit the loss"),
        ({"record": 1}, TypeError, "record must be True or False, got 1"),
        ({"detect_anomaly": "yes"}, TypeError, "detect_anomaly must be True or False, got 'yes'"),
        ({"progress": "bar"}, TypeError, "progress must be None, False or a function of a record, got 'bar'"),
    ],
)
def test_bad_options(options, error, message):
    model = MLP(2, [1], seed=0)
    before = numbers(model)
    with pytest.raises(error, match=message):
        fit(model, GOOD_X, [0, 1], **options)
    assert numbers(model) == before


def test_bad_models():
    class Scalar(Line):
        def __call__(self, x):
            return self.slope * x[0]

    for use in (lambda m: fit(m, *XOR), lambda m: evaluate(m, *XOR), lambda m: predict(m, XOR[0])):
        with pytest.raises(TypeError, match=r"model must be a Module, such as MLP\(2, \[8, 1\]\), got <class"):
            use(MLP)
        with pytest.raises(TypeError, match=r"a model must give a list of Values, but .* gave Value"):
            use(Scalar())


@pytest.mark.parametrize("model", [MLP(2, [4, 2], output=al.softmax), Layer(2, 1, al.sigmoid), Neuron(2, al.sigmoid)])
def test_logits_are_not_made_from_probabilities(model):
    with pytest.raises(ValueError, match="the loss wants logits, but the model's outputs are probabilities"):
        fit(model, *XOR)


# Anomalies


def test_the_birth_of_a_nan_is_found_and_the_batch_is_named():
    def loss(outputs, target):
        p = al.sigmoid(1000.0 * outputs[0])
        return -al.log(p if target else 1.0 - p)

    model = Line(1.0)
    with pytest.raises(al.AnomalyError, match=r"log\(0\.0\) = -inf") as caught:
        fit(model, [[-1.0], [2.0], [3.0]], [0, 1, 0], loss=loss, batch_size=1, detect_anomaly=True, progress=False)
    assert caught.value.source.line == "return -al.log(p if target else 1.0 - p)"
    (note,) = caught.value.__notes__
    assert note.startswith("This was in epoch 1, batch ") and note.endswith("the parameters are as before this batch.")
    with pytest.raises(DivergenceError, match="the loss is inf"):
        fit(model, [[3.0]], [0], loss=loss, progress=False)


def test_a_gradient_that_is_nan_is_found_and_nothing_moves():
    def loss(outputs, target):
        return al.where(outputs[0], al.sqrt(outputs[0]), 0.0)

    model = Line(0.0)
    with pytest.raises(al.AnomalyError, match="going back from sqrt"):
        fit(model, [[1.0]], [0], loss=loss, detect_anomaly=True, progress=False)
    assert (model.slope.data, model.slope.grad) == (0.0, 0.0)
    with pytest.raises(DivergenceError, match="the step makes slope nan"):
        fit(model, [[1.0]], [0], loss=loss, progress=False)


def test_watching_for_anomalies_changes_no_bit():
    models = [MLP(2, [4, 1], seed=0) for _ in range(2)]
    for model, detect_anomaly in zip(models, (False, True), strict=True):
        fit(model, *XOR, validation=XOR, epochs=3, batch_size=2, detect_anomaly=detect_anomaly, progress=False)
    assert numbers(models[0]) == numbers(models[1])
    assert (Value(1.0) / 0.0).data == math.inf
