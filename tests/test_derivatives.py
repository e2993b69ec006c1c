"""Derivatives of functions: every form of argument, every nesting, up to third order, against closed forms."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Value

numbers = st.floats(-2.0, 2.0)
vectors = st.lists(numbers, min_size=3, max_size=3)


def close(expected, rel=1e-12):
    return pytest.approx(expected, rel=rel, abs=1e-12)


def rosenbrock(v):
    x, y = v
    return (1.0 - x) ** 2 + 100.0 * (y - x * x) ** 2


def curved(v):
    """A function of three numbers with no zero in its Hessian."""
    x, y, z = v
    return al.exp(x * y) + al.sin(y * z) * al.tanh(x + z) + al.logsumexp([x, y, x * z])


def vector_valued(v):
    x, y, z = v
    return [x * y, al.sin(z) + al.exp(x), al.atan2(y, 3.0 + z), z, 1.0]


def matrix_times(matrix, v):
    return [math.sumprod(row, v) if hasattr(math, "sumprod") else sum(map(operator.mul, row, v)) for row in matrix]


# gradients of recorded values


def test_gradients_of_a_recorded_value():
    x, w = Value(2.0), Value(3.0)
    assert al.gradients(x * w + x, [x, w]) == [4.0, 2.0]
    assert al.gradients(x * w + x, (w, x, w)) == [2.0, 4.0, 2.0]
    assert al.gradients(x * w, []) == []


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_with_respect_to_interior_nodes_and_the_root(create_graph):
    x = Value(2.0)
    a = x * x
    b = al.exp(a)
    y = a * b
    found = al.gradients(y, [x, a, b, y], create_graph)
    e4 = math.exp(4.0)
    assert [float(getattr(g, "data", g)) for g in found] == close([20.0 * e4, 5.0 * e4, 4.0, 1.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_is_not_reached_has_gradient_zero(create_graph):
    x, apart = Value(2.0), Value(3.0)
    later = x * apart
    y = x * x
    for g in al.gradients(y, [apart, later], create_graph):
        assert (g.data if create_graph else g) == 0.0
    assert al.gradients(Value(1.0), [x]) == [0.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_touch_no_grad(create_graph):
    x, w = Value(2.0), Value(3.0)
    a = x * w
    y = al.tanh(a) + a
    x.grad, w.grad, a.grad, y.grad = 0.1, 0.2, 0.3, 0.4
    al.gradients(y, [x, w, a, y], create_graph)
    assert (x.grad, w.grad, a.grad, y.grad) == (0.1, 0.2, 0.3, 0.4)


def test_gradients_are_floats_or_values_as_asked():
    x = Value(2.0)
    y = x * x * x
    (number,) = al.gradients(y, [x])
    (node,) = al.gradients(y, [x], create_graph=True)
    assert type(number) is float and type(node) is Value
    (second,) = al.gradients(node, [x], create_graph=True)
    (third,) = al.gradients(second, [x], create_graph=True)
    (fourth,) = al.gradients(third, [x])
    assert (number, node.data, second.data, third.data, fourth) == (12.0, 12.0, 12.0, 6.0, 0.0)


def test_a_gradient_with_a_graph_goes_on_in_a_larger_one():
    x = Value(2.0)
    (slope,) = al.gradients(x**3, [x], create_graph=True)
    penalty = slope * slope + x
    penalty.backward()
    assert x.grad == 2.0 * 12.0 * 12.0 + 1.0


def test_second_derivatives_between_different_leaves():
    x, w = Value(2.0), Value(3.0)
    dx, dw = al.gradients(x * x * w, [x, w], create_graph=True)
    assert al.gradients(dx, [x, w]) == [6.0, 4.0]
    assert al.gradients(dw, [x, w]) == [4.0, 0.0]


@pytest.mark.parametrize(
    ("y", "xs"), [(1.0, [Value(1.0)]), (Value(1.0), [1.0]), (Value(1.0), ["x"]), (None, [Value(1.0)])]
)
def test_gradients_relate_values(y, xs):
    with pytest.raises(TypeError, match="gradients relates Values"):
        al.gradients(y, xs)


@pytest.mark.parametrize("xs", [None, 1.0])
def test_gradients_want_a_list_of_values(xs):
    with pytest.raises(TypeError, match=r"Values|list"):
        al.gradients(Value(1.0), xs)


# grad and value_and_grad


def test_grad_of_one_number():
    assert al.grad(lambda x: x**3)(2.0) == 12.0
    assert al.grad(al.exp)(0.0) == 1.0
    assert al.value_and_grad(lambda x: x**3)(2) == (8.0, 12.0)


def test_grad_of_a_list():
    assert al.grad(rosenbrock)([1.0, 2.0]) == [-400.0, 200.0]
    assert al.value_and_grad(rosenbrock)((1.0, 2.0)) == (100.0, [-400.0, 200.0])
    assert al.grad(lambda m: m[0][0] * m[1][1] - m[0][1] * m[1][0])([[1.0, 2.0], [3.0, 4.0]]) == [
        [4.0, -3.0],
        [-2.0, 1.0],
    ]
    assert al.grad(lambda v: 1.0)([]) == []


def test_argnums():
    def f(x, v, y):
        return x * v[0] + v[1] * y

    at = (2.0, [3.0, 4.0], 5.0)
    assert al.grad(f)(*at) == 3.0
    assert al.grad(f, argnums=1)(*at) == [2.0, 5.0]
    assert al.grad(f, argnums=-1)(*at) == 4.0
    assert al.grad(f, argnums=(2, 0))(*at) == (4.0, 3.0)
    assert al.grad(f, argnums=[0, 1, 2])(*at) == (3.0, [2.0, 5.0], 4.0)
    assert al.grad(f, (1,))(*at) == ([2.0, 5.0],)
    assert al.value_and_grad(f, (0, 2))(*at) == (26.0, (3.0, 4.0))


def test_other_arguments_are_passed_on_as_they_are():
    def f(x, power, name):
        assert type(power) is int and name == "name"
        return x**power

    assert al.grad(f)(2.0, 3, "name") == 12.0


def test_constant_functions_have_gradient_zero():
    assert al.grad(lambda x: 5)(2.0) == 0.0
    assert al.value_and_grad(lambda x, y: x)(2.0, 3.0) == (2.0, 1.0)
    assert al.grad(lambda x, y: x, argnums=1)(2.0, 3.0) == 0.0
    assert al.grad(lambda v: 5.0)([1.0, 2.0]) == [0.0, 0.0]
    assert al.derivative(lambda x: 5.0, 2)(1.0) == 0.0
    assert al.hessian(lambda v: v[0] + 1.0, [1.0, 2.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert al.jacobian(lambda v: [v[0], 5.0], [1.0, 2.0]) == [[1.0, 0.0], [0.0, 0.0]]
    assert al.hvp(lambda v: 5.0, [1.0, 2.0], [1.0, 1.0]) == [0.0, 0.0]
    assert al.vjp(lambda v: [5.0], [1.0, 2.0], [1.0]) == [0.0, 0.0]
    assert al.jvp(lambda v: [5.0, v[1]], [1.0, 2.0], [1.0, 1.0]) == [0.0, 1.0]


def test_floats_in_floats_out():
    results = [
        al.grad(lambda x: x * x)(3.0), *al.value_and_grad(lambda x: x * x)(3.0), al.derivative(lambda x: x * x, 2)(3.0),
        *al.jacobian(lambda x: [x * x], 3.0)[0], al.hessian(lambda x: x * x, 3.0), al.hvp(lambda x: x * x, 3.0, 1.0),
        al.vjp(lambda x: x * x, 3.0, 1.0), al.jvp(lambda x: x * x, 3.0, 1.0),
        al.grad(lambda x: x * Value(6.0))(3.0), al.grad(lambda x: al.stop_gradient(x) * x)(6.0),
    ]  # fmt: skip
    assert {type(r) for r in results} == {float}
    assert results == [6.0, 9.0, 6.0, 2.0, 6.0, 2.0, 2.0, 6.0, 6.0, 6.0, 6.0]


def test_values_in_values_out():
    x = Value(2.0)
    value, slope = al.value_and_grad(lambda x: x**3)(x)
    assert (type(value), type(slope)) == (Value, Value)
    assert al.gradients(slope, [x]) == [12.0]
    assert al.gradients(value, [x]) == [12.0]
    assert x.grad == 0.0
    (row,) = al.jacobian(lambda v: [v[0] * v[1]], [x, 5.0])
    assert [d.data for d in row] == [5.0, 2.0]
    assert al.gradients(row[1], [x]) == [1.0]


def test_numpy_arrays_are_lists():
    assert al.grad(rosenbrock)(np.array([1.0, 2.0])) == [-400.0, 200.0]
    assert al.hessian(lambda v: v[0] * v[1], np.array([1.0, 2.0])) == [[0.0, 1.0], [1.0, 0.0]]
    assert al.hvp(lambda v: v[0] * v[1], np.array([1.0, 2.0]), np.array([1.0, 0.0])) == [0.0, 1.0]
    assert al.grad(lambda x: x * x)(np.float64(3.0)) == 6.0


# Higher orders, against closed forms

CLOSED_FORMS = {
    "x⁵": (lambda x: x**5, lambda x: [x**5, 5 * x**4, 20 * x**3, 60 * x**2]),
    "e²ˣ": (lambda x: al.exp(2 * x), lambda x: [2**n * math.exp(2 * x) for n in range(4)]),
    "sin": (al.sin, lambda x: [math.sin(x), math.cos(x), -math.sin(x), -math.cos(x)]),
    "log": (al.log, lambda x: [math.log(x), 1 / x, -1 / x**2, 2 / x**3]),
    "1/x": (lambda x: 1 / x, lambda x: [1 / x, -1 / x**2, 2 / x**3, -6 / x**4]),
    "√": (al.sqrt, lambda x: [x**0.5, 0.5 * x**-0.5, -0.25 * x**-1.5, 0.375 * x**-2.5]),
    "tanh": (
        al.tanh,
        lambda x: [
            (t := math.tanh(x)),
            (s := math.cosh(x) ** -2),
            -2 * t * s,
            s * (4 * t * t - 2 * s),
        ],
    ),
    "x·sin x": (
        lambda x: x * al.sin(x),
        lambda x: [
            x * math.sin(x),
            math.sin(x) + x * math.cos(x),
            2 * math.cos(x) - x * math.sin(x),
            -3 * math.sin(x) - x * math.cos(x),
        ],
    ),
    "xˣ": (
        lambda x: x**x,
        lambda x: [
            (p := x**x),
            p * (g := 1 + math.log(x)),
            p * (g * g + 1 / x),
            p * (g**3 + 3 * g / x - 1 / x**2),
        ],
    ),
    "σ": (
        al.sigmoid,
        lambda x: [
            (s := 1 / (1 + math.exp(-x))),
            s * (1 - s),
            s * (1 - s) * (1 - 2 * s),
            s * (1 - s) * (1 - 6 * s + 6 * s * s),
        ],
    ),
}


@pytest.mark.parametrize(("f", "forms"), CLOSED_FORMS.values(), ids=CLOSED_FORMS.keys())
@given(st.floats(0.2, 3.0))
def test_derivatives_up_to_the_third_order(f, forms, x):
    for n, expected in enumerate(forms(x)):
        assert al.derivative(f, n)(x) == close(expected), n
    nested = al.grad(al.grad(al.grad(f)))
    assert nested(x) == close(forms(x)[3])
    assert al.hessian(f, x) == close(forms(x)[2])
    assert al.grad(lambda x: al.hessian(f, x))(x) == close(forms(x)[3])
    assert al.hvp(f, x, 2.0) == close(2.0 * forms(x)[2])
    assert al.jvp(al.grad(f), x, 1.0) == close(forms(x)[2])
    assert al.vjp(al.derivative(f, 2), x, 1.0) == close(forms(x)[3])


def test_the_hessian_of_rosenbrock():
    assert al.hessian(rosenbrock, [1.5, 2.0]) == [[2.0 - 400.0 * 2.0 + 1200.0 * 2.25, -600.0], [-600.0, 200.0]]
    assert al.hessian(lambda x, y: x * x * y, 3.0, 2.0) == [[4.0, 6.0], [6.0, 0.0]]
    assert al.hessian(lambda v: v[0] ** 2, [3.0]) == [[2.0]]


def test_third_derivatives_of_a_function_of_a_list():
    cubes = al.jacobian(
        lambda v: [g for row in al.hessian(lambda u: u[0] ** 2 * u[1] ** 2, v) for g in row], [2.0, 3.0]
    )
    assert cubes == [[0.0, 12.0], [12.0, 8.0], [12.0, 8.0], [8.0, 0.0]]


@given(vectors)
def test_the_hessian_is_symmetric_and_agrees_with_its_products(v):
    matrix = al.hessian(curved, v)
    for i in range(3):
        assert matrix[i] == close([matrix[j][i] for j in range(3)])
        assert al.hvp(curved, v, [float(i == j) for j in range(3)]) == close(matrix[i])
    direction = [0.5, -1.0, 2.0]
    product = matrix_times(matrix, direction)
    assert al.hvp(curved, v, direction) == close(product, rel=1e-11)
    assert al.jvp(al.grad(curved), v, direction) == close(product, rel=1e-11)
    assert al.jacobian(al.grad(curved), v) == [close(row) for row in matrix]


# Forward and backward


@given(vectors, vectors, st.lists(numbers, min_size=5, max_size=5))
def test_forward_and_reverse_agree(v, tangent, cotangent):
    matrix = al.jacobian(vector_valued, v)
    forward, reverse = al.jvp(vector_valued, v, tangent), al.vjp(vector_valued, v, cotangent)
    assert forward == close(matrix_times(matrix, tangent))
    assert reverse == close(matrix_times(list(zip(*matrix, strict=True)), cotangent))
    along = [u * d for u, d in zip(cotangent, forward, strict=True)]
    assert sum(along) == close(sum(r * t for r, t in zip(reverse, tangent, strict=True)))


def test_the_jacobian_in_closed_form():
    x, y, z = 0.5, -1.5, 2.0
    r2 = y * y + (3.0 + z) ** 2
    expected = [
        [y, x, 0.0],
        [math.exp(x), 0.0, math.cos(z)],
        [0.0, (3.0 + z) / r2, -y / r2],
        [0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0],
    ]
    assert al.jacobian(vector_valued, [x, y, z]) == [close(row) for row in expected]
    assert al.jacobian(lambda x, y: (x * y, x), 2.0, 5.0) == [[5.0, 2.0], [1.0, 0.0]]
    assert al.jacobian(lambda x: (x, x * x), 3.0) == [[1.0], [6.0]]
    assert al.jacobian(lambda v: (x for x in v), [1.0, 2.0]) == [[1.0, 0.0], [0.0, 1.0]]
    assert al.jacobian(lambda v: [], [1.0]) == []


def test_products_with_vectors_of_scalar_functions():
    assert al.jvp(lambda x: x**3, 2.0, 10.0) == 120.0
    assert al.vjp(lambda x: x**3, 2.0, 10.0) == 120.0
    assert al.jvp(lambda v: v[0] * v[1], [2.0, 5.0], [1.0, 10.0]) == 25.0
    assert al.vjp(lambda v: v[0] * v[1], [2.0, 5.0], 3.0) == [15.0, 6.0]
    assert al.vjp(lambda x: [x, x * x], 2.0, [1.0, 10.0]) == 41.0
    assert al.jvp(lambda v: v, [2.0, 5.0], [1.0, 10.0]) == [1.0, 10.0]


# Derivatives within functions to differentiate

WITHIN = {
    "grad": lambda f, at=2.0: al.grad(f)(at),
    "grad of a list": lambda f, at=2.0: al.grad(lambda v: f(v[0]))([at])[0],
    "value_and_grad": lambda f, at=2.0: al.value_and_grad(f)(at)[1],
    "derivative": lambda f, at=2.0: al.derivative(f)(at),
    "jacobian": lambda f, at=2.0: al.jacobian(lambda y: [f(y)], at)[0][0],
    "vjp": lambda f, at=2.0: al.vjp(f, at, 1.0),
    "jvp": lambda f, at=2.0: al.jvp(f, at, 1.0),
    "hessian": lambda f, at=2.0: al.hessian(lambda y: y * f(y) / 2.0, at),
    "hvp": lambda f, at=2.0: al.hvp(lambda y: y * f(y) / 2.0, at, 1.0),
}
OUTSIDE = {name: WITHIN[name] for name in ("grad", "derivative", "vjp", "jvp")}
within = pytest.mark.parametrize("within", WITHIN.values(), ids=WITHIN.keys())
outside = pytest.mark.parametrize("outside", OUTSIDE.values(), ids=OUTSIDE.keys())


@within
@outside
def test_an_inner_derivative_depends_on_what_the_outer_one_varies(outside, within):
    assert outside(lambda x: x * within(lambda y: x * y)) == close(4.0)  # x · x, although the inner point is a float


@within
def test_a_derivative_depends_on_the_values_that_its_function_uses(within):
    w = Value(3.0, "w")
    slope = within(lambda x: w * x)
    assert slope == 3.0 and type(slope) is float  # floats give floats: it can't be mistaken for a part of a graph
    loss = (within(lambda x: w * x, Value(2.0)) - 1.0) ** 2  # as where a network's slope is part of its loss
    assert w.grad == 0.0
    loss.backward()
    assert w.grad == close(4.0)


@outside
def test_an_inner_derivative_at_a_point_that_the_outer_one_varies(outside):
    assert outside(lambda x: al.grad(lambda y: y * y * x)(x)) == close(8.0)  # of 2x²


def test_perturbations_are_not_confused():
    assert al.grad(lambda x: x * al.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert al.grad(lambda x: x * al.grad(lambda y: x + y)(x))(3.0) == 1.0
    assert al.grad(lambda x: x * al.grad(lambda y: x * y)(x))(3.0) == 6.0
    assert al.grad(lambda x: al.jvp(lambda y: x * y * y, x, 1.0))(3.0) == 12.0
    assert al.jvp(lambda x: al.jvp(lambda y: x * y * y, x, x), 3.0, 1.0) == 54.0  # d/dx 2x³


def test_an_argument_that_is_not_differentiated_may_be_an_outer_variable():
    assert al.grad(lambda x: x * al.grad(lambda y, z: y * z)(2.0, x))(3.0) == 6.0
    assert al.grad(lambda x: al.vjp(lambda y: y * y, 2.0, x))(3.0) == 4.0
    assert al.grad(lambda x: al.jvp(lambda y: y * y, 2.0, x))(3.0) == 4.0
    assert al.grad(lambda x: al.hvp(lambda y: y**3, 2.0, x))(3.0) == 12.0


def test_three_levels_each_seeing_the_others():
    def f(x):
        return al.grad(lambda y: al.grad(lambda z: x * x * y * y * z * z)(1.0))(1.0)  # 4x² by z and by y

    assert f(3.0) == 36.0
    assert al.grad(f)(3.0) == 24.0
    assert al.derivative(f, 2)(3.0) == 8.0


def test_an_inner_minimisation_step_can_be_differentiated():
    def after_a_step(rate):
        w = 1.0
        for _ in range(2):
            w = w - rate * al.grad(lambda w: w * w)(w)
        return w

    assert after_a_step(0.25) == 0.25
    assert al.grad(after_a_step)(0.25) == -2.0  # (1 − 2r)² has slope −4(1 − 2r)


# Bad input

TAKERS = {
    "grad": lambda f, x: al.grad(f)(x),
    "value_and_grad": lambda f, x: al.value_and_grad(f)(x),
    "derivative": lambda f, x: al.derivative(f)(x),
    "jacobian": lambda f, x: al.jacobian(f, x),
    "hessian": lambda f, x: al.hessian(f, x),
    "hvp": lambda f, x: al.hvp(f, x, 1.0),
    "vjp": lambda f, x: al.vjp(f, x, 1.0),
    "jvp": lambda f, x: al.jvp(f, x, 1.0),
}
taker = pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS.keys())


@taker
@pytest.mark.parametrize("bad", [3, None, "f", Value(1.0)], ids=repr)
def test_a_function_is_wanted(take, bad):
    with pytest.raises(TypeError, match="function is wanted"):
        take(bad, 1.0)


@taker
@pytest.mark.parametrize("bad", ["1", None, 1j, b"1", {"x": 1.0}, ["1"], [[None]]], ids=repr)
def test_a_number_to_differentiate_at_is_wanted(take, bad):
    with pytest.raises(TypeError, match="argument to differentiate must be a real number"):
        take(lambda x: x, bad)


@taker
@pytest.mark.parametrize("bad", ["1", None, 1j, {"x": 1.0}, [["1"]]], ids=repr)
def test_a_function_that_gives_no_number_is_told(take, bad):
    with pytest.raises(TypeError, match=r"function (gives must be a real number|that gives)"):
        take(lambda x: bad, 1.0)


@pytest.mark.parametrize("name", ["grad", "value_and_grad", "derivative", "hessian", "hvp"])
def test_a_function_of_one_result_is_wanted(name):
    with pytest.raises(TypeError, match=r"must be a real number.*list"):
        TAKERS[name](lambda x: [x], 1.0)


def test_a_jacobian_wants_a_list_of_results():
    with pytest.raises(TypeError, match="function that gives a list"):
        al.jacobian(lambda x: x, 1.0)


@pytest.mark.parametrize("argnums", [3, -4, (0, 3)])
def test_argnums_beyond_the_arguments(argnums):
    with pytest.raises(ValueError, match=r"argnums.*called with 2"):
        al.grad(lambda x, y: x, argnums)(1.0, 2.0)


@pytest.mark.parametrize("argnums", ["x", 1.5, None, ("x",), (0, 1.5)], ids=repr)
def test_argnums_are_whole_numbers(argnums):
    with pytest.raises(TypeError, match="argnums"):
        al.grad(lambda x, y: x, argnums)(1.0, 2.0)


@pytest.mark.parametrize("n", [-1, 1.0, "1", None, True], ids=repr)
def test_the_order_of_a_derivative_is_a_whole_number(n):
    with pytest.raises(ValueError, match="order of a derivative is a whole number"):
        al.derivative(al.exp, n)


@pytest.mark.parametrize("product", [al.hvp, al.jvp], ids=lambda f: f.__name__)
def test_a_vector_as_long_as_the_argument_is_wanted(product):
    with pytest.raises(ValueError, match="vector has 3 numbers, but 2 are wanted"):
        product(rosenbrock, [1.0, 2.0], [1.0, 2.0, 3.0])


def test_a_vector_as_long_as_the_result_is_wanted():
    with pytest.raises(ValueError, match="vector has 2 numbers, but 1 are wanted"):
        al.vjp(rosenbrock, [1.0, 2.0], [1.0, 2.0])


@pytest.mark.parametrize("product", [al.hvp, al.jvp, al.vjp], ids=lambda f: f.__name__)
@pytest.mark.parametrize("bad", ["1", "12", b"1", None, 1j, ["1"], {"v": 1.0}], ids=repr)
def test_a_vector_of_numbers_is_wanted(product, bad):
    with pytest.raises(TypeError, match="element of the vector must be a real number"):
        product(lambda x: x * x, 1.0, bad)


def test_an_error_in_the_function_comes_through_and_leaves_recording_as_it_was():
    def broken(x):
        raise KeyError("mine")

    with al.no_grad():
        with pytest.raises(KeyError, match="mine"):
            al.grad(broken)(1.0)
        assert (Value(1.0) * 2.0).op is None
    assert (Value(1.0) * 2.0).op is al.mul
