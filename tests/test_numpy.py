"""NumPy's scalars are numbers, and its functions work on object arrays of Values."""

import operator

import numpy as np
import pytest

import autograd_lite as al
from autograd_lite import Value

SCALARS = [np.float64, np.float32, np.float16, np.longdouble, np.int64, np.int8, np.uint8, np.bool_]
scalars = pytest.mark.parametrize("scalar", SCALARS, ids=lambda kind: kind.__name__)
SYMBOLS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow}

# NumPy's name for the operation on an object array, and ours
FUNCTIONS = {
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p",
    "sqrt": "sqrt", "cbrt": "cbrt", "square": "square", "reciprocal": "reciprocal",
    "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh", "arctanh": "atanh",
    "absolute": "abs", "negative": "neg", "positive": "pos", "floor": "floor", "ceil": "ceil",
}  # fmt: skip


def values(*numbers: float) -> np.ndarray:
    return np.array([Value(x) for x in numbers])


def data(array) -> list[float]:
    return [v.data for v in np.ravel(array)]


# Scalars


@scalars
def test_scalars_are_data(scalar):
    x = Value(scalar(1))
    assert x.data == 1.0 and type(x.data) is float
    x.data = scalar(0)
    assert x.data == 0.0 and type(x.data) is float
    x.backward(scalar(1))
    assert x.grad == 1.0 and type(x.grad) is float


@scalars
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_operators_with_scalars_on_both_sides(symbol, scalar):
    x = Value(3.0)
    for operands in ((x, scalar(1)), (scalar(1), x)):
        node = SYMBOLS[symbol](*operands)
        assert type(node) is Value
        assert node.parents == (x,)
        assert node.data == SYMBOLS[symbol](*(3.0 if v is x else 1.0 for v in operands))
        assert type(node.data) is float
        assert {type(d) for d in node.partials} == {float}
        assert {type(v) for v in node.operands} == {Value, float}


def test_a_scalar_on_the_left_records_the_same_graph():
    x = Value(3.0)
    assert (np.float64(2.0) * x).op is al.mul
    assert (np.float64(2.0) - x).operands == (2.0, x)
    assert (np.float32(2.0) / x).operands == (2.0, x)
    assert (np.int64(2) ** x).operands == (2.0, x)
    y = np.float64(2.0) * x * np.float32(0.5) + np.int64(1)
    y.backward()
    assert (y.data, x.grad) == (4.0, 1.0)


@scalars
def test_scalars_are_compared_with_data(scalar):
    x, one = Value(0.5), scalar(1)
    for answer in (x < one, x <= one, one > x, one >= x, not x > one, not one < x):
        assert answer
    assert not (x == one) and not (one == x) and x != one  # noqa: SIM201


@scalars
def test_scalars_are_operands_of_every_row(scalar):
    x, one = Value(3.0), scalar(1)
    assert al.tanh(one) == al.tanh(1.0) and type(al.tanh(one)) is float
    for node in (al.atan2(x, one), al.sum([x, one]), al.dot([x, x], [one, one]), al.affine([x], [one], x)):
        assert type(node.data) is float
        assert {type(d) for d in node.partials} == {float}


def test_a_complex_scalar_is_no_number():
    for call in (
        lambda: Value(np.complex128(1j)),
        lambda: Value(1.0) * np.complex64(1j),
        lambda: al.exp(np.complex64(1)),
    ):
        with pytest.raises(TypeError, match=r"must be a real number.*complex"):
            call()


# Functions on object arrays


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_arrays(name):
    a = values(0.25, 0.5, 0.75)
    result = getattr(np, name)(a)
    ours = al.TABLE[FUNCTIONS[name]]
    assert result.dtype == object and result.shape == (3,)
    assert data(result) == pytest.approx([ours(x) for x in (0.25, 0.5, 0.75)], rel=1e-15)
    for x, y in zip(a, result, strict=True):
        y.backward()
        assert x.grad == pytest.approx(al.grad(ours)(x.data), rel=1e-15)


def test_functions_of_arrays_beyond_one():
    assert data(np.arccosh(values(1.5, 2.0))) == [al.acosh(1.5), al.acosh(2.0)]


def test_functions_of_two_arrays():
    a, b = values(0.25, 2.0), values(1.0, 0.5)
    assert [v.op for v in np.hypot(a, b)] == [al.hypot] * 2
    assert [v.op for v in np.arctan2(a, b)] == [al.atan2] * 2
    assert [v.op for v in np.power(a, b)] == [al.pow] * 2
    assert [v.op for v in a**2] == [al.power] * 2
    assert list(np.maximum(a, b)) == [b[0], a[1]]
    assert list(np.minimum(a, b)) == [a[0], b[1]]
    assert list(a < b) == [True, False]
    assert list(a == b) == [False, False]


