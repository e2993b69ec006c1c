"""Programs as functions of jax arrays and of torch tensors, so that what those libraries do can be done with them.

Values are those of the table, to rounding: a sum is rounded as the library does it, `lgamma` and `digamma` near their
zeros are right to a part of 1, not of the result, and jax takes subnormal numbers for 0. Derivatives that the library
takes are its own. They agree with the table's except at kinks and ties, where the library decides; at infinite numbers;
and where a library's own rule is less accurate (1 − tanh² and 1 + expm1 in the tails, torch's second derivative of
`lgamma` to nine digits). The program of a gradient carries the table's rules.
"""

from __future__ import annotations

import functools
import importlib
import math
import operator
import reprlib
from collections.abc import Callable, Sequence
from math import inf, nan
from typing import Any, Literal, NamedTuple

from .. import ieee, ops
from ..op import Op
from .primitives import detach, log_of_sum, shifted_exp
from .program import Apply, Constant, Input, Program

__all__ = ["Result", "to_jax", "to_torch"]

Result = Literal["number", "list", "gradient"]


def to_jax(program: Program, n: int | None = None, result: Result = "number") -> Callable[[Any], Any]:
    """Return a program as a function of a jax array (n,), which `jax.jit`, `jax.vmap` and `jax.grad` take.

    At kinks and ties jax decides what the derivative is.

    Args:
        program: What to compute; every operation must be the table's or the compiler's.
        n: How many inputs there are; if None, as many as the program reads, or more.
        result: "number" for an array () from one output and (k,) from several; "list" for (k,) even from one;
            "gradient" for the first output, an array (), and an array (k − 1,) of the others.

    Raises:
        ImportError: jax is not installed.
        NotImplementedError: There is an operation that jax has no code for, such as one of your own.
        ValueError: On a call: jax computes with 32 bits, or the array is of another shape.
        TypeError: On a call: the array is complex.

    >>> import sys
    >>> from unittest.mock import patch
    >>> from .tracing import trace
    >>> traced = trace(lambda v: v[0] * v[1], [1.0, 2.0])
    >>> with patch.dict(sys.modules, {"jax": None}):
    ...     to_jax(traced.build.program(traced.outputs))
    Traceback (most recent call last):
        ...
    ImportError: this needs jax, which is not installed; pip install jax
    """
    return _exported(_jax(), program, n, result)


def to_torch(program: Program, n: int | None = None, result: Result = "number") -> Callable[[Any], Any]:
    """Return a program as a function of a torch tensor (n,), for autograd, `torch.func.vmap` and `torch.func.grad`.

    At kinks and ties torch decides what the derivative is. A tensor of another dtype is converted to float64.

    Args:
        program: What to compute; every operation must be the table's or the compiler's.
        n: How many inputs there are; if None, as many as the program reads, or more.
        result: "number", "list" or "gradient", as for `to_jax`.

    Raises:
        ImportError: torch is not installed.
        NotImplementedError: There is an operation that torch has no code for, such as one of your own.
        ValueError: On a call: the tensor is of another shape.
        TypeError: On a call: the tensor is complex.

    >>> import sys
    >>> from unittest.mock import patch
    >>> from .tracing import trace
    >>> traced = trace(lambda v: v[0] * v[1], [1.0, 2.0])
    >>> with patch.dict(sys.modules, {"torch": None}):
    ...     to_torch(traced.build.program(traced.outputs))
    Traceback (most recent call last):
        ...
    ImportError: this needs torch, which is not installed; pip install torch
    """
    return _exported(_torch(), program, n, result)


# ---- what differs between the libraries ------------------------------------------------------------------------------


class _Library(NamedTuple):
    """A library: its functions of the same names as NumPy's, and what it does in a way of its own."""

    name: str
    np: Any
    array: Callable[[Any, Any], Any]  # from numbers, where another array is
    given: Callable[[Any], Any]  # an array of 64 bits from what the function is called with
    detach: Callable[[Any], Any]
    erf: Callable[[Any], Any]
    erfc: Callable[[Any], Any]
    lgamma: Callable[[Any], Any]
    cbrt: Callable[[Any], Any]


