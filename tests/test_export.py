"""Compiled functions as functions of jax and torch, against our own, each library skipped where it is missing."""

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest

import autograd_lite as al
from autograd_lite.compiler import CompiledFunction, compile
from autograd_lite.compiler.export import to_jax, to_torch
from autograd_lite.compiler.primitives import detach, log_of_sum, shifted_exp
from autograd_lite.compiler.program import Builder, Program
from autograd_lite.compiler.python_source import function_of

RTOL = 1e-12
CONSTANTS = {"power": 2.5, "polygamma": 2.0, "gaussian": 0.5, "pow_partial": 1.0}
POSITIVE = {"power", "pow", "pow_partial", "log", "log2", "log10", "sqrt", "nonnegative", "clamp"}
INSIDE = {"asin", "acos", "atanh", "one_minus_square"}
ROWS = {**al.TABLE, "detach": detach, "shifted_exp": shifted_exp}


def _jax() -> Any:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    jax.config.update("jax_enable_x64", True)
    return SimpleNamespace(
        export=to_jax,
        method=CompiledFunction.to_jax,
        array=jax.numpy.asarray,
        vmap=jax.vmap,
        grad=jax.grad,
        jit=jax.jit,
    )


def _torch() -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def array(numbers: Any) -> Any:
        return torch.tensor(numbers, dtype=torch.float64)

    return SimpleNamespace(
        export=to_torch, method=CompiledFunction.to_torch, array=array, vmap=torch.func.vmap, grad=torch.func.grad,
        jit=lambda f: f,
    )  # fmt: skip


