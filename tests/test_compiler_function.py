"""Compiled functions as one calls them: what they take and give, branches, threads, pickles, and the cache."""

import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf, nan
from time import perf_counter

import numpy as np
import pytest

import autograd_lite as al
from autograd_lite import BranchError, CompiledFunction, Value
from autograd_lite.compiler import function as compiled_function
from autograd_lite.compiler import native

backends = pytest.mark.parametrize("backend", ["native", "python"])


def smooth(v):
    return v[0] * v[1] + v[2] * v[2] + 0.5


def gradient_of_smooth(row):
    return [row[1], row[0], 2.0 * row[2]]


def branching(v):
    if v[0] > v[1]:
        return v[0] * v[2]
    return v[1] + v[2] if v[2] >= 0.0 else v[0] - v[1]


def by_branches(rows):
    return [x * z if x > y else y + z if z >= 0.0 else x - y for x, y, z in rows]


def rows_of(count, width=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width))


# ---- what goes in and what comes out --------------------------------------------------------------------------------


@backends
def test_a_point_gives_numbers_and_rows_give_arrays(backend):
    f = al.compile(smooth, 3, backend=backend)
    assert f([1, 2, 3]) == 11.5 and type(f((1.0, 2.0, 3.0))) is float
    value, gradient = f.value_and_grad([1.0, 2.0, 3.0])
    assert (value, gradient) == (11.5, [2.0, 1.0, 6.0]) and type(gradient) is list
    assert f.grad([1.0, 2.0, 3.0]) == [2.0, 1.0, 6.0]
    assert f.hessian([1.0, 2.0, 3.0]) == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]
    X = rows_of(13)
    wanted = [smooth(row) for row in X.tolist()]
    for batch in (X, X.tolist(), [row.copy() for row in X]):
        values, gradients = f.value_and_grad(batch)
        assert type(values) is np.ndarray and values.shape == (13,) and gradients.shape == (13, 3)
        assert values.tolist() == f(batch).tolist() == pytest.approx(wanted, rel=1e-15)
        assert gradients.tolist() == [gradient_of_smooth(row) for row in X.tolist()]
        assert f.hessian(batch).shape == (13, 3, 3)
    value, gradient = f.value_and_grad(X[4])
    assert type(value) is float and type(gradient) is np.ndarray and gradient.shape == (3,)


@backends
@pytest.mark.parametrize(
    "arrange",
    [
        lambda X: X.astype(np.float32), lambda X: X.astype(np.int64), lambda X: X.astype(np.int8),
        lambda X: abs(X).astype(np.uint16), lambda X: X > 0.0, lambda X: X.astype(">f8"),
        lambda X: X.astype(np.float16),
        lambda X: X.astype(np.longdouble), np.asfortranarray, lambda X: X[::2], lambda X: X[:, ::-1], lambda X: X[::-1],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2], lambda X: np.broadcast_to(X[0], (9, 3)),
    ],
    ids=["float32", "int64", "int8", "uint16", "bool", "big endian", "float16", "longdouble", "Fortran", "every other",
         "reversed columns", "reversed rows", "strided columns", "broadcast"],
)  # fmt: skip
def test_arrays_of_any_kind(backend, arrange):
    X = arrange(np.round(rows_of(20) * 8) / 2)
    f = al.compile(smooth, 3, backend=backend)
    before = X.copy()
    assert f(X).tolist() == [smooth(row) for row in X.astype(float).tolist()]
    assert (before == X).all()


def test_an_array_that_may_not_be_written_or_is_not_aligned():
    f = al.compile(smooth, 3)
    X = rows_of(20)
    wanted = f(X).tolist()
    X.setflags(write=False)
    assert f(X).tolist() == wanted
    crooked = np.frombuffer(bytearray(b"x" + X.tobytes()), dtype=np.uint8)[1:].view(np.float64).reshape(X.shape)
    assert crooked.ctypes.data % 8 and f(crooked).tolist() == wanted


