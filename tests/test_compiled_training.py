"""Compiled training: the same history as recorded training, and the same manners when something goes wrong."""

import copy
import math
import pickle
import random
import re
import threading

import numpy as np
import pytest

import autograd_lite as al
import nn
from autograd_lite import Value

RNG = random.Random(0)
X = [[RNG.gauss(0.0, 1.0) for _ in range(3)] for _ in range(22)]  # two batches of ten, and a shorter one
CLASSES = [int(row[0] + row[1] * row[2] > 0.0) for row in X]
NUMBERS = [math.sin(row[0]) + row[1] for row in X]


def mlp(outputs=1, seed=0):
    return nn.MLP(3, [4, outputs], al.tanh, seed=seed)


def numbers(model):
    return [w.data for w in model.parameters()]


def sgd(model, lr=0.1, **options):
    return nn.SGD(model.parameters(), lr=lr, **options)


def fit(model, y=CLASSES, compile=True, **options):
    usual = {"epochs": 5, "batch_size": 10, "progress": False, **options}
    return nn.fit(model, X, y, compile=compile, **usual)


def same_outputs(found, wanted):
    return bool(np.allclose(found, wanted, rtol=1e-12, atol=1e-14))


def assert_same_history(found, wanted, rtol=1e-9):
    assert found.names == wanted.names and len(found) == len(wanted)
    for name in set(found.names) - {"seconds"}:
        assert found[name] == pytest.approx(wanted[name], rel=rtol, abs=1e-12), name


