"""The sweep gives the right gradients, survives interruption, depth and threads, and leaves nothing behind."""

import contextlib
import functools
import gc
import inspect
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

import autograd_lite as al
from autograd_lite import Value, graph, value
from autograd_lite.graph import adjoints

ROOT = Path(__file__).parent.parent


def small_graph():
    """A graph with a repeated parent, a shared node, a wide node and gradients from before."""
    x, w = Value(2.0, "x"), Value(3.0, "w")
    shared = x * w
    y = al.sum([shared, x, w]) * shared - shared / 2.0
    x.grad, w.grad, shared.grad, y.grad = 5.0, 7.0, 11.0, 13.0
    return y, (x, w), (shared, y)


# What backward promises


def test_the_first_example():
    x = Value(3.0)
    y = x * x + 2 * x
    y.backward()
    assert (y.data, x.grad, y.grad) == (15.0, 8.0, 1.0)


def test_leaves_accumulate_and_interior_nodes_start_anew():
    x = Value(3.0)
    square = x * x
    y = 2.0 * square
    y.backward()
    assert (x.grad, square.grad, y.grad) == (12.0, 2.0, 1.0)
    y.backward()
    assert (x.grad, square.grad, y.grad) == (24.0, 2.0, 1.0)
    (square * 5.0).backward()
    assert (x.grad, square.grad, y.grad) == (54.0, 5.0, 1.0)
    x.grad = 0.0
    y.backward()
    assert x.grad == 12.0


def test_a_shared_node_hands_on_the_sum_of_its_uses():
    x = Value(0.5)
    shared = al.exp(x)
    y = shared * shared + shared
    y.backward()
    assert shared.grad == 2.0 * shared.data + 1.0
    assert x.grad == shared.grad * shared.data


def test_graphs_that_share_a_leaf_add_up():
    w = Value(2.0)
    for k in (1.0, 10.0, 100.0):
        (w * k).backward()
    assert w.grad == 111.0


def test_a_graph_that_goes_on_from_another():
    x = Value(2.0)
    a = x * x
    a.backward()
    b = a * a
    b.backward()
    assert (x.grad, a.grad, b.grad) == (4.0 + 32.0, 8.0, 1.0)
    a.backward()
    assert (x.grad, a.grad, b.grad) == (4.0 + 32.0 + 4.0, 1.0, 1.0)


def test_the_root_may_be_a_leaf():
    x = Value(2.0)
    x.backward()
    x.backward(0.5)
    assert x.grad == 1.5


def test_a_gradient_to_start_from():
    x = Value(3.0)
    y = x * x
    y.backward(grad=-2)
    assert (x.grad, y.grad) == (-12.0, -2.0)
    assert type(y.grad) is float
    y.backward(0.0)
    assert (x.grad, y.grad) == (-12.0, 0.0)


@pytest.mark.parametrize("bad", ["1", None, 1j, [1.0], Value(1.0)], ids=lambda bad: type(bad).__name__)
def test_a_gradient_to_start_from_is_a_number(bad):
    y, leaves, _ = small_graph()
    with pytest.raises(TypeError, match="gradient to start from must be a real number"):
        y.backward(bad)
    assert [x.grad for x in leaves] == [5.0, 7.0]


def test_a_zero_adjoint_is_carried():
    x = Value(0.0)
    (al.sqrt(x) * 0.0).backward()
    assert math.isnan(x.grad)  # 0 · inf
    y = Value(0.0)
    al.where(Value(1.0), Value(2.0), al.log(y)).backward()
    assert math.isnan(y.grad)
    z = Value(0.0)
    al.sqrt(z).backward(0.0)
    assert math.isnan(z.grad)


def test_a_gradient_of_zero_left_from_before_does_not_hide_a_node():
    x = Value(2.0)
    y = x * 3.0
    y.backward(0.0)
    y.backward()
    assert (x.grad, y.grad) == (3.0, 1.0)


def test_data_changed_after_recording_changes_nothing_recorded():
    x, w = Value(2.0), Value(3.0)
    y = al.tanh(x * w) + al.affine([w], [x], x) + x**2
    before = (y.data, y.partials, [p.partials for p in y.parents])
    expected = al.gradients(y, [x, w])
    x.data, w.data = -50.0, 0.125
    assert (y.data, y.partials, [p.partials for p in y.parents]) == before
    assert al.gradients(y, [x, w]) == expected
    y.backward()
    assert [x.grad, w.grad] == expected