@backends
def test_no_rows_give_no_results(backend):
    f, g = al.compile(smooth, 3, backend=backend), al.compile(lambda v: [v[0], v[1]], 3, backend=backend)
    assert f(np.empty((0, 3))).shape == (0,)
    values, gradients = f.value_and_grad(np.empty((0, 3)))
    assert values.shape == (0,) and gradients.shape == (0, 3)
    assert f.hessian(np.empty((0, 3))).shape == (0, 3, 3)
    assert len(f([])) == 0
    assert g(np.empty((0, 3))).shape == (0, 2)


@backends
@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([1.0, 2.0], ValueError, "2 numbers, but the function takes 3"),
        ([1.0] * 4, ValueError, "4 numbers"),
        ([[1.0, 2.0, 3.0], [1.0]], ValueError, "row 1 has 1 number"),
        ([[]], ValueError, "row 0 has 0 numbers"),
        (np.zeros(2), ValueError, r"shape \(3,\) or \(rows, 3\)"),
        (np.zeros((4, 2)), ValueError, r"not \(4, 2\)"),
        (np.zeros((2, 2, 3)), ValueError, "shape"),
        (np.float64(1.0), TypeError, "give a list of 3 numbers"),
        (np.array(1.0), ValueError, "shape"),
        (1.0, TypeError, "give a list of 3 numbers"),
        (None, TypeError, "give a list of 3 numbers"),
        ("abc", TypeError, "give a list of 3 numbers"),
        ({1.0: 2.0}, TypeError, "give a list of 3 numbers"),
        (["a", 1.0, 2.0], TypeError, "point"),
        ([[1.0, 2.0, 3.0], "abc"], TypeError, "row 1"),
        ([[1.0, 2.0, 3.0], 4.0], TypeError, "row 1"),
        ([1.0, None, 2.0], TypeError, "point"),
        ([1.0, 1j, 2.0], TypeError, "point"),
        ([1.0, 10**400, 2.0], ValueError, "too large"),
        (np.zeros(3, dtype=object), TypeError, "dtype object"),
        (np.zeros(3, dtype=complex), TypeError, "dtype complex"),
        (np.array(["1", "2", "3"]), TypeError, "dtype"),
        (np.zeros(3, dtype="M8[s]"), TypeError, "dtype"),
        (np.zeros(3, dtype=[("a", float)]), TypeError, "dtype"),
    ],
    ids=repr,
)
def test_what_is_no_point_is_refused(backend, X, error, message):
    f = al.compile(smooth, 3, backend=backend)
    for task in (f, f.value_and_grad, f.hessian):
        with pytest.raises(error, match=message):
            task(X)


@pytest.mark.parametrize(
    ("args", "options", "error"),
    [
        ((smooth,), {}, TypeError), ((smooth, 0), {}, ValueError), ((smooth, -1), {}, ValueError),
        ((smooth, True), {}, TypeError), ((smooth, 2.0), {}, TypeError), ((smooth, "3"), {}, TypeError),
        ((3, 3), {}, TypeError), ((None, 3), {}, TypeError), ((smooth, 3), {"inputs": []}, TypeError),
        ((smooth, 3), {"backend": "jit"}, ValueError), ((smooth, 3), {"guards": "ignore"}, ValueError),
        ((Value(1.0),), {}, TypeError), ((Value(1.0), 1), {}, TypeError), ((Value(1.0),), {"inputs": []}, ValueError),
        ((Value(1.0),), {"inputs": [1.0]}, TypeError), (([Value(1.0), 2.0],), {"inputs": [Value(1.0)]}, TypeError),
    ],
    ids=repr,
)  # fmt: skip
def test_what_can_not_be_compiled_is_refused(args, options, error):
    with pytest.raises(error):
        al.compile(*args, **options)


@backends
def test_nan_and_infinity_go_through(backend):
    f = al.compile(lambda v: [v[0] + v[1], v[0] * v[1], v[0] / v[1], al.exp(v[0])], 2, backend=backend)
    for x in (inf, -inf, nan, 0.0, -0.0, 1e308, 5e-324):
        for y in (inf, nan, 0.0, -0.0, 2.0):
            wanted = [x + y, x * y, (Value(x) / Value(y)).data, Value(x).exp().data]
            np.testing.assert_array_equal(f([x, y]), wanted)