# ---- the same training ----------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": lambda w: nn.SGD(w, lr=0.1),
    "momentum": lambda w: nn.SGD(w, lr=0.05, momentum=0.9),
    "nesterov": lambda w: nn.SGD(w, lr=0.05, momentum=0.9, nesterov=True),
    "weight decay": lambda w: nn.SGD(w, lr=0.1, momentum=0.5, weight_decay=0.01),
    "Adam": lambda w: nn.Adam(w, lr=0.01),
    "AdamW": lambda w: nn.AdamW(w, lr=0.01, weight_decay=0.1),
    "RMSprop": lambda w: nn.RMSprop(w, lr=0.01),
    "step decay": lambda w: nn.SGD(w, lr=nn.optim.step_decay(0.2, every=20)),
    "cosine": lambda w: nn.Adam(w, lr=nn.optim.warmup(nn.optim.cosine(0.02, steps=100), steps=10)),
    "exponential": lambda w: nn.AdamW(w, lr=nn.optim.exponential_decay(0.02, factor=0.99)),
    "one's own schedule": lambda w: nn.SGD(w, lr=lambda steps: 0.1 / (1 + steps)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fifty_epochs_are_the_same(name):
    models, histories = [mlp(), mlp()], []
    for model, compile in zip(models, (True, False), strict=True):
        optimizer = OPTIMIZERS[name](model.parameters())
        histories.append(
            fit(model, compile=compile, optimizer=optimizer, epochs=50, validation=(X[:7], CLASSES[:7]), record=True)
        )
        assert optimizer.steps == 150
    assert_same_history(*histories)
    np.testing.assert_allclose(histories[0].weights, histories[1].weights, rtol=1e-9, atol=1e-11)
    assert histories[0].weights[-1].tolist() == numbers(models[0])
    assert len(histories[0].weights) == 51


@pytest.mark.parametrize(
    ("y", "outputs", "loss"),
    [
        (NUMBERS, 1, None),
        ([[n, -n] for n in NUMBERS], 2, nn.losses.huber),
        ([2 * c - 1 for c in CLASSES], 1, nn.losses.hinge),
        ([k % 3 for k in range(22)], 3, None),
        (CLASSES, 1, nn.losses.mse),
    ],
    ids=["numbers", "lists", "hinge", "cross entropy", "classes as numbers"],
)
def test_all_kinds_of_targets(y, outputs, loss):
    histories = [
        fit(mlp(outputs), y, compile, loss=loss, epochs=20, validation=(X[3:9], y[3:9])) for compile in (True, False)
    ]
    assert_same_history(*histories)


@pytest.mark.parametrize("batch_size", [1, 7, 22, 100])
def test_all_sizes_of_batches(batch_size):
    assert_same_history(*(fit(mlp(), compile=compile, batch_size=batch_size) for compile in (True, False)))


def test_the_same_bits_twice():
    one, other = mlp(), mlp()
    fit(one), fit(other)
    assert numbers(one) == numbers(other)


@pytest.mark.parametrize("name", ["momentum", "Adam", "cosine"])
def test_training_goes_on_where_it_stopped_whoever_took_the_steps(name):
    ways = [(False, False, False), (False, True, False), (True, True, True)]
    models, histories = [mlp() for _ in ways], []
    for model, compiled in zip(models, ways, strict=True):
        optimizer = OPTIMIZERS[name](model.parameters())
        parts = [fit(model, compile=compile, optimizer=optimizer, seed=k) for k, compile in enumerate(compiled)]
        histories.append([part["loss"] for part in parts])
        assert optimizer.steps == 45
    for history, model in zip(histories, models, strict=True):
        assert history == [pytest.approx(part, rel=1e-9) for part in histories[0]]
        assert numbers(model) == pytest.approx(numbers(models[0]), rel=1e-9)


def test_recorded_steps_and_compiled_steps_may_alternate():
    eager, mixed = mlp(), mlp()
    first, second = (nn.Adam(model.parameters(), lr=0.05) for model in (eager, mixed))
    compiled = nn.compile(mixed, nn.losses.mse, second)

    def recorded(model, optimizer):
        optimizer.zero_grad()
        al.mean([nn.losses.mse(model(row), t) for row, t in zip(X, NUMBERS, strict=True)]).backward()
        optimizer.step()

    for k in range(8):
        recorded(eager, first)
        recorded(mixed, second) if k % 3 else compiled.step(X, NUMBERS)
    assert numbers(mixed) == pytest.approx(numbers(eager), rel=1e-10)


# ---- steps ----------------------------------------------------------------------------------------------------------


def test_steps_of_several_batches():
    model, other = mlp(), mlp()
    compiled = nn.compile(model, nn.losses.mse, sgd(model))
    batches = [
        compiled.batch(X[:10], NUMBERS[:10]),
        compiled.batch(X[10:], NUMBERS[10:]),
        compiled.batch(X[:1], NUMBERS[:1]),
    ]
    alone = nn.compile(other, nn.losses.mse, sgd(other))
    ranges = [slice(0, 10), slice(10, None), slice(0, 1)]
    with compiled:
        for _ in range(3):
            for batch, part in zip(batches, ranges, strict=True):
                assert compiled.step(batch) == alone.step(X[part], NUMBERS[part])
                assert compiled.step(batch, times=3) == alone.step(X[part], NUMBERS[part], times=3)
                assert compiled.predict(X) == alone.predict(X)
                assert compiled.loss_and_grad(batch)[0] == alone.loss_and_grad(X[part], NUMBERS[part])[0]
    assert numbers(model) == numbers(other)
    assert [len(batch) for batch in batches] == [10, 12, 1]


def test_the_model_is_read_before_each_use():
    model = mlp()
    compiled = nn.compile(model, nn.losses.mse, sgd(model))
    before = compiled.loss_and_grad(X, NUMBERS)
    assert same_outputs(compiled.predict(X[:2]), nn.predict(model, X[:2]))
    state = model.state_dict()
    for w in model.parameters():
        w.data *= 0.5
    after = compiled.loss_and_grad(X, NUMBERS)
    assert after[0] == pytest.approx(nn.evaluate(model, X, NUMBERS)["loss"], rel=1e-12) and after[0] != before[0]
    assert same_outputs(compiled.predict(X[:2]), nn.predict(model, X[:2]))
    changed = numbers(model)
    compiled.loss_and_grad(X, [[t] for t in NUMBERS])  # targets of another kind have a program of their own
    assert numbers(model) == changed
    model.load_state_dict(state)
    again = compiled.loss_and_grad(X, NUMBERS)
    assert again[0] == before[0] and again[1].tolist() == before[1].tolist()


def test_in_a_with_block_weights_flow_back_at_its_end():
    model = mlp()
    compiled = nn.compile(model, nn.losses.mse, sgd(model, momentum=0.9))
    start = numbers(model)
    with compiled:
        compiled.step(X, NUMBERS)
        with compiled:
            compiled.step(X, NUMBERS)
        assert numbers(model) == start
        predicted = compiled.predict(X)
    assert numbers(model) != start
    assert predicted == compiled.predict(X) and same_outputs(predicted, nn.predict(model, X))
    assert any(state != (0.0,) for state in compiled.optimizer.state)


def test_what_is_raised_in_a_with_block_keeps_the_steps():
    model, other = mlp(), mlp()
    compiled = nn.compile(model, nn.losses.mse, sgd(model))
    with pytest.raises(KeyError), compiled:
        compiled.step(X, NUMBERS)
        raise KeyError
    nn.compile(other, nn.losses.mse, sgd(other)).step(X, NUMBERS)
    assert numbers(model) == numbers(other)


def test_the_learning_rate_may_be_changed_between_steps():
    model, other = mlp(), mlp()
    first, second = sgd(model), sgd(other)
    compiled = nn.compile(model, nn.losses.mse, first)
    batch = compiled.batch(X, NUMBERS)
    with compiled:
        for rate in (0.1, 0.1, 0.01, nn.optim.step_decay(0.1, 1)):
            first.lr = second.lr = rate
            compiled.step(batch)
            nn.fit(other, X, NUMBERS, loss=nn.losses.mse, optimizer=second, epochs=1, batch_size=22, progress=False)
    assert numbers(model) == pytest.approx(numbers(other), rel=1e-11)


def test_an_optimiser_set_otherwise_is_compiled_anew():
    model, other = mlp(), mlp()
    first, second = sgd(model), sgd(other)
    compiled = nn.compile(model, nn.losses.mse, first)
    for momentum, decay in ((0.0, 0.0), (0.9, 0.0), (0.5, 0.1)):
        first.momentum = second.momentum = momentum
        first.weight_decay = second.weight_decay = decay
        compiled.step(X, NUMBERS)
        nn.fit(other, X, NUMBERS, loss=nn.losses.mse, optimizer=second, epochs=1, batch_size=22, progress=False)
    assert numbers(model) == pytest.approx(numbers(other), rel=1e-11)


def test_models_train_side_by_side_in_threads():
    alone, models = [mlp(seed=k) for k in range(4)], [mlp(seed=k) for k in range(4)]
    for model in alone:
        fit(model, epochs=20)
    threads = [threading.Thread(target=fit, args=(model,), kwargs={"epochs": 20}) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [numbers(model) for model in models] == [numbers(model) for model in alone]


# ---- progress, and what stops a training ----------------------------------------------------------------------------


@pytest.mark.parametrize("compile", [True, False])
def test_progress_sees_the_weights_and_may_change_them(compile):
    model, seen = mlp(), []

    def progress(record):
        seen.append(numbers(model))
        if record["epoch"] == 2:
            for w in model.parameters():
                w.data *= 0.5

    history = fit(model, compile=compile, progress=progress, record=True)
    assert seen[:2] == [weights.tolist() for weights in history.weights[1:3]]
    assert len({tuple(weights) for weights in seen}) == 5
    halved = mlp()
    halved.load_state_dict(dict(zip(halved.state_dict(), [x * 0.5 for x in seen[1]], strict=True)))
    assert max(abs(a - b) for a, b in zip(seen[2], numbers(halved), strict=True)) < 0.1  # went on from there


def test_an_interrupt_keeps_what_was_learnt():
    def progress(record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    model, other = mlp(), mlp()
    history = fit(model, progress=progress)
    assert history.interrupted and len(history) == 3
    fit(other, epochs=3)
    assert numbers(model) == numbers(other)


def test_whatever_progress_raises_keeps_what_was_learnt():
    def progress(record):
        raise LookupError

    model, other = mlp(), mlp()
    with pytest.raises(LookupError):
        fit(model, progress=progress)
    fit(other, epochs=1)
    assert numbers(model) == numbers(other)


def test_bad_progress_leaves_nothing_behind():
    model = mlp()
    compiled = nn.compile(model)
    with pytest.raises(TypeError, match="progress"):
        compiled.fit(X, CLASSES, progress="bar")
    model.parameters()[0].data = 5.0
    loss, _ = compiled.loss_and_grad(X, CLASSES)
    assert model.parameters()[0].data == 5.0
    assert loss == pytest.approx(nn.evaluate(model, X, CLASSES)["loss"], rel=1e-12)


@pytest.mark.parametrize("rate", [1e20, 1e120, 1e150, 1e200])
def test_a_divergence_leaves_the_parameters_as_before_the_step(rate):
    errors = []
    for compile in (True, False):
        model = mlp()
        with pytest.raises(nn.DivergenceError) as caught:
            fit(model, NUMBERS, compile, loss=nn.losses.mse, optimizer=sgd(model, lr=rate), epochs=30)
        assert all(map(math.isfinite, numbers(model)))
        errors.append(
            (re.match(r"epoch \d+, batch \d+", str(caught.value))[0], len(caught.value.history), numbers(model))
        )
    assert errors[0][:2] == errors[1][:2]
    assert errors[0][2] == pytest.approx(errors[1][2], rel=1e-9)


@pytest.mark.parametrize("compile", [True, False])
def test_a_divergence_leaves_the_optimiser_as_before_the_step(compile):
    model = mlp()
    optimizer = nn.SGD(model.parameters(), lr=lambda steps: 0.01 if steps < 4 else 1e308, momentum=0.9)
    fit(model, NUMBERS, compile, optimizer=optimizer, epochs=1, batch_size=6)
    before, state = numbers(model), list(optimizer.state)
    with pytest.raises(nn.DivergenceError, match="the step makes"):
        nn.fit(model, X[:1], [1e9], optimizer=optimizer, epochs=1, progress=False, compile=compile)
    assert optimizer.steps == 4 and optimizer.state == state and numbers(model) == before


def test_a_step_that_diverges_says_so_and_is_not_taken():
    model = mlp()
    compiled = nn.compile(model, nn.losses.mse, sgd(model, lr=1e200, momentum=0.9))
    with pytest.raises(nn.DivergenceError, match=r"step \d+: .*the parameters are as before it"):
        compiled.step(X, NUMBERS, times=50)
    assert all(map(math.isfinite, numbers(model)))
    assert all(math.isfinite(v) for state in compiled.optimizer.state for v in state)


# ---- losses and models of one's own ---------------------------------------------------------------------------------


def by_class(outputs, target):
    return al.square(outputs[0] - (3.0 if target == 1 else -2.0))


def test_a_loss_of_ones_own_is_compiled_for_each_class():
    assert_same_history(*(fit(mlp(), compile=compile, loss=by_class, epochs=20) for compile in (True, False)))


def test_a_class_that_was_not_trained_on_is_refused():
    with pytest.raises(ValueError, match="validation has a class"):
        fit(mlp(), loss=by_class, validation=(X[:1], [7]))


def test_a_loss_that_compares_its_target_by_equality_is_refused():
    y = [float(c) + 0.5 for c in CLASSES]
    with pytest.raises(ValueError, match="does it compare its target by =="):
        fit(mlp(), y, loss=lambda outputs, t: al.square(outputs[0] - (1.0 if t == 0.5 else 5.0)))


def test_a_loss_that_branches_is_refused_with_its_line():
    def loss(outputs, target):
        return outputs[0] - target if outputs[0] > target else target - outputs[0]

    line = loss.__code__.co_firstlineno + 1
    with pytest.raises(ValueError, match=rf"test_compiled_training\.py:{line}.*al\.where"):
        fit(mlp(), NUMBERS, loss=loss)


def test_a_loss_that_reads_a_number_is_refused_with_its_line():
    def loss(outputs, target):
        return outputs[0] * outputs[0].data

    line = loss.__code__.co_firstlineno + 1
    with pytest.raises(TypeError, match=rf"test_compiled_training\.py:{line}"):
        fit(mlp(), NUMBERS, loss=loss)


def test_a_loss_of_ones_own_for_too_many_classes_is_refused():
    rows, y = [[float(k)] * 3 for k in range(150)], list(range(150))
    with pytest.raises(ValueError, match="150 are too many"):
        nn.fit(mlp(), rows, y, loss=lambda outputs, t: al.square(outputs[0] - t), compile=True, progress=False)


class Branching(nn.Module):
    def __init__(self):
        self.w = Value(0.5)

    def named_parameters(self):
        return [("w", self.w)]

    def __call__(self, x):
        y = self.w * x[0]
        return [y if y > 0.0 else 0.1 * y]


def test_a_model_that_branches_is_refused_with_its_line():
    line = Branching.__call__.__code__.co_firstlineno + 2
    with pytest.raises(ValueError, match=rf"test_compiled_training\.py:{line}"):
        fit(Branching(), NUMBERS)
    with pytest.raises(ValueError, match=rf"test_compiled_training\.py:{line}"):
        nn.compile(Branching()).predict([[1.0]])


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self):
        self.a, self.b = Value(0.5), Value(-0.25)

    def named_parameters(self):
        return [("a", self.a), ("b", self.b), ("again", self.a)]

    def __call__(self, x):
        return [self.a * x[0] + self.b * al.tanh(self.a * x[1])]


def test_a_parameter_under_two_names():
    histories = []
    for compile in (True, False):
        model = Tied()
        histories.append(fit(model, NUMBERS, compile, optimizer=nn.Adam([model.a, model.b], lr=0.05), epochs=20))
    assert_same_history(*histories)


def test_an_activation_of_ones_own():
    own = al.Op("bent", "bent", lambda x: x + math.sin(x), lambda z, x: (1.0 + al.cos(x),))
    assert_same_history(
        *(fit(nn.MLP(3, [4, 1], own, init=nn.init.xavier, seed=0), compile=compile) for compile in (True, False))
    )


# ---- bad arguments --------------------------------------------------------------------------------------------------


class Own(nn.optim.Optimizer):
    def _move(self, rate):
        for w in self.parameters:
            w.data -= rate * w.grad


def test_an_optimiser_without_a_rule_is_refused():
    model = mlp()
    with pytest.raises(TypeError, match=r"Own has no rule to compile; .*RuleOptimizer"):
        fit(model, optimizer=Own(model.parameters(), lr=0.1))


class Signs(nn.optim.RuleOptimizer):
    remembers = 0

    def rule(self, w, g, state, step, sqrt):
        return w - step[0] * g / (sqrt(g * g) + 1e-3), state


class Branchy(Signs):
    def rule(self, w, g, state, step, sqrt):
        return (w - step[0] if g > 0 else w + step[0]), state


def test_a_rule_of_ones_own_is_compiled_and_one_that_branches_is_refused():
    histories = []
    for compile in (True, False):
        model = mlp()
        histories.append(fit(model, compile=compile, optimizer=Signs(model.parameters(), lr=0.01), epochs=20))
    assert_same_history(*histories)
    model = mlp()
    with pytest.raises(ValueError, match=r"test_compiled_training\.py:\d+"):
        fit(model, optimizer=Branchy(model.parameters(), lr=0.1))


class Forgetful(nn.optim.RuleOptimizer):
    remembers = 1

    def rule(self, w, g, state, step, sqrt):
        return w - step[0] * g, ()


class Fancy(Signs):
    def rule(self, w, g, state, step, sqrt):
        return w - step[0] * al.lgamma(g * g + 1.0), state


@pytest.mark.parametrize(("kind", "said"), [(Forgetful, "remembers 0 numbers, not 1"), (Fancy, "operators and sqrt")])
def test_a_rule_that_is_none_is_refused(kind, said):
    model = mlp()
    with pytest.raises(ValueError, match=said):
        fit(model, optimizer=kind(model.parameters(), lr=0.1))


class Normalised(Signs):
    """Divide by the gradient's size: 0/0 wherever it is 0, which is nowhere among the weights."""

    def rule(self, w, g, state, step, sqrt):
        return w - step[0] * g / sqrt(g * g), state


def test_lanes_beyond_the_weights_do_not_count():
    histories = []
    for compile in (True, False):
        model = mlp()
        assert len(model.parameters()) % 8 == 5
        histories.append(fit(model, compile=compile, optimizer=Normalised(model.parameters(), lr=0.01)))
    assert_same_history(*histories)


def test_parameters_that_are_missing_or_strange_are_refused():
    model = mlp()
    for parameters in (model.parameters()[:-1], [*model.parameters(), Value(1.0)]):
        with pytest.raises(ValueError, match="moves all parameters of the model"):
            fit(model, optimizer=nn.SGD(parameters, lr=0.1))


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda c: c.step(X), TypeError),
        (lambda c: c.step(X, NUMBERS[:-1]), ValueError),
        (lambda c: c.step(X, NUMBERS, times=0), ValueError),
        (lambda c: c.step(X, NUMBERS, times=1.5), ValueError),
        (lambda c: c.step(c.batch(X, NUMBERS), NUMBERS), TypeError),
        (lambda c: c.step([[1.0, 2.0]], [1.0]), ValueError),
        (lambda c: c.step([[1.0, math.nan, 2.0]], [1.0]), ValueError),
        (lambda c: c.step([], []), ValueError),
        (lambda c: c.predict([]), ValueError),
        (lambda c: c.predict([[1.0]]), ValueError),
        (lambda c: c.predict([["a", 1.0, 2.0]]), TypeError),
        (lambda c: c.predict(3), TypeError),
        (lambda c: c.fit(X, NUMBERS, epochs=0), ValueError),
    ],
    ids=range(13),
)
def test_bad_examples_are_refused(use, error):
    model = mlp()
    start = numbers(model)
    compiled = nn.compile(model, nn.losses.mse)
    with pytest.raises(error):
        use(compiled)
    assert numbers(model) == start