@pytest.mark.parametrize(
    ("f", "new"),
    [
        (lambda x: x * x, 5.0),
        (lambda x: al.sin(x), 5.0),
        (lambda x: al.affine([x], [x], x), 5.0),
        (lambda x: al.logsumexp([x, 2.0 * x]), 5.0),
        (lambda x: x**3, -2.0),  # the slope is as it was; the value and the curvature are not
        (lambda x: al.cosh(x) ** 2, 5.0),
    ],
)
def test_a_second_derivative_after_data_changed_is_refused(f, new):
    x = Value(2.0, "x")
    y = f(x)
    x.data = new
    with pytest.raises(ValueError, match=r"changed after.*record again"):
        al.gradients(y, [x], create_graph=True)
    x.data = 2.0
    assert al.gradients(y, [x], create_graph=True)[0].data == pytest.approx(al.grad(f)(2.0), rel=1e-15)


# Interrupted sweeps


def interrupt_at_line(action, steps):
    """Run action and raise KeyboardInterrupt before its steps-th line within the engine's sweep; say if it ended."""
    files = {inspect.getsourcefile(module) for module in (graph, value, al.derivatives)}
    lines = itertools.count()

    def trace(frame, event, _):
        if frame.f_code.co_filename not in files:
            return None
        if event == "line" and next(lines) == steps:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
        return True
    except KeyboardInterrupt:
        return False
    finally:
        sys.settrace(before)


def test_an_interrupt_at_any_line_of_backward_leaves_the_leaves_untouched():
    y, leaves, _ = small_graph()
    y.backward()
    right = [x.grad for x in leaves]
    for steps in itertools.count():
        y, leaves, _ = small_graph()
        if interrupt_at_line(y.backward, steps):
            break
        assert [x.grad for x in leaves] == [5.0, 7.0], f"interrupted at line {steps}"
        y.backward()
        assert [x.grad for x in leaves] == right, f"retried after line {steps}"
    assert steps > 50


def test_an_interrupt_at_any_line_of_gradients_leaves_every_grad_untouched():
    for steps in itertools.count():
        y, leaves, interior = small_graph()
        done = interrupt_at_line(lambda: al.gradients(y, leaves), steps)  # noqa: B023 (called at once)
        assert [x.grad for x in (*leaves, *interior)] == [5.0, 7.0, 11.0, 13.0], f"interrupted at line {steps}"
        if done:
            break
    assert steps > 50


def test_an_error_within_the_sweep_leaves_the_leaves_untouched(monkeypatch):
    def broken(*_, **__):
        raise MemoryError

    y, leaves, _ = small_graph()
    with monkeypatch.context() as patch:
        patch.setattr(graph, "reversed", broken, raising=False)
        with pytest.raises(MemoryError):
            y.backward()
    assert [x.grad for x in leaves] == [5.0, 7.0]


def test_a_gradient_that_can_not_be_added_to_leaves_the_others_untouched():
    y, (x, w), _ = small_graph()
    w.grad = None
    with pytest.raises(TypeError):
        y.backward()
    assert (x.grad, w.grad) == (5.0, None)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer on this system")
def test_ctrl_c_in_a_large_graph_leaves_the_leaves_untouched():
    def ctrl_c(*_):
        raise KeyboardInterrupt

    x, w = Value(1.0), Value(2.0)
    y = x
    for _ in range(40_000):
        y = y * 1.0 + x * w
    durations = []
    for _ in range(3):
        x.grad = w.grad = 0.0
        start = time.perf_counter()
        y.backward()
        durations.append(time.perf_counter() - start)
    once, sweeps, interrupted = (x.grad, w.grad), 1, 0
    before = signal.signal(signal.SIGALRM, ctrl_c)
    try:
        for tenth in range(1, 13):
            try:
                signal.setitimer(signal.ITIMER_REAL, min(durations) * tenth / 10.0)
                y.backward()
                sweeps += 1
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            except KeyboardInterrupt:
                interrupted += 1
            # Whole sweeps only: a multiple of what one gives, but for a timer that rang just after the end.
            assert (x.grad / once[0], w.grad / once[1]) in [(sweeps, sweeps), (sweeps + 1, sweeps + 1)]
            sweeps = round(x.grad / once[0])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted
    x.grad = w.grad = 0.0
    y.backward()
    assert (x.grad, w.grad) == once


# Scale


def test_a_chain_of_a_million():
    x = Value(0.5)
    y = x
    for k in range(1_000_000):
        y = y + 1.0 if k % 2 else 1.0 - y  # one kind of node keeps its parent in a slot, the other in a tuple
    y.backward()
    assert x.grad == 1.0
    assert al.gradients(y, [x]) == [1.0]
    end = weakref.ref(y)
    del y
    assert end() is None