@backends
def test_functions_that_give_lists(backend):
    f = al.compile(lambda v: [v[0] + v[1], v[0], 3.0], 2, backend=backend)
    assert f([1.0, 2.0]) == [3.0, 1.0, 3.0]
    assert f(np.array([[1.0, 2.0], [5.0, 6.0]])).tolist() == [[3.0, 1.0, 3.0], [11.0, 5.0, 3.0]]
    assert al.compile(lambda v: [v[0]], 1, backend=backend)([2.0]) == [2.0]
    assert al.compile(lambda v: v, 2, backend=backend)([2.0, 3.0]) == [2.0, 3.0]
    for task in (f.value_and_grad, f.grad, f.hessian):
        with pytest.raises(TypeError, match="gives a list"):
            task([1.0, 2.0])


@backends
def test_a_function_of_very_many_numbers(backend):
    n = 3000
    f = al.compile(lambda v: al.dot(v[:1500], v[1500:]), n, backend=backend)
    X = rows_of(2, n)
    values, gradients = f.value_and_grad(X)
    assert values == pytest.approx((X[:, :1500] * X[:, 1500:]).sum(axis=1), rel=1e-11)
    assert (gradients == np.hstack([X[:, 1500:], X[:, :1500]])).all()


@backends
@pytest.mark.parametrize("count", [1, 7, 8, 9, 127, 128, 129, 1000])
def test_any_number_of_rows(backend, count):
    f = al.compile(smooth, 3, backend=backend)
    X = rows_of(count)
    assert f(X) == pytest.approx(X[:, 0] * X[:, 1] + X[:, 2] ** 2 + 0.5, rel=1e-14)


@backends
def test_the_same_bits_twice_and_whatever_the_other_rows(backend):
    f = al.compile(lambda v: al.tanh(v[0] * v[1]) + al.logsumexp(v), 3, backend=backend)
    X = rows_of(300)
    first = f.value_and_grad(X)
    for again in (f.value_and_grad(X), al.compile(f._f, 3, backend=backend).value_and_grad(X)):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
    assert [f(row.tolist()) for row in X[:20]] == first[0][:20].tolist()
    assert f(X[::-1].copy())[::-1].tobytes() == first[0].tobytes()


@backends
def test_recorded_values(backend):
    x, y, w = Value(2.0, "x"), Value(3.0, "y"), Value(5.0, "w")
    h = x * w
    z = h * h + y
    f = al.compile(z, inputs=[x, y], backend=backend)
    assert f.value_and_grad([3.0, 1.0]) == (226.0, [150.0, 1.0])
    assert al.compile(z, inputs=[y], backend=backend)([1.0]) == 101.0
    assert al.compile(z, inputs=[h], backend=backend).value_and_grad([2.0]) == (7.0, [4.0])
    assert al.compile([z, h], inputs=[x], backend=backend)([1.0]) == [28.0, 5.0]
    assert al.compile(x, inputs=[x], backend=backend).value_and_grad([7.0]) == (7.0, [1.0])
    assert al.compile(z, inputs=[Value(1.0)], backend=backend).value_and_grad([7.0]) == (103.0, [0.0])
    with pytest.raises(ValueError, match="twice"):
        al.compile(z, inputs=[x, x], backend=backend)
    x.data = 7.0
    assert f([3.0, 1.0]) == 226.0


def test_what_it_is_can_be_read():
    f = al.compile(smooth, 3, backend="python")
    assert repr(f) == "<smooth of 3, compiled to python code>"
    assert str(f.program).startswith("%0 = input 0")
    assert f.python_source.startswith("def program(x):\n")
    assert "define" in f.llvm_ir and "al.mul" in f.llvm_ir


# ---- branches -------------------------------------------------------------------------------------------------------