def test_bad_models_and_options_are_refused(monkeypatch):
    with pytest.raises(TypeError, match="model must be a Module"):
        nn.compile(lambda x: x)
    with pytest.raises(TypeError, match="loss must be a function"):
        nn.compile(mlp(), "mse")
    with pytest.raises(TypeError, match="compile must be True or False"):
        fit(mlp(), compile=1)
    with pytest.raises(ValueError, match="detect_anomaly"):
        fit(mlp(), detect_anomaly=True)
    monkeypatch.setattr("autograd_lite.compiler.function.missing", lambda: "llvmlite")
    with pytest.raises(ImportError, match=r"autograd_lite\[compile\]"):
        fit(mlp())


def test_arrays_and_lists_are_predicted_in_kind():
    model = mlp(2)
    compiled = nn.compile(model)
    found = compiled.predict(np.array(X, dtype=np.float32))
    assert type(found) is np.ndarray and found.shape == (22, 2)
    assert type(compiled.predict(X)) is list
    rounded = np.array(X, dtype=np.float32).astype(float).tolist()
    assert found == pytest.approx(np.array(nn.predict(model, rounded)), rel=1e-12)
    assert repr(compiled).startswith("<compiled MLP")


def test_the_command_line_trains_with_compiled_code(capsys, tmp_path, monkeypatch):
    from nn.cli import main

    monkeypatch.chdir(tmp_path)
    assert not main(["train", "digits", "--compile", "--epochs", "2"])
    assert "epoch" in capsys.readouterr().out


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_a_compiled_model_is_copied_with_what_it_has_learnt(copied):
    model = mlp()
    compiled = nn.compile(model, nn.losses.mse, nn.Adam(model.parameters(), lr=0.01))
    batch = compiled.batch(X, NUMBERS)
    with compiled:
        compiled.step(batch, times=np.int64(3))
        other, same = copied((compiled, batch))
        assert other.step(same) == compiled.step(batch)
    assert other.model is same.model is not model and numbers(other.model) == numbers(model)
    assert other.optimizer.state == compiled.optimizer.state and other.optimizer.steps == 4


