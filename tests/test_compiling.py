"""Compiled training takes the steps of recorded training, and leaves everything where it belongs."""

import threading
from itertools import pairwise

import pytest

import autograd_lite as al
import nn
from autograd_lite import Value
from nn.optim import AdamW, Optimizer, RMSprop, cosine, step_decay

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")

X, Y = nn.data.moons(60, seed=3)
HELD_OUT = nn.data.moons(20, seed=4)

OPTIMIZERS = {
    "sgd": lambda ws: nn.SGD(ws, lr=0.1),
    "momentum": lambda ws: nn.SGD(ws, lr=0.05, momentum=0.9),
    "nesterov, decay": lambda ws: nn.SGD(ws, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda ws: nn.Adam(ws, lr=0.01),
    "adamw, cosine": lambda ws: AdamW(ws, lr=cosine(0.02, 200), weight_decay=0.1),
    "rmsprop, steps": lambda ws: RMSprop(ws, lr=step_decay(0.01, every=30)),
}


def numbers_of(model):
    return [w.data for w in model.parameters()]


def both(make, **settings):
    """Train the same model by recording and by compiled code."""
    for is_compiled in (False, True):
        model = nn.MLP(2, [8, 6, 1], al.tanh, seed=0)
        optimizer = make(model.parameters())
        settings = {"batch_size": 16, "validation": HELD_OUT, "progress": False, "record": True} | settings
        yield model, optimizer, nn.fit(model, X, Y, optimizer=optimizer, compile=is_compiled, **settings)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_history_is_the_same(make):
    (one, optimizer, recorded), (other, other_optimizer, compiled) = both(make, epochs=50)
    for name in recorded.names:
        if name != "seconds":
            assert compiled[name] == pytest.approx(recorded[name], rel=1e-9, abs=1e-12), name
    assert numbers_of(other) == pytest.approx(numbers_of(one), rel=1e-9, abs=1e-12)
    for w, v in zip(recorded.weights, compiled.weights, strict=True):
        assert list(v) == pytest.approx(list(w), rel=1e-9, abs=1e-12)
    assert other_optimizer.steps == optimizer.steps == 50 * 4
    for s, t in zip(optimizer.state, other_optimizer.state, strict=True):
        assert t == pytest.approx(s, rel=1e-9, abs=1e-12)


def test_the_same_seed_gives_the_same_bits():
    histories = [list(both(OPTIMIZERS["adam"], epochs=3))[1][2] for _ in range(2)]
    assert histories[0].weights == histories[1].weights


def test_training_goes_on_where_the_other_way_stopped():
    def trained(ways):
        model = nn.MLP(2, [8, 1], al.tanh, seed=0)
        optimizer = nn.Adam(model.parameters(), lr=0.02)
        for way in ways:
            nn.fit(model, X, Y, optimizer=optimizer, epochs=4, progress=False, compile=way)
        return numbers_of(model)

    assert trained([False, True, False]) == pytest.approx(trained([False, False, False]), rel=1e-10)


def test_single_steps():
    for times in (1, 3):
        model, twin = (nn.MLP(2, [4, 1], al.tanh, seed=1) for _ in range(2))
        optimizer = nn.SGD(twin.parameters(), lr=0.1, momentum=0.5)
        compiled = nn.compile(model, nn.losses.mse, nn.SGD(model.parameters(), lr=0.1, momentum=0.5))
        losses = [compiled.step(X, Y, times=times) for _ in range(2)]
        for _ in range(2 * times):
            loss = al.mean([nn.losses.mse(twin(x), t) for x, t in zip(X, Y, strict=True)])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert losses[-1] == pytest.approx(loss.data, rel=1e-12)
        assert numbers_of(model) == pytest.approx(numbers_of(twin), rel=1e-12)


def test_in_a_block_the_weights_stay_away_until_it_ends():
    model = nn.MLP(2, [4, 1], seed=1)
    before = numbers_of(model)
    compiled = nn.compile(model, nn.losses.binary_cross_entropy, nn.SGD(model.parameters(), lr=0.1))
    batch = compiled.batch(X, Y)
    with pytest.raises(ZeroDivisionError), compiled:
        losses = [compiled.step(batch) for _ in range(20)]
        assert numbers_of(model) == before
        ahead = compiled.predict(X[:3])
        raise ZeroDivisionError
    assert all(later < sooner for sooner, later in pairwise(losses))
    assert numbers_of(model) != before
    assert nn.predict(model, X[:3]) == pytest.approx(np.array(ahead), rel=1e-12)
    assert compiled.optimizer.steps == 20


def test_what_is_changed_in_the_model_counts():
    model = nn.Neuron(1, init=lambda n_in, n_out, rng: [[2.0]])
    compiled = nn.compile(model, nn.losses.mse, nn.SGD(model.parameters(), lr=0.1))
    assert compiled.predict([[3.0]]) == [[6.0]]
    model.w[0].data = 5.0
    assert compiled.predict([[3.0]]) == [[15.0]]
    assert compiled.loss_and_grad([[3.0]], [0.0])[0] == 225.0
    model.w[0].data = 1.0
    assert compiled.step([[3.0]], [0.0]) == 9.0


def test_a_new_learning_rate_and_a_new_momentum_count():
    def moved(change):
        model = nn.Neuron(1, init=lambda n_in, n_out, rng: [[1.0]])
        compiled = nn.compile(model, nn.losses.half_sse, nn.SGD(model.parameters(), lr=0.1, momentum=0.5))
        batch = compiled.batch([[1.0]], [0.0])
        compiled.step(batch)
        change(compiled.optimizer)
        compiled.step(batch)
        return model.w[0].data

    def faster(optimizer):
        optimizer.lr = 0.3

    def without_momentum(optimizer):
        optimizer.momentum = 0.0

    assert len({moved(lambda optimizer: None), moved(faster), moved(without_momentum)}) == 3


def test_a_step_that_diverges_is_not_taken():
    model = nn.MLP(2, [4, 1], seed=1)
    optimizer = nn.SGD(model.parameters(), lr=1e200)
    with pytest.raises(nn.DivergenceError, match=r"epoch 1, batch [23]: .*; the parameters are as before this batch"):
        nn.fit(
            model, X, Y, optimizer=optimizer, loss=nn.losses.mse, epochs=2, batch_size=8, progress=False, compile=True
        )
    assert all(map(np.isfinite, numbers_of(model)))
    compiled = nn.compile(model, nn.losses.mse, nn.SGD(model.parameters(), lr=1e300))
    with pytest.raises(nn.DivergenceError, match=r"step \d: "):
        compiled.step(X, Y, times=5)
    assert all(map(np.isfinite, numbers_of(model)))


def test_ctrl_c_keeps_what_was_learnt():
    model = nn.MLP(2, [4, 1], seed=1)
    before = numbers_of(model)

    def stop(record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt

    history = nn.fit(model, X, Y, epochs=9, progress=stop, compile=True)
    assert history.interrupted
    assert len(history) == 3
    assert numbers_of(model) != before


def test_two_models_train_side_by_side():
    def train(results, seed):
        model = nn.MLP(2, [8, 1], al.tanh, seed=seed)
        nn.fit(model, X, Y, epochs=20, progress=False, compile=True)
        results[seed] = numbers_of(model)

    alone, together = {}, {}
    for seed in (0, 1):
        train(alone, seed)
    threads = [threading.Thread(target=train, args=(together, seed)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


class Unruly(Optimizer):
    def _move(self, rate):
        pass


def model_of_one():
    return nn.MLP(2, [1], seed=0)


def branching(outputs, target):
    return outputs[0] if outputs[0] > 0 else -outputs[0]


def comparing(outputs, target):
    return outputs[0] * (2.0 if target == 0.5 else 1.0)


@pytest.mark.parametrize(
    ("error", "message", "use"),
    [
        (TypeError, "model must be a Module", lambda m: nn.compile(3)),
        (TypeError, "loss must be a function", lambda m: nn.compile(m, loss=3)),
        (TypeError, "Unruly has no rule", lambda m: nn.compile(m, optimizer=Unruly(m.parameters(), lr=1.0))),
        (ValueError, "all parameters", lambda m: nn.compile(m, optimizer=nn.SGD(m.parameters()[:1], lr=1.0))),
        (ValueError, r"test_compiling.py:\d+: .*branches", lambda m: nn.compile(m, branching).step(X, [0.1] * len(X))),
        (ValueError, "can't be compiled.*==", lambda m: nn.compile(m, comparing).step([[1.0, 2.0]] * 2, [0.5, 0.1])),
        (TypeError, "a Batch has its targets", lambda m: nn.compile(m).step(nn.compile(m).batch(X, Y), Y)),
        (TypeError, "give the targets too", lambda m: nn.compile(m).step(X)),
        (ValueError, "times must be", lambda m: nn.compile(m).step(X, Y, times=0)),
        (ValueError, "want 2 inputs, got 3", lambda m: nn.compile(m).predict([[1, 2, 3]])),
        (ValueError, "not watched", lambda m: nn.fit(m, X, Y, compile=True, detect_anomaly=True)),
        (TypeError, "compile must be True or False", lambda m: nn.fit(m, X, Y, compile="yes")),
    ],
)  # fmt: skip
def test_what_is_refused(error, message, use):
    with pytest.raises(error, match=message):
        use(model_of_one())


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("autograd_lite.compiler.function.missing", lambda: "llvmlite")
    with pytest.raises(ImportError, match=r"pip install 'autograd_lite\[compile\]'"):
        nn.fit(model_of_one(), X, Y, compile=True)


def test_an_optimiser_of_ones_own():
    class Signs(nn.optim.RuleOptimizer):
        remembers = 0

        def rule(self, w, g, state, step, sqrt):
            return w - step[0] * g / sqrt(g * g + 1e-12), state

    model, twin = (nn.MLP(2, [3, 1], al.tanh, seed=2) for _ in range(2))
    for each, way in ((model, True), (twin, False)):
        nn.fit(each, X, Y, optimizer=Signs(each.parameters(), lr=0.01), epochs=5, progress=False, compile=way)
    assert numbers_of(model) == pytest.approx(numbers_of(twin), rel=1e-9)


def test_the_values_of_a_model_are_its_own_afterwards():
    model = model_of_one()
    nn.fit(model, X, Y, epochs=1, progress=False, compile=True)
    assert all(type(w) is Value and type(w.data) is float for w in model.parameters())