def _jax() -> _Library:
    jax, np, special = _imported("jax"), _imported("jax.numpy"), _imported("jax.scipy.special")

    def given(x: Any) -> Any:
        if np.result_type(float) != np.float64:
            raise ValueError('jax computes with 32 bits; call jax.config.update("jax_enable_x64", True) at the start')
        return np.asarray(_real(np.asarray(x)), dtype=np.float64)

    return _Library(
        name="jax",
        np=np,
        array=lambda numbers, _: np.asarray(numbers, dtype=np.float64),
        given=given,
        detach=jax.lax.stop_gradient,
        erf=special.erf,
        erfc=special.erfc,
        lgamma=special.gammaln,
        cbrt=np.cbrt,
    )


def _torch() -> _Library:
    torch = _imported("torch")
    return _Library(
        name="torch",
        np=torch,
        array=lambda numbers, beside: torch.asarray(numbers, dtype=torch.float64, device=beside.device),
        given=lambda x: _real(torch.as_tensor(x)).to(torch.float64),
        detach=torch.detach,
        erf=torch.erf,
        erfc=torch.erfc,
        lgamma=torch.lgamma,
        cbrt=lambda x: torch.where(x < 0.0, -1.0, torch.ones_like(x)) * torch.abs(x) ** (1.0 / 3.0),
    )


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise ImportError(f"this needs {name}, which is not installed; pip install {name}") from None


def _real(x: Any) -> Any:
    if "complex" in str(x.dtype):
        raise TypeError(f"the function takes real numbers, not dtype {x.dtype}")
    return x


# ---- running a program -----------------------------------------------------------------------------------------------


def _exported(library: _Library, program: Program, n: int | None, result: Result) -> Callable[[Any], Any]:
    if result not in ("number", "list", "gradient"):
        raise ValueError(f'result must be "number", "list" or "gradient", not {reprlib.repr(result)}')
    rows = _rows(library)
    for instruction in program.instructions:
        if type(instruction) is Apply and instruction.op not in rows:
            raise NotImplementedError(
                f"{instruction.op.name} has no code for {library.name}; write it with the table's"
            )
    read = max([x.place + 1 for x in program.instructions if type(x) is Input], default=0)

    def function(x: Any) -> Any:
        x = library.given(x)
        if x.ndim != 1 or (x.shape[0] < read if n is None else x.shape[0] != n):
            raise ValueError(f"give one array of shape ({n or f'{read} or more'},), not {tuple(x.shape)}")
        run = _Run(library, program, x)
        for place, instruction in enumerate(program.instructions):
            if type(instruction) is Apply:
                run.results[place] = rows[instruction.op](*run.operands(instruction))
        outputs = [run.number(y) for y in program.outputs]
        if result == "gradient":
            return outputs[0], library.np.stack(outputs[1:])
        return outputs[0] if result == "number" and len(outputs) == 1 else library.np.stack(outputs)

    return function


class _Run:
    """One call: the results so far, by place; those of sequences by their places."""

    def __init__(self, library: _Library, program: Program, x: Any) -> None:
        self.library, self.instructions, self.x = library, program.instructions, x
        self.results: dict[Any, Any] = {}

    def operands(self, instruction: Apply) -> list[Any]:
        """Return what an instruction reads: arrays (), arrays (k,) for sequences, floats for what is constant."""
        return [
            self.sequence(x) if type(x) is tuple else self.constant(x, instruction.op) if d.constant else self.number(x)
            for x, d in zip(instruction.operands, instruction.op.domain, strict=True)
        ]

    def constant(self, place: int, op: Op) -> float:
        instruction = self.instructions[place]
        if type(instruction) is not Constant:
            raise NotImplementedError(f"{op.name} with a varying operand in the place of a constant")
        return instruction.number

    def number(self, place: int) -> Any:
        if place not in self.results:
            match self.instructions[place]:
                case Input(k):
                    self.results[place] = self.x[k]
                case Constant(number):
                    self.results[place] = self.library.array(number, self.x)
        return self.results[place]

    def sequence(self, places: tuple[int, ...]) -> Any:
        if places not in self.results:
            read = [self.instructions[place] for place in places]
            inputs = [x.place for x in read if type(x) is Input]
            numbers = [x.number for x in read if type(x) is Constant]
            if len(inputs) == len(places) and inputs == list(range(inputs[0], inputs[0] + len(inputs))):
                self.results[places] = self.x[inputs[0] : inputs[0] + len(inputs)]
            elif len(numbers) == len(places):
                self.results[places] = self.library.array(numbers, self.x)
            else:
                self.results[places] = self.library.np.stack([self.number(place) for place in places])
        return self.results[places]