@backends
@pytest.mark.parametrize("wrap", ["array", "list", "points"])
def test_rows_that_go_other_ways_are_right(backend, wrap):
    f = al.compile(branching, 3, backend=backend)
    X = rows_of(200)
    given = X if wrap == "array" else X.tolist()
    for _ in range(2):
        found = [f(row) for row in given] if wrap == "points" else f(given).tolist()
        assert found == by_branches(X.tolist())
    assert repr(f).endswith("3 ways>")
    values, gradients = f.value_and_grad(X)
    assert values.tolist() == by_branches(X.tolist())
    assert gradients.tolist() == [
        [z, 0.0, x] if x > y else [0.0, 1.0, 1.0] if z >= 0.0 else [1.0, -1.0, 0.0] for x, y, z in X.tolist()
    ]


@backends
def test_builtins_that_compare(backend):
    def f(v):
        low, *_, high = sorted(v)
        return max(v) - min(v) + (high - low) * 10.0

    X = rows_of(60)
    found = al.compile(f, 3, backend=backend)(X)
    assert found == pytest.approx(11.0 * (X.max(axis=1) - X.min(axis=1)), rel=1e-14)


@backends
def test_loops_as_long_as_the_numbers_say(backend):
    def halvings(v):
        x, steps = v[0], 0
        while x > 1.0:
            x, steps = x * 0.5, steps + 1
        return x + steps

    X = np.array([[0.5], [3.0], [100.0], [2.0**30], [1.0], [7.0], [100.0]])
    f = al.compile(halvings, 1, backend=backend)
    wanted = [halvings([Value(x)]).data for x in X[:, 0].tolist()]
    assert f(X).tolist() == wanted == f(X).tolist()
    assert f.grad(X)[:, 0].tolist() == [1.0, 0.25, 2.0**-7, 2.0**-30, 1.0, 0.125, 2.0**-7]


@backends
@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("first", [0.0, 1.0, 2.0, nan])
def test_comparisons_at_ties_and_with_nan_come_out_as_they_do(backend, sign, first):
    compare = {"<": lambda x, y: x < y, "<=": lambda x, y: x <= y, ">": lambda x, y: x > y, ">=": lambda x, y: x >= y}
    f = al.compile(lambda v: 10.0 + v[1] * 0.0 if compare[sign](v[0], 1.0) else 20.0, 2, backend=backend)
    points = [first, 0.0, 1.0, 2.0, nan, inf, -inf, math.nextafter(1.0, 2.0), math.nextafter(1.0, 0.0)]
    found = f([[x, 1.0] for x in points]).tolist()
    assert found == [10.0 if compare[sign](x, 1.0) else 20.0 for x in points]


@backends
def test_more_ways_than_are_kept(backend, monkeypatch):
    monkeypatch.setattr(compiled_function, "_MOST_TRACES", 4)
    f = al.compile(lambda v: sum(10**k for k, x in enumerate(v) if x > 0.0) + v[0] * 0.0, 4, backend=backend)
    X = np.array([[1.0 if k >> j & 1 else -1.0 for j in range(4)] for k in range(16)])
    wanted = [sum(10**j for j in range(4) if k >> j & 1) for k in range(16)]
    assert f(X).tolist() == wanted == f(X).tolist()
    assert repr(f).endswith("4 ways>")


@backends
def test_a_branch_may_be_an_error_instead(backend):
    f = al.compile(branching, 3, backend=backend, guards="error")
    assert f([2.0, 1.0, 3.0]) == 6.0
    line = branching.__code__.co_firstlineno + 1
    for rows in ([1.0, 2.0, 3.0], [[2.0, 1.0, 3.0], [1.0, 2.0, 3.0]]):
        with pytest.raises(BranchError, match=rf"test_compiler_function\.py:{line}.*False for the row \[1\.0, 2\.0"):
            f(rows)
    assert f([5.0, 1.0, 3.0]) == 15.0