@pytest.fixture(params=[_jax, _torch], ids=["jax", "torch"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param()


def close(found: Any, wanted: Any, atol: float = 1e-14) -> bool:
    if isinstance(wanted, (list, tuple)):
        return len(found) == len(wanted) and all(close(f, w, atol) for f, w in zip(found, wanted, strict=True))
    return math.isclose(float(found), wanted, rel_tol=RTOL, abs_tol=atol) or (wanted != wanted and found != found)


def program_of(name: str) -> tuple[Program, Program, int]:
    """Return the program of one operation on inputs, that of it with its gradient, and how many inputs there are."""
    op, build, inputs, operands = ROWS[name], Builder(), [], []
    for domain in op.domain:
        if domain.constant:
            operands.append(build.constant(CONSTANTS[name]))
        else:
            new = [build.input(len(inputs) + k) for k in range(3 if domain.many else 1)]
            inputs += new
            operands.append(tuple(new) if domain.many else new[0])
    y = build.apply(op, tuple(operands))
    value = build.program([y])
    return value, build.program([y, *build.gradient(y, inputs)]), len(inputs)


def points_of(name: str, n: int) -> list[list[float]]:
    rng = random.Random(name)
    low, high = (-0.9, 0.9) if name in INSIDE else (1.1, 3.0) if name == "acosh" else (0.1, 3.0)
    low = low if name in POSITIVE | {"acosh"} | INSIDE else -0.6 if name == "log1p" else -2.9
    return [[rng.uniform(low, high) for _ in range(n)] for _ in range(12)]


@pytest.mark.parametrize("name", ROWS)
def test_every_operation_has_our_value_and_our_gradient(name: str, library: Any) -> None:
    value, gradient, n = program_of(name)
    function, ours = library.export(value, n), function_of(gradient)
    points = points_of(name, n)
    wanted = [ours(point) for point in points]
    batch = library.array(points)
    assert close(library.jit(library.vmap(function))(batch), [row[0] for row in wanted])
    both = library.jit(library.vmap(library.export(gradient, n, "gradient")))(batch)
    assert close(both[0], [row[0] for row in wanted]) and close(both[1], [row[1:] for row in wanted])
    if name != "shifted_exp":  # its rule holds m fixed
        assert close(library.jit(library.vmap(library.grad(function)))(batch), [row[1:] for row in wanted])
    assert close([function(library.array(point)) for point in points[:3]], [row[0] for row in wanted[:3]])


def test_the_last_step_of_a_long_logsumexp_keeps_its_tail(library: Any) -> None:
    build = Builder()
    m, es = build.input(0), tuple(build.input(k) for k in (1, 2, 3))
    program = build.program([build.apply(log_of_sum, (m, es))])
    points = [[0.0, 1e-30, 1.0, 1e-40], [2.0, 1.0, 1.0, 0.5], [math.inf, 1.0, 0.0, 0.0], [math.nan] * 4]
    wanted = [function_of(program)(point)[0] for point in points]
    assert close(library.vmap(library.export(program))(library.array(points)), wanted, atol=0.0)


EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, -3.5, 1e-10, 40.0, -40.0, 800.0, -800.0, 1e200, math.inf, -math.inf]
EDGES.append(math.nan)
CANCELLING = {"sum", "mean", "dot", "affine"}  # rounded as the library does


@pytest.mark.parametrize("name", sorted(ROWS.keys() - CANCELLING))
def test_values_at_the_edges_are_ours(name: str, library: Any) -> None:
    value, _, n = program_of(name)
    rng = random.Random(name)
    points = [[x] for x in EDGES] if n == 1 else [[rng.choice(EDGES) for _ in range(n)] for _ in range(150)]
    found = library.jit(library.vmap(library.export(value, n)))(library.array(points))
    for point, y in zip(points, found, strict=True):
        (wanted,) = function_of(value)(point)
        assert close(y, wanted, atol=1e-300), f"{name} at {point}: {float(y)} instead of {wanted}"


def test_gradients_survive_where_the_branch_not_taken_overflows(library: Any) -> None:
    for f in (al.silu, al.gelu, al.softplus, al.sigmoid, al.logsigmoid, al.sech2):
        compiled = compile(lambda v, f=f: f(v[0]), 1, backend="python")
        for x in (800.0, -800.0, 30.0, -30.0, 1e5, 0.25):
            found = library.grad(library.method(compiled))(library.array([x]))
            assert close(found, compiled.grad([x]), atol=0.0 if abs(x) < 700.0 else 1e-300), (f, x)
    for f in (al.elu, al.selu, al.softsign):
        compiled = compile(lambda v, f=f: f(v[0]), 1, backend="python")
        for x in (800.0, -800.0, 30.0, -30.0, 1e200, 0.25):
            assert close(library.grad(library.method(compiled))(library.array([x])), compiled.grad([x])), (f, x)


def test_ties_and_bounds_have_our_gradient_where_the_library_lets_them(library: Any) -> None:
    for f, point in (
        (lambda v: al.maximum(v[0], v[1]), [1.0, 1.0]),
        (lambda v: al.relu(v[0]) + al.elu(v[1]), [0.0, 0.0]),
        (lambda v: al.clamp(v[0], -1.0, v[1]), [2.0, 2.0]),
        (lambda v: al.hypot(v[0], v[1]), [0.0, 0.0]),
        (lambda v: al.hypot(v[0], v[1]), [1e200, 1e200]),
        (lambda v: al.maxout(v), [3.0, 3.0]),
        (lambda v: al.prod(v), [0.0, 2.0]),
        (lambda v: al.logsumexp(v), [0.0, -40.0]),
        (lambda v: al.softplus(v[0]) + al.sigmoid(v[1]), [0.0, -0.0]),
    ):
        compiled = compile(f, 2, backend="python")
        assert close(library.grad(library.method(compiled))(library.array(point)), compiled.grad(point), atol=0.0)


# ---- whole functions


FORMS = [
    lambda x, y, z: al.tanh(x + y),
    lambda x, y, z: al.sin(x * y),
    lambda x, y, z: 0.5 * x - 0.3 * y,
    lambda x, y, z: al.sigmoid(x) * y,
    lambda x, y, z: x / (1.5 + al.square(al.tanh(y))),
    lambda x, y, z: al.logsumexp([x, y, z]) - 1.0,
    lambda x, y, z: al.softmax([x, y, z])[1],
    lambda x, y, z: al.dot([x, y], [y, z]) / (2.0 + al.square(z)),
    lambda x, y, z: al.hypot(1.0 + al.square(x), y) - 1.0,
    lambda x, y, z: al.erf(x) + al.atan2(y, 2.0 + al.cos(z)),
    lambda x, y, z: al.where(al.step(x), al.exp(-al.square(x)), y),
    lambda x, y, z: (1.5 + al.sin(x)) ** al.cos(y),
]


def random_function(seed: int) -> Any:
    """Return a function of five numbers, sixty forms drawn at random, whose results stay of moderate size."""

    def f(v: list[Any]) -> Any:
        rng = random.Random(seed)
        nodes = list(v)
        for _ in range(60):
            y = rng.choice(FORMS)(*(rng.choice(nodes) for _ in range(3)))
            nodes.append(al.tanh(y) if rng.random() < 0.5 else y)
        return al.mean(nodes)

    return f


@pytest.mark.parametrize("seed", range(4))
def test_random_functions_agree(seed: int, library: Any) -> None:
    compiled = compile(random_function(seed), 5, backend="python")
    rng = random.Random(seed)
    points = [[rng.uniform(-2.0, 2.0) for _ in range(5)] for _ in range(6)]
    values, gradients = zip(*[compiled.value_and_grad(point) for point in points], strict=True)
    f, batch = library.method(compiled), library.array(points)
    assert close(library.jit(library.vmap(f))(batch), values)
    assert close(library.jit(library.vmap(library.grad(f)))(batch), gradients)
    both = library.jit(library.vmap(library.method(compiled, gradient=True)))(batch)
    assert close(both[0], values) and close(both[1], gradients)


def test_long_sequences_and_recorded_weights(library: Any) -> None:
    rng = random.Random(0)
    weights = [[rng.gauss(0.0, 0.3) for _ in range(40)] for _ in range(40)]

    def f(v: list[Any]) -> Any:
        hidden = [al.tanh(al.affine(w, v, 0.1)) for w in weights]
        return al.logsumexp(hidden) + al.maxout(hidden) - hidden[3] + al.dot(v[::-1], v)

    compiled = compile(f, 40, backend="python")
    point = [rng.gauss(0.0, 1.0) for _ in range(40)]
    value, gradient = compiled.value_and_grad(point)
    x = library.array(point)
    assert close(library.method(compiled)(x), value)
    assert close(library.grad(library.method(compiled))(x), gradient)
    assert close(library.method(compiled, gradient=True)(x), (value, gradient))


@pytest.mark.parametrize("width", [5, 40])
def test_the_largest_is_found_where_code_computes_it_anew(width: int, library: Any) -> None:
    def f(v: list[Any]) -> Any:
        nodes = [al.sin(v[k % 5] * (1.0 + 0.05 * k) + v[(k + 1) % 5] * v[k % 3]) * v[(k + 2) % 5] for k in range(width)]
        return al.maxout(nodes) * al.logsumexp(nodes) + al.square(nodes[1]) * al.softmax(nodes)[2]

    compiled = compile(f, 5, backend="python")
    rng = random.Random(width)
    points = [[rng.uniform(-2.0, 2.0) for _ in range(5)] for _ in range(100)]
    values, gradients = zip(*[compiled.value_and_grad(point) for point in points], strict=True)
    for gradient in (False, True):
        g = library.method(compiled, gradient=True) if gradient else library.method(compiled)
        slopes = (lambda x, g=g: g(x)[1]) if gradient else library.grad(g)
        assert close(library.jit(library.vmap(slopes))(library.array(points)), gradients, atol=1e-13)
    assert close(library.jit(library.vmap(library.method(compiled)))(library.array(points)), values)


def test_the_result_has_the_form_of_what_the_function_gives(library: Any) -> None:
    x = library.array([2.0, 3.0])
    for f, shape in ((lambda v: v[0] * v[1], ()), (lambda v: [v[0], v[1], 4.0], (3,)), (lambda v: [v[0]], (1,))):
        result = library.method(compile(f, 2, backend="python"))(x)
        assert tuple(result.shape) == shape and "float64" in str(result.dtype)
    value, gradient = library.method(compile(lambda v: v[0] * v[0], 2, backend="python"), gradient=True)(x)
    assert tuple(value.shape) == () and gradient.tolist() == [4.0, 0.0]


def test_second_derivatives_and_stopped_gradients(library: Any) -> None:
    compiled = compile(lambda v: al.stop_gradient(v[0]) * v[0] * v[0], 1, backend="python")
    f = library.method(compiled)
    slope = library.grad(f)
    assert slope(library.array([3.0])).tolist() == compiled.grad([3.0]) == [18.0]
    assert library.grad(lambda x: slope(x)[0])(library.array([3.0])).tolist() == [6.0]


# ---- what is refused


def test_other_shapes_and_kinds_are_refused(library: Any) -> None:
    f = library.method(compile(lambda v: v[0] * v[1], 2, backend="python"))
    for wrong in ([1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], 1.0):
        with pytest.raises(ValueError, match=r"give one array of shape \(2,\), not \("):
            f(library.array(wrong))
    build = Builder()
    loose = library.export(build.program([build.input(1)]))
    assert float(loose(library.array([1.0, 2.0, 3.0]))) == 2.0
    with pytest.raises(ValueError, match="2 or more"):
        loose(library.array([1.0]))


def test_what_is_not_the_tables_is_refused_by_name(library: Any) -> None:
    tanh = al.Op("tanh_of_mine", "t", value=math.tanh, partials=lambda z, x: (al.sech2(x),))
    with pytest.raises(NotImplementedError, match="tanh_of_mine"):
        library.method(compile(lambda v: tanh(v[0]), 1, backend="python"))
    build = Builder()
    varying = library.export(build.program([build.apply(al.TABLE["gaussian"], (build.input(0), build.input(1)))]))
    with pytest.raises(NotImplementedError, match="gaussian"):
        varying(library.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="result must be"):
        library.export(build.program([build.input(0)]), result="numbers")


def test_branches_and_gradients_of_lists_are_refused(library: Any) -> None:
    with pytest.raises(ValueError, match=r"test_export\.py:\d+"):
        library.method(compile(lambda v: v[0] if v[0] > 0.0 else -v[0], 1, backend="python"))
    with pytest.raises(TypeError, match="gives a list"):
        library.method(compile(lambda v: [v[0]], 1, backend="python"), gradient=True)


def test_jax_must_compute_with_64_bits() -> None:
    library = _jax()
    jax = pytest.importorskip("jax")
    f = library.method(compile(lambda v: v[0], 1, backend="python"))
    try:
        jax.config.update("jax_enable_x64", False)
        with pytest.raises(ValueError, match=r'jax\.config\.update\("jax_enable_x64", True\)'):
            f(jax.numpy.ones(1))
    finally:
        jax.config.update("jax_enable_x64", True)


def test_torch_takes_float32_and_its_own_backward() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    f = compile(lambda v: al.exp(v[0]) * v[1], 2, backend="python").to_torch()
    x = torch.tensor([0.5, 2.0], requires_grad=True)
    y = f(x)
    y.backward()
    assert y.dtype == torch.float64 and close(x.grad.double(), [2.0 * math.exp(0.5), math.exp(0.5)], atol=1e-6)
    with pytest.raises(TypeError, match="complex"):
        f(torch.zeros(2, dtype=torch.complex128))


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_missing_library_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, name, None)
    compiled = compile(lambda v: v[0], 1, backend="python")
    with pytest.raises(ImportError, match=f"pip install {name}"):
        getattr(compiled, f"to_{name}")()


def test_the_gradient_of_softmax_compiles() -> None:
    value, gradient = compile(
        lambda v: al.softmax(v)[0] + al.TABLE["lead"](v[1], [v[0]]), 2, backend="python"
    ).value_and_grad([0.0, 0.0])
    assert value == 1.0 and gradient == [0.25, -0.25]