def test_operators_with_an_array_of_floats_on_the_left():
    x = Value(3.0)
    numbers = np.array([1.0, 2.0])
    assert data(numbers * x) == [3.0, 6.0]
    assert data(numbers - x) == [-2.0, -1.0]
    assert all(v.parents == (x,) for v in numbers / x)
    assert data(np.array(2.0) * x) == [6.0]
    assert data(numbers * values(3.0, 4.0)) == [3.0, 8.0]
    assert data(values(3.0, 4.0) * numbers) == [3.0, 8.0]


def test_a_matrix_times_values():
    X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    w = values(0.5, -1.0)
    y = X @ w
    assert data(y) == [-1.5, -2.5, -3.5]
    np.sum(np.tanh(y)).backward()
    expected = (1.0 - np.tanh([-1.5, -2.5, -3.5]) ** 2) @ X
    assert [v.grad for v in w] == pytest.approx(list(expected), rel=1e-13)
    assert data(w @ X.T) == [-1.5, -2.5, -3.5]
    assert np.dot(w, w).data == 1.25
    assert np.einsum("i,i", w, w).data == 1.25
    assert np.linalg.norm(w).data == pytest.approx(1.25**0.5)
    assert np.outer(w, w).shape == (2, 2)


def test_reductions_of_arrays():
    a = values(3.0, 1.0, 2.0)
    mean = np.mean(a)
    assert (np.sum(a).data, mean.data, np.prod(a).data, np.max(a), np.min(a)) == (6.0, 2.0, 6.0, a[0], a[1])
    mean.backward()
    assert [v.grad for v in a] == pytest.approx([1 / 3] * 3)
    assert data(np.cumsum(a)) == [3.0, 4.0, 6.0]
    assert list(np.sort(a)) == [a[1], a[2], a[0]]
    assert (np.argmax(a), np.argmin(a), list(np.argsort(a))) == (0, 1, [1, 2, 0])
    assert data(np.sum(a.reshape(3, 1) * a, axis=0)) == [18.0, 6.0, 12.0]


def test_arrays_are_sequences_of_operands():
    w = values(0.5, -1.0)
    numbers = np.array([2.0, 3.0])
    assert al.sum(w).data == -0.5
    assert al.dot(w, numbers).data == -2.0
    assert al.affine(w, numbers, w[0]).data == -1.5
    assert al.sum(numbers) == 5.0
    assert [p.data for p in al.softmax(w)] == al.softmax([0.5, -1.0])


def test_derivatives_of_functions_written_with_numpy():
    def f(v):
        return np.sum(np.tanh(np.array(v)) ** 2)

    assert al.grad(f)([0.5, 1.0]) == pytest.approx([2 * np.tanh(x) * (1 - np.tanh(x) ** 2) for x in (0.5, 1.0)])
    assert al.hessian(f, [0.5, 1.0])[0][1] == 0.0


# What is refused


@pytest.mark.parametrize(
    "array", [np.array([1.0, 2.0]), np.array([1.0]), np.array(1.0), np.array([])], ids=lambda a: f"shape {a.shape}"
)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_an_array_on_the_right_of_a_value_is_refused(symbol, array):
    with pytest.raises(TypeError, match=r"must be a real number.*ndarray.*dtype=object"):
        SYMBOLS[symbol](Value(1.0), array)


def test_an_array_is_no_number():
    array = np.array([1.0])
    for call in (
        lambda: Value(array),
        lambda: Value(np.array(1.0)),
        lambda: setattr(Value(1.0), "data", array),
        lambda: al.tanh(array),
        lambda: al.atan2(Value(1.0), array),
        lambda: al.sum([Value(1.0), array]),
        lambda: Value(1.0) < array,
        lambda: Value(1.0).backward(array),
    ):
        with pytest.raises(TypeError, match=r"must be a real number.*ndarray.*one element"):
            call()


def test_values_do_not_become_floats_behind_your_back():
    a = values(1.0, 2.0)
    for call in (
        lambda: a.astype(float),
        lambda: np.array(list(a), dtype=float),
        lambda: np.float64(a[0]),
        lambda: np.zeros(2).__setitem__(0, a[0]),
    ):
        with pytest.raises(TypeError, match=r"drop its gradient.*\.data"):
            call()
    assert np.array(list(a)).dtype == object