def test_second_derivatives_along_a_long_chain():
    x = Value(1.0)
    y = x
    for _ in range(50_000):
        y = 1.0 * y
    (slope,) = al.gradients(y * y, [x], create_graph=True)
    assert slope.data == 2.0
    assert al.gradients(slope, [x]) == [2.0]
    slope.backward()
    assert x.grad == 2.0


def test_a_hundred_thousand_operands_and_uses():
    n = 100_000
    xs = [Value(1.0) for _ in range(n)]
    for reduce, slope in ((al.sum, 1.0), (al.prod, 1.0), (al.mean, 1.0 / n), (al.logsumexp, 1.0 / n)):
        found = al.gradients(reduce(xs), xs)
        assert max(abs(g - slope) for g in found) <= 1e-12 * slope, reduce
    al.dot(xs, xs).backward()
    assert {x.grad for x in xs} == {2.0}
    x = Value(1.0)
    al.sum([x] * n).backward()
    assert x.grad == n
    total = sum(xs[0] * k for k in range(n))  # one node used by many
    assert al.gradients(total, [xs[0]]) == [n * (n - 1) / 2]


def test_a_ladder_of_diamonds_takes_linear_time():
    def ladder(x):
        for _ in range(60):
            x = x + x
        return x

    start = time.perf_counter()
    x = Value(1.0)
    y = ladder(x)
    y.backward()
    assert x.grad == 2.0**60
    assert al.gradients(y, [x], create_graph=True)[0].data == 2.0**60
    assert al.jvp(ladder, 1.0, 1.0) == 2.0**60
    assert al.hessian(lambda x: ladder(x * x), 1.0) == 2.0**61
    assert len(al.topological_order(y)) == 61
    assert time.perf_counter() - start < 1.0  # 2⁶⁰ paths, walked one by one, would take centuries


# Memory


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def every_kind_of_node(x):
    return [
        x * x, x + 1.0, 1.0 - x, x**2, 2.0**x, -x, al.tanh(x), al.atan2(1.0, x), al.clamp(x, 0.0, 1.0),
        al.sum([x, 1.0, x]), al.dot([x, x], [1.0, 2.0]), al.affine([x], [2.0], x), *al.softmax([x, 2.0 * x]),
    ]  # fmt: skip


def test_nodes_die_as_soon_as_nobody_refers_to_them(without_collector):
    x = Value(0.5)
    nodes = every_kind_of_node(x)
    y = al.sum(nodes)
    y.backward()
    al.gradients(y, [x])
    watched = [weakref.ref(node) for node in (*nodes, y)]
    del nodes, y
    assert [ref() for ref in watched] == [None] * len(watched)
    leaf = weakref.ref(x)
    del x
    assert leaf() is None


def test_nothing_makes_a_reference_cycle(without_collector):
    def everything():
        x = Value(0.5, "x")
        y = al.sum(every_kind_of_node(x))
        y.backward()
        (slope,) = al.gradients(y, [x], create_graph=True)
        slope.backward()
        al.hessian(lambda v: al.prod([al.tanh(v[0]), v[1]]), [0.1, 0.2])
        al.jvp(lambda v: al.softmax(v), [0.1, 0.2], [1.0, 0.0])
        al.grad(lambda x: x * al.grad(lambda y: x * y)(x))(2.0)
        with al.no_grad():
            x * x
        for call in (lambda: x * "2", lambda: float(x), lambda: al.dot([x], [1.0, 2.0])):
            with contextlib.suppress(TypeError, ValueError):
                call()

    everything()  # what is set up once, is
    gc.collect()
    everything()
    assert gc.collect() == 0


def test_an_interrupted_sweep_keeps_nothing_alive(without_collector, monkeypatch):
    def broken(*_, **__):
        raise MemoryError

    monkeypatch.setattr(graph, "reversed", broken, raising=False)
    y = Value(0.5) * 2.0
    with contextlib.suppress(MemoryError):
        y.backward()
    watched = weakref.ref(y)
    del y
    assert watched() is None


# The same on every run