# ---- the operations --------------------------------------------------------------------------------------------------

_ALIKE = (
    "abs acos acosh asin asinh atan atan2 atanh ceil cos cosh exp exp2 expm1 floor log log10 log1p log2 maximum "
    "minimum pow reciprocal sin sinh square tan tanh"
)
"""Rows that both libraries have, by the same name."""


def _rows(library: _Library) -> dict[Op, Callable[..., Any]]:
    """Return the code of every operation, written with functions that libraries have by the same name.

    A branch that is not taken must not overflow, as its derivative times 0 would be nan: it is given other operands.
    """
    np, stop = library.np, library.detach
    where, isnan, isinf, isfinite = np.where, np.isnan, np.isinf, np.isfinite
    exp, log, sqrt, log1p, total = np.exp, np.log, np.sqrt, np.log1p, np.sum

    def flag(condition: Any, like: Any) -> Any:
        return where(condition, 1.0, np.zeros_like(like))

    def below(x: Any) -> Any:
        return where(x > 0.0, 0.0, x)

    def sign(x: Any) -> Any:
        return where(x > 0.0, 1.0, where(x < 0.0, -1.0, where(isnan(x), x, 0.0)))

    def clamp(x: Any, lower: Any, upper: Any) -> Any:
        x = where((x >= lower) | isnan(x), x, lower)
        return where((x <= upper) | isnan(x), x, upper)

    def elu(x: Any, alpha: Any) -> Any:
        return where(x > 0.0, x, alpha * np.expm1(below(x)))

    # ---- the logistic function

    def sigmoid(x: Any) -> Any:
        e = exp(where(x >= 0.0, -x, x))
        return where(x >= 0.0, 1.0, e) / (1.0 + e)

    def softplus(x: Any) -> Any:
        return log1p(exp(where(x >= 0.0, -x, x))) + where(x >= 0.0, x, 0.0)

    def above(x: Any) -> Any:  # keeps −∞ · 0 from being nan
        return where(x < -1e4, -1e4, x)

    def softsign(x: Any) -> Any:
        finite = where(isinf(x), 0.0, x)
        return where(isinf(x), sign(x), finite / (1.0 + np.abs(finite)))

    def sech2(x: Any) -> Any:
        e = exp(-2.0 * np.abs(x))
        return 4.0 * e / ((1.0 + e) * (1.0 + e))

    # ---- powers

    def power(x: Any, c: float) -> Any:
        return np.pow(x, np.full_like(x, c)) if c else np.ones_like(x)

    def pow_partial(x: Any, y: Any, k: float, j: float) -> Any:
        if not (0.0 <= k <= 150.0 and 0.0 <= j <= 150.0 and k.is_integer() and j.is_integer()):
            return np.full_like(x, nan)
        order = int(j)
        zero = np.zeros_like(y)
        coefficients = [zero + 1.0] + [zero] * order
        for i in range(int(k)):
            for m in range(order, -1, -1):
                coefficients[m] = coefficients[m] * (y - i) + (coefficients[m - 1] if m else 0.0)
        result = zero
        for m, coefficient in enumerate(coefficients):
            logs = order - m
            term = coefficient * np.pow(x, y - k)
            gone = coefficient == 0.0
            if logs:
                term, gone = term * log(x) ** logs, gone | ((x == 0.0) & (y >= k))
            result = result + math.perm(order, m) * where(gone, 0.0, term)
        return result

    # ---- the plane

    def scaled(x: Any, y: Any) -> tuple[Any, Any, Any, Any]:
        """Return x/s, y/s, their root of squares (1 at the origin) and s, the larger of both; derivatives need none."""
        s = stop(np.maximum(np.abs(x), np.abs(y)))
        s = where((s == 0.0) | isinf(s), 1.0, s)
        u, v = x / s, y / s
        squares = u * u + v * v
        return u, v, sqrt(where(squares == 0.0, 1.0, squares)), s

    def hypot(x: Any, y: Any) -> Any:
        _, _, r, s = scaled(x, y)
        return where(isinf(x) | isinf(y), inf, where((x == 0.0) & (y == 0.0), 0.0, s * r))

    def direction(x: Any, y: Any) -> Any:
        far = isinf(x) | isinf(y)
        u, _, r, _ = scaled(*(where(far, where(isinf(z), sign(z), 0.0 * z), z) for z in (x, y)))
        return u / r

    def turn(x: Any, y: Any) -> Any:
        r = hypot(x, y)
        return direction(x, y) / where(r == 0.0, 1.0, r)

    # ---- sequences

    def largest(xs: Any) -> Any:
        """Tell which is the largest, or the first of them; by place, as == fails where code computes a number twice."""
        return library.array(list(range(len(xs))), xs) == np.argmax(xs)

    def logsumexp(xs: Any) -> Any:
        lead = largest(xs)
        x = total(where(lead, xs, 0.0))
        rest = total(exp(where(lead | ~isfinite(x), -inf, xs - x)))
        return where(isfinite(x), x + log1p(rest), x)

    def summed(m: Any, es: Any) -> Any:
        return where(isfinite(m), m + log1p(total(where(largest(es), 0.0, es))), m)

    def shifted(x: Any, m: Any) -> Any:
        finite = exp(where(isfinite(m), x - m, 0.0))
        return where(isfinite(m), finite, where(isnan(m) | isnan(x), nan, flag(x == m, x)))

    def leads(xs: Any) -> Any:
        top = np.max(xs)
        leading = flag((xs == top) | largest(xs), xs)
        return where(isnan(top), nan, leading / where(isnan(top), 1.0, total(leading)))

    def maxout(xs: Any) -> Any:
        """Return the largest; its derivative is written out, as the library's own looks for the largest by ==."""
        top = np.max(stop(xs))
        weights = stop(leads(xs))
        return top + total(where((weights > 0.0) & isfinite(xs), weights * (xs - stop(xs)), 0.0))

    def share(x: Any, rest: Any) -> Any:
        xs = beside(x, rest)
        top = stop(np.max(xs))
        es = exp(where(isfinite(top), xs - top, 0.0))
        return where(isfinite(top), es[0] / total(es), leads(stop(xs))[0])

    def beside(x: Any, rest: Any) -> Any:
        return np.concatenate([np.stack([x]), rest])

    def mean(xs: Any) -> Any:
        y = total(xs)
        return where(isfinite(y), y / len(xs), total(xs / len(xs)))

    # ---- the gamma family

    def gamma(x: Any) -> Any:
        odd = (x < 0.0) & (np.floor(x) % 2.0 != 0.0)
        signed = where(x == 0.0, np.copysign(np.ones_like(x), stop(x)), where(odd, -1.0, np.ones_like(x)))
        return where((x < 0.0) & (np.floor(x) == x), nan, signed * exp(library.lgamma(x)))

    def polygamma(n: float, x: Any) -> Any:
        return _polygamma(np, int(n), x) if 1.0 <= n <= 150.0 and n == math.floor(n) else np.full_like(x, nan)

    # fmt: off
    shared: dict[Op, Callable[..., Any]] = {
        ops.add:         operator.add,
        ops.sub:         operator.sub,
        ops.mul:         operator.mul,
        ops.div:         operator.truediv,
        ops.neg:         operator.neg,
        ops.pos:         lambda x: x,
        ops.power:       power,
        ops.sqrt:        lambda x: sqrt(x + 0.0),
        ops.cbrt:        library.cbrt,
        ops.hypot:       hypot,
        ops.erf:         library.erf,
        ops.erfc:        library.erfc,
        ops.gamma:       gamma,
        ops.lgamma:      library.lgamma,
        ops.digamma:     lambda x: _polygamma(np, 0, x),
        ops.polygamma:   polygamma,
        ops.sign:        sign,
        ops.clamp:       clamp,
        ops.where:       lambda condition, x, y: where(condition != 0.0, x, y),
        ops.relu:        lambda x: where((x > 0.0) | isnan(x), x, 0.0),
        ops.leaky_relu:  lambda x, slope: where(x > 0.0, x, slope * below(x)),
        ops.elu:         elu,
        ops.selu:        lambda x: ieee.SELU_SCALE * elu(x, ieee.SELU_ALPHA),
        ops.gelu:        lambda x: above(x) * (0.5 * library.erfc(-ops.ROOT_HALF * above(x))),
        ops.silu:        lambda x: above(x) * sigmoid(above(x)),
        ops.sigmoid:     sigmoid,
        ops.logsigmoid:  lambda x: -softplus(-x),
        ops.softplus:    softplus,
        ops.softsign:    softsign,
        ops.sum:         total,
        ops.mean:        mean,
        ops.prod:        lambda xs: functools.reduce(operator.mul, [xs[i] for i in range(len(xs))]),
        ops.dot:         np.dot,
        ops.affine:      lambda w, x, b: np.dot(w, x) + b,
        ops.logsumexp:   logsumexp,
        ops.maxout:      maxout,
        ops.sech2:       sech2,
        ops.gaussian:    lambda x, c: exp(-c * x * x),
        ops.one_minus_square: lambda x: (1.0 - x) * (1.0 + x),
        ops.nonnegative: lambda x: where(x >= 0.0, x + 0.0, nan),
        ops.direction:   direction,
        ops.turn:        turn,
        ops.pow_partial: pow_partial,
        ops.step:        lambda x: where(isnan(x), x, flag(x > 0.0, x)),
        ops.nonzero:     lambda x: flag(x != 0.0, x),
        ops.greater:     lambda x, y: where(isnan(x) | isnan(y), nan, 0.5 * (flag(x > y, x) + flag(x >= y, x))),
        ops.less:        lambda x, y: flag(x < y, x),
        ops.within:      lambda x, lower, upper: flag((lower <= x) & (x <= upper), x),
        ops.share:       share,
        ops.lead:        lambda x, rest: leads(beside(x, rest))[0],
        detach:          stop,
        shifted_exp:     shifted,
        log_of_sum:      summed,
    }
    # fmt: on
    return {ops.TABLE[name]: getattr(np, name) for name in _ALIKE.split()} | shared