def nearly_equal():
    """Return a point where native exp and Python's differ, and a number that only one of them reaches."""
    X = np.random.default_rng(0).uniform(0.0, 5.0, (4000, 1))
    found = al.compile(lambda v: al.exp(v[0]), 1)(X)
    for x, y in zip(X[:, 0].tolist(), found.tolist(), strict=True):
        if y != math.exp(x):
            return x, max(y, math.exp(x))
    pytest.skip("native exp and Python's agree everywhere")


@pytest.mark.parametrize("guards", ["retrace", "error"])
@pytest.mark.parametrize("other", [1.0, nan])
def test_a_comparison_that_hangs_on_the_last_digit_is_pythons(guards, other):
    x, edge = nearly_equal()

    def f(v):
        return 2.0 * v[0] + v[1] * 0.0 if al.exp(v[0]) >= edge else 3.0 * v[0] + v[1] * 0.0

    compiled = al.compile(f, 2, guards=guards)
    first = x if guards == "error" else 0.0
    compiled([first, 1.0])
    wanted = [f(row) for row in ([x, other], [x, 1.0])]
    np.testing.assert_allclose(compiled([x, other]), wanted[0], rtol=1e-15)
    np.testing.assert_allclose(compiled([[x, other], [x, other], [x, 1.0]]), [wanted[0], *wanted], rtol=1e-15)