PROGRAM = """
import random
import autograd_lite as al

chance = random.Random(0)
xs = [al.Value(chance.uniform(-2.0, 2.0), f"x{k}") for k in range(20)]
nodes = list(xs)
for _ in range(400):
    a, b, c = chance.choices(nodes[-40:], k=3)
    nodes.append(chance.choice([a * b, a + b, al.tanh(a), al.sum([a, b, c]), al.dot([a, b], [c, a]), al.exp(-a * a)]))
y = al.mean(nodes[-40:])
y.backward()
print(y.data.hex(), *(node.grad.hex() for node in nodes))
print(*(g.data.hex() for g in al.gradients(y, xs, create_graph=True)))
print(*(node.data.hex() for node in al.topological_order(y)))
print(al.hvp(lambda v: al.logsumexp([a * b for a in v for b in v]), [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]))
"""


def test_the_same_bits_whatever_the_hash_seed():
    outputs = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop().split()) > 500


def test_the_same_bits_whatever_lies_in_memory():
    def run():
        xs = [Value(math.sin(k)) for k in range(30)]
        y = al.logsumexp([a * b + al.sin(a) for a, b in itertools.pairwise(xs)] + xs)
        y.backward()
        return [x.grad.hex() for x in xs] + [g.data.hex() for g in al.gradients(y, xs, create_graph=True)]

    first = run()
    for size in (1, 100, 10_000):
        clutter = [Value(0.0) for _ in range(size)][:: 1 + size // 7]
        assert run() == first
        del clutter


# Threads


def in_threads(work, count=4):
    """Run work(k) in threads that switch as often as they can, and raise what any of them raised."""
    errors = []

    def guarded(k):
        try:
            work(k)
        except BaseException as error:  # to be raised where the test sees it
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=guarded, args=(k,)) for k in range(1, count + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    if errors:
        raise errors[0]


def test_threads_record_and_sweep_graphs_of_their_own():
    def work(k):
        for _ in range(100):
            x = Value(float(k))
            y = functools.reduce(lambda y, _: y * 1.0 + x, range(50), x)
            y.backward()
            assert x.grad == 51.0
            assert al.hessian(lambda x: x**3, float(k)) == 6.0 * k
            with al.no_grad():
                assert (x * x).op is None
            assert (x * x).op is al.mul

    in_threads(work)


def test_threads_record_on_shared_leaves():
    w, graphs = Value(2.0), []

    def work(k):
        graphs.extend(functools.reduce(lambda y, _: y + w, range(50), w * float(k)) for _ in range(50))

    in_threads(work)
    for y in graphs:
        y.backward()
    assert len(graphs) == 200
    assert w.grad == 50 * sum(k + 50.0 for k in (1, 2, 3, 4))
    order = al.topological_order(*graphs)
    assert all(order.index(p) < order.index(y) for y in graphs[:5] for p in y.parents)


def test_gradients_in_threads_do_not_meet_in_shared_leaves():
    w = Value(2.0)

    def work(k):
        for _ in range(20):
            y = functools.reduce(lambda y, _: y * 1.0, range(2000), w * float(k))
            assert al.gradients(y, [w]) == [float(k)]

    in_threads(work)
    assert w.grad == 0.0


# The walk itself


def test_topological_order_takes_operands_in_their_order():
    x, w = Value(1.0, "x"), Value(2.0, "w")
    product = w * x
    unused = x + w
    y = product - al.sum([x, product])
    order = al.topological_order(y)
    assert order == [w, x, product, y.parents[1], y]
    assert unused not in order
    assert al.topological_order(x, w, x) == [x, w]
    assert al.topological_order(unused, y)[-1] is y


def test_adjoints_are_the_chain_rule_on_any_nodes():
    edges = {"y": [("a", 2.0), ("b", 3.0), ("a", 5.0)], "a": [("b", 7.0)], "b": [], "apart": [("b", 100.0)]}
    found = adjoints(["b", "a", "apart", "y"], {"y": 1.0}, edges.__getitem__)
    assert found == {"y": 1.0, "a": 7.0, "b": 52.0}


def test_backward_agrees_with_the_plain_chain_rule():
    chance = random.Random(1)
    xs = [Value(chance.uniform(-1.0, 1.0)) for _ in range(5)]
    nodes = list(xs)
    for _ in range(200):
        a, b = chance.choices(nodes[-20:], k=2)
        nodes.append(chance.choice([a * b, a - b, al.sin(a), 0.5 - a, al.mean([a, b, a]), al.affine([a], [0.5], b)]))
    y = nodes[-1]
    plain = adjoints(al.topological_order(y), {y: 1.0}, lambda node: zip(node.parents, node.partials, strict=True))
    y.backward()
    for node in nodes:
        assert node.grad == pytest.approx(plain.get(node, 0.0), rel=1e-13, abs=1e-300)