def _polygamma(np: Any, n: int, x: Any) -> Any:
    """Return the n-th derivative of ψ, as `ieee` has it but with as many steps for every x; n = 0 is ψ itself."""
    where = np.where
    parity = 1.0 if n % 2 else -1.0
    pole = (x < 0.0) & (x == np.floor(x))
    reflect = (x < 0.0) & ~pole
    positive = where(pole, 1.0, where(reflect, 1.0 - x, x))
    shift = n + 12
    factorial = float(math.factorial(n))
    y = positive + float(shift)
    result = np.log(y) if n == 0 else factorial / n * y**-n * parity
    result = result + parity * factorial / 2.0 * y ** -(n + 1)
    for k, b in enumerate(ieee._BERNOULLI, 1):
        coefficient = b * float(math.factorial(2 * k + n - 1) // math.factorial(2 * k)) if n else b / (2 * k)
        result = result + parity * coefficient * y ** -(2 * k + n)
    for i in range(shift - 1, -1, -1):
        result = result + parity * factorial * ((positive + float(i)) if i else positive) ** -(n + 1)
    fraction = where(reflect, x - np.round(x), 0.25)
    cotangent = 1.0 / np.tan(math.pi * fraction)
    mirrored: Any = 0.0
    for k, a in enumerate(_cotangent_polynomial(n)):
        mirrored = mirrored + a * cotangent**k if a else mirrored
    mirrored = -parity * result - math.pi ** (n + 1) * mirrored
    return where(pole, where(np.isinf(x), nan, x - x + inf) if n % 2 else nan, where(reflect, mirrored, result))


@functools.cache
def _cotangent_polynomial(n: int) -> Sequence[float]:
    """Return the n-th derivative of cot(πx) / πⁿ as a polynomial in cot(πx)."""
    polynomial = [0, 1]
    for _ in range(n):
        slopes = [k * a for k, a in enumerate(polynomial)][1:]
        polynomial = [-a for a in slopes] + [0, 0]
        for k, a in enumerate(slopes):
            polynomial[k + 2] -= a
    return [float(a) for a in polynomial]