@backends
def test_reading_a_number_is_refused_when_it_is_called(backend):
    f = al.compile(lambda v: v[0] * v[0].data, 1, backend=backend)
    with pytest.raises(al.TraceError, match=r"test_compiler_function\.py:\d+"):
        f([1.0])
    g = al.compile(lambda v: 1 // 0, 1, backend=backend)
    with pytest.raises(ZeroDivisionError):
        g([1.0])


# ---- operations of one's own ----------------------------------------------------------------------------------------

cube = al.Op("cube", "x³", lambda x: x * x * x, lambda z, x: (3.0 * al.square(x),))


def with_cube(v):
    return cube(v[0]) + v[1]


@backends
def test_python_is_called_for_operations_of_ones_own(backend):
    f = al.compile(with_cube, 2, backend=backend)
    X = rows_of(50, 2)
    values, gradients = f.value_and_grad(X)
    assert values == pytest.approx(X[:, 0] ** 3 + X[:, 1], rel=1e-14)
    assert gradients[:, 0] == pytest.approx(3.0 * X[:, 0] ** 2, rel=1e-14)
    g = al.compile(lambda v: al.lgamma(v[0]) + al.polygamma(2.0, v[1]), 2, backend=backend)
    for row in abs(X[:5]).tolist():
        assert g(row) == al.lgamma(row[0]) + al.polygamma(2.0, row[1])


@backends
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_what_a_rule_raises_reaches_the_caller(backend, error):
    def value(x):
        if x > 5.0:
            raise error
        return x

    op = al.Op("strict", "strict", value, lambda z, x: (1.0,))
    f = al.compile(lambda v: op(v[0]) * 2.0, 1, backend=backend)
    assert f([1.0]) == 2.0
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            f([[1.0], [9.0], [2.0]])
        assert caught.value is error
        assert f([3.0]) == 6.0  # and is not raised again


@backends
def test_a_rule_must_give_a_number(backend):
    op = al.Op("text", "text", lambda x: "text" if x > 5.0 else x, lambda z, x: (1.0,))
    f = al.compile(lambda v: op(v[0]), 1, backend=backend)
    assert f([1.0]) == 1.0
    with pytest.raises(TypeError):
        f([9.0])


# ---- pickles --------------------------------------------------------------------------------------------------------


@backends
def test_pickles(backend):
    X = rows_of(30)
    f = al.compile(branching, 3, backend=backend)
    f(X[:1])
    again = pickle.loads(pickle.dumps(f))
    assert repr(again).startswith("<branching of 3") and again.backend == backend
    assert again(X).tolist() == f(X).tolist()
    g = al.compile(lambda v: al.tanh(v[0]) * v[1], 3, backend=backend)  # a lambda: its program is pickled
    assert pickle.loads(pickle.dumps(g)).value_and_grad(X)[1].tobytes() == g.value_and_grad(X)[1].tobytes()
    h = al.compile(lambda v: v[0] if v[0] > v[1] else v[1], 3, backend=backend, guards="retrace")
    assert h([2.0, 1.0, 0.0]) == 2.0
    restored = pickle.loads(pickle.dumps(h))
    assert restored([5.0, 1.0, 0.0]) == 5.0
    with pytest.raises(BranchError, match="another way"):
        restored([1.0, 5.0, 0.0])


def test_an_operation_of_ones_own_is_pickled_with_a_function_that_can_be_found():
    f = al.compile(with_cube, 2)
    f([1.0, 2.0])
    assert pickle.loads(pickle.dumps(f))([2.0, 1.0]) == 9.0
    with pytest.raises(TypeError, match="can't be saved"):
        pickle.dumps(al.compile(lambda v: cube(v[0]), 1))


def child(program, *args, **environment):
    """Run a program in another process, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *args], capture_output=True, text=True,
        timeout=120, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_pickle_is_read_in_another_process(tmp_path):
    f = al.compile(lambda v: al.tanh(v[0] * v[1]) if v[0] > 0.0 else al.sin(v[2]), 3)
    X = rows_of(10)
    wanted = f.value_and_grad(X)
    (tmp_path / "f.pickle").write_bytes(pickle.dumps((f, X)))
    out = child(
        """
        import pickle, sys
        f, X = pickle.load(open(sys.argv[1], "rb"))
        values, gradients = f.value_and_grad(X)
        print(values.tobytes().hex(), gradients.tobytes().hex())
        """,
        str(tmp_path / "f.pickle"),
    )
    assert out.split() == [part.tobytes().hex() for part in wanted]


def test_saved_and_loaded(tmp_path):
    f = al.compile(branching, 3)
    X = rows_of(30)
    values = f(X)
    f.save(tmp_path / "f.json")
    for backend in ("native", "python"):
        assert CompiledFunction.load(tmp_path / "f.json", backend=backend)(X).tolist() == values.tolist()
    text = (tmp_path / "f.json").read_text()
    for damaged in (text[:-10], text.replace("mul", "mull"), "", text.replace('"n":3', '"n":2')):
        (tmp_path / "damaged.json").write_text(damaged)
        with pytest.raises(ValueError):
            CompiledFunction.load(tmp_path / "damaged.json")
    with pytest.raises(OSError):
        CompiledFunction.load(tmp_path / "absent.json")


# ---- threads --------------------------------------------------------------------------------------------------------


@backends
def test_one_function_from_eight_threads(backend):
    f = al.compile(branching, 3, backend=backend)
    batches = [rows_of(50 + 17 * k, seed=k) for k in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for X, (values, gradients) in zip(batches, threads.map(f.value_and_grad, batches), strict=True):
            assert values.tolist() == by_branches(X.tolist())
            assert gradients.shape == X.shape
        for X, values in zip(batches * 5, threads.map(f, batches * 5), strict=True):
            assert values.tolist() == by_branches(X.tolist())


def test_compiling_in_two_threads_leaves_the_garbage_collector_as_it_was():
    import gc

    before = gc.get_threshold()
    begun, go_on = threading.Barrier(2), threading.Event()

    def first(v):
        begun.wait(10)
        go_on.wait(10)
        return v[0]

    def second(v):
        begun.wait(10)
        return v[0]

    one = threading.Thread(target=lambda: al.compile(first, 1, backend="python")([1.0]))
    one.start()
    al.compile(second, 1, backend="python")([1.0])
    go_on.set()
    one.join()
    assert gc.get_threshold() == before


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_two_functions_run_side_by_side():
    functions = [al.compile(lambda v, k=k: al.tanh(v[0] * v[1] + k) * v[2], 3) for k in (1.0, 2.0)]
    X = rows_of(1_500_000)
    for f in functions:
        f(X[:10])

    def busy(f):
        start = perf_counter()
        f(X)
        return perf_counter() - start

    def together():
        start = perf_counter()
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(busy, functions))
        return perf_counter() - start

    ratios = []
    for _ in range(6):  # other programs may have the other core for a while
        ratios.append(together() / sum(map(busy, functions)))
        if ratios[-1] < 0.8:
            return
    ticks = []
    thread = threading.Thread(target=busy, args=(functions[0],))
    thread.start()
    while thread.is_alive():
        ticks.append(perf_counter())
    assert len(ticks) > 100, ratios  # at least Python goes on meanwhile


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal")
def test_ctrl_c_is_not_swallowed():
    f = al.compile(lambda v: al.tanh(v[0]), 1)
    X = rows_of(20_000, 1)
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            f(X)


# ---- without the extra, and the cache -------------------------------------------------------------------------------


def test_without_the_extra_python_takes_its_place(monkeypatch):
    monkeypatch.setattr(compiled_function, "missing", lambda: "llvmlite")
    with pytest.warns(UserWarning, match=r"autograd_lite\[compile\]") as caught:
        f = al.compile(branching, 3)
    assert caught[0].filename == __file__
    assert f.backend == "python" and f([2.0, 1.0, 3.0]) == 6.0
    assert f([[2.0, 1.0, 3.0], [1.0, 2.0, 3.0]]) == [6.0, 5.0]
    assert f.value_and_grad([[2.0, 1.0, 3.0]]) == ([6.0], [[3.0, 0.0, 2.0]])
    assert f([]) == []
    with pytest.raises(ImportError, match=r"llvmlite is not installed; pip install 'autograd_lite\[compile\]'"):
        al.compile(branching, 3, backend="native")
    with pytest.raises(ImportError, match="extra"):
        _ = f.llvm_ir


def test_what_is_missing_is_found_out(monkeypatch):
    assert native.missing() is None
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert native.missing() == "llvmlite"


CACHED = """
import sys
import autograd_lite as al
from autograd_lite.compiler import native
f = al.compile(lambda v: al.exp(v[0]) * v[1], 2)
print(f([0.0, 3.0]), *(machine.from_cache for machine in native._machines.values()))
"""


def test_machine_code_is_kept_and_what_is_damaged_is_made_anew(tmp_path):
    folder = tmp_path / "new" / "cache"
    assert child(CACHED, AUTOGRAD_LITE_CACHE=str(folder)).split() == ["3.0", "False"]
    (file,) = folder.iterdir()
    assert child(CACHED, AUTOGRAD_LITE_CACHE=str(folder)).split() == ["3.0", "True"]
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole[:32], b"x" + whole[1:], whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(damaged)
        assert native._read(file) is None
    assert child(CACHED, AUTOGRAD_LITE_CACHE=str(folder)).split() == ["3.0", "False"]
    assert child(CACHED, AUTOGRAD_LITE_CACHE=str(folder)).split() == ["3.0", "True"]
    assert [each.name for each in folder.iterdir()] == [file.name]


def test_a_cache_that_can_not_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", "/proc/none"):
        assert child(CACHED, AUTOGRAD_LITE_CACHE=str(folder)).split() == ["3.0", "False"]
    native._write(tmp_path / "file" / "below", b"code")
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.mark.skipif(sys.platform == "win32", reason="homes are found otherwise there")
def test_a_user_without_a_home_compiles_without_a_cache(monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    for name in ("AUTOGRAD_LITE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr(native, "_machines", {})
    assert al.compile(lambda v: al.sin(v[0]) * v[0], 1, backend="native")([0.0]) == 0.0


def test_code_that_another_version_kept_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOGRAD_LITE_CACHE", str(tmp_path))
    found = []
    for fingerprint in (b"one", b"other", b"", b"one"):  # none where the sources can't be read: nothing is kept then
        monkeypatch.setattr(native, "_machines", {})
        monkeypatch.setattr(native, "fingerprint", lambda this=fingerprint: this)
        assert al.compile(lambda v: al.exp(v[0]), 1, backend="native")([0.0]) == 1.0
        (machine,) = native._machines.values()
        found.append((machine.from_cache, len(list(tmp_path.iterdir()))))
    assert found == [(False, 1), (False, 2), (False, 2), (True, 2)]


def test_several_processes_may_write_at_once(tmp_path):
    start = [
        subprocess.Popen(
            [sys.executable, "-c", CACHED], env={**os.environ, "AUTOGRAD_LITE_CACHE": str(tmp_path)},
            stdout=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    assert [process.communicate(timeout=120)[0].split()[0] for process in start] == ["3.0"] * 4
    (file,) = tmp_path.iterdir()
    assert native._read(file)


# ---- nothing is read or written beyond the buffers ------------------------------------------------------------------

GUARDED = """
import ctypes, mmap, sys
import numpy as np
import autograd_lite as al
import nn

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
PAGE, kept = mmap.PAGESIZE, []

def guarded(shape, dtype=np.float64):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = -(-size // PAGE) + 2
    memory = mmap.mmap(-1, pages * PAGE)
    start = np.frombuffer(memory, dtype=np.uint8).ctypes.data
    for page in (0, pages - 1):
        assert libc.mprotect(start + page * PAGE, PAGE, 0) == 0
    kept.append(memory)
    at = (pages - 1) * PAGE - size
    return np.frombuffer(memory, dtype=dtype, count=int(np.prod(shape)), offset=at).reshape(shape)

empty, zeros, array, ascontiguous = np.empty, np.zeros, np.array, np.ascontiguousarray

def guarded_empty(shape, dtype=np.float64, **_):
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return guarded(shape, dtype) if all(shape) else empty(shape, dtype)

def guarded_zeros(shape, dtype=np.float64, **_):
    result = guarded_empty(shape, dtype)
    result[...] = 0
    return result

def guarded_array(x, dtype=None, **_):
    plain = array(x, dtype=dtype)
    if plain.dtype.kind not in "fi" or not plain.size or not plain.ndim:
        return plain
    result = guarded(plain.shape, plain.dtype)
    result[...] = plain
    return result

def guarded_concatenate(parts, **_):
    return guarded_array(concatenate(parts))

if sys.argv[1] == "beyond":  # the guard itself is tried
    x = guarded((3,))
    ctypes.c_double.from_address(x.ctypes.data + 24).value
concatenate = np.concatenate
np.empty, np.zeros, np.array, np.concatenate = guarded_empty, guarded_zeros, guarded_array, guarded_concatenate
rng = np.random.default_rng(0)

for width in range(1, 21):
    f = al.compile(lambda v: al.dot(v, v) + al.maxout(v) * v[0] if v[0] > 0.5 else al.sum(v), width)
    for rows in range(1, 21):
        X = guarded((rows, width))
        X[...] = rng.random((rows, width))
        wanted = [x @ x + x.max() * x[0] if x[0] > 0.5 else x.sum() for x in X]
        values, gradients = f.value_and_grad(X)
        np.testing.assert_allclose(values, wanted, rtol=1e-13)
        assert gradients.shape == (rows, width)
for width in (*range(1, 10), 16, 17, 20):
    for outputs in (1, 3):
        model = nn.MLP(width, [width % 5 + 1, outputs], al.tanh, seed=0)
        compiled = nn.compile(model, nn.losses.mse, nn.Adam(model.parameters(), lr=0.01))
        for rows in (1, 2, 7, 8, 9, 20):
            X = rng.random((rows, width))
            y = rng.random((rows, outputs)) if outputs > 1 else rng.random(rows)
            compiled.step(X, y, times=2)
            compiled.fit(X, y, epochs=2, batch_size=3, progress=False)
            compiled.predict(X)
print("whole", len(kept))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")
def test_nothing_is_read_or_written_beyond_the_buffers():
    beyond = subprocess.run([sys.executable, "-c", GUARDED, "beyond"], capture_output=True, timeout=60)
    assert beyond.returncode == -signal.SIGSEGV
    out = child(GUARDED, "within").split()
    assert out[0] == "whole" and int(out[1]) > 1000