def test_a_batch_is_for_its_model_alone():
    one, other = (nn.compile(nn.MLP(n, [1], seed=0)) for n in (3, 2))
    batch = other.batch([[1.0, 2.0]], [0.5])
    with pytest.raises(ValueError, match="another model"):
        one.step(batch)


def test_the_loss_follows_the_kind_of_the_targets():
    model = nn.MLP(1, [1], seed=0)
    compiled = nn.compile(model)
    for y, loss in (([1, 0], nn.losses.binary_cross_entropy), ([1.5, 0.0], nn.losses.mse)):
        outputs = [model([x]) for x in (0.5, 2.0)]
        wanted = al.mean([loss(o, t) for o, t in zip(outputs, y, strict=True)]).data
        assert compiled.loss_and_grad([[0.5], [2.0]], y)[0] == pytest.approx(wanted, rel=1e-12)


def test_a_loss_of_ones_own_may_be_infinite_for_another_class():
    def surprise(outputs, index):
        return -al.log(outputs[index])

    models = [nn.MLP(1, [2], output=al.softmax) for _ in range(2)]
    for model, is_compiled in zip(models, (False, True), strict=True):
        model.load_state_dict(dict(zip(model.state_dict(), [400.0, 0.0, -400.0, 0.0], strict=True)))
        history = nn.fit(
            model, [[1.0], [-1.0]], [0, 1], loss=surprise, optimizer=nn.SGD(model.parameters(), lr=0.1), epochs=2,
            progress=False, compile=is_compiled,
        )  # fmt: skip
        assert history["loss"] == [0.0, 0.0]
    assert models[0].state_dict() == models[1].state_dict()


def test_steps_and_measurements_in_turn_do_not_disturb_each_other():
    """What is kept ready for the next step on the same examples is made anew after the memory served others."""
    X, y = nn.data.moons(20, seed=0)
    others = nn.data.moons(20, seed=1)

    def losses(one_by_one):
        model = nn.MLP(2, [4, 1], seed=0)
        compiled = nn.compile(model, nn.losses.binary_cross_entropy, nn.SGD(model.parameters(), lr=0.1))
        mine, theirs = compiled.batch(X, y), compiled.batch(*others)
        found = []
        with compiled:
            for _ in range(3):
                found.append(compiled.step(mine))
                if not one_by_one:
                    compiled.loss_and_grad(theirs)
                found.append(compiled.step(theirs))
                found.append(compiled.step(mine))
        return found

    def eagerly():
        model = nn.MLP(2, [4, 1], seed=0)
        optimizer = nn.SGD(model.parameters(), lr=0.1)
        for rows, targets in ((X, y), others, (X, y)) * 3:
            loss = al.mean(
                [nn.losses.binary_cross_entropy(model(row), t) for row, t in zip(rows, targets, strict=True)]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.data

    assert losses(True) == losses(False) == pytest.approx(list(eagerly()), rel=1e-12)


class Mixed(nn.Module):
    """Do with inputs what is done with weights too, and with what comes of that what is done with inputs alone."""

    def __init__(self, features):
        self.features, self.layer, self.scale = features, nn.Layer(4, 3, al.tanh, seed=0), Value(0.5)

    def named_parameters(self):
        return [*self.layer.named_parameters(), ("scale", self.scale)]

    def __call__(self, x):
        return [al.dot(self.layer(self.features(x)), [1.0, -1.0, 2.0]) + al.square(x[0] * self.scale)]


@pytest.mark.parametrize(
    "features",
    [
        lambda x: [x[k] * 2.0 for k in (0, 1, 2, 2)],
        lambda x: [al.sin(x[k] * 2.0) for k in (0, 1, 2, 2)],
        lambda x: [al.square(al.dot((0.5, -1.0, float(k)), x)) for k in range(4)],
    ],
)
def test_what_depends_on_inputs_alone_comes_after_what_it_needs(features):
    model = Mixed(features)
    compiled = nn.compile(model, nn.losses.mse, sgd(model))
    for part in (slice(0, 10), slice(10, None)):
        model.zero_grad()
        loss = al.mean([nn.losses.mse(model(row), t) for row, t in zip(X[part], NUMBERS[part], strict=True)])
        loss.backward()
        found, gradient = compiled.loss_and_grad(X[part], NUMBERS[part])
        assert found == pytest.approx(loss.data, rel=1e-12)
        assert gradient.tolist() == pytest.approx([w.grad for w in model.parameters()], rel=1e-12, abs=1e-15)


def test_very_many_steps_are_taken_in_parts():
    """Of one native call they would all have to be planned, and Ctrl-C would wait for them."""
    X, y = nn.data.moons(8, seed=0)
    found = []
    for parts in ([2345], [1000, 1000, 345], [1] * 2345):
        model = nn.MLP(2, [3, 1], seed=0)
        compiled = nn.compile(model, nn.losses.mse, nn.Adam(model.parameters(), lr=0.001))
        batch = compiled.batch(X, y)
        with compiled:
            losses = [compiled.step(batch, times=times) for times in parts]
        found.append((losses[-1], [w.data for w in model.parameters()]))
    assert found[0] == found[1] == found[2]
    model = nn.MLP(2, [3, 1], seed=0)
    compiled = nn.compile(
        model, nn.losses.mse, nn.SGD(model.parameters(), lr=lambda step: 0.0 if step < 2100 else 1e300)
    )
    with pytest.raises(nn.DivergenceError, match=r"step 210\d: "):
        compiled.step(X, y, times=10**30)
