"""The vector definitions of the rows: against 40-digit arithmetic, and against the rows themselves at every edge."""

import ctypes
import itertools
import math
import random
import struct
from array import array
from math import inf, nan

import mpmath
import pytest

import autograd_lite as al
from autograd_lite.compiler import vector_math
from autograd_lite.ops import TABLE

llvm = pytest.importorskip("llvmlite.binding")

LANES = 8
TINIEST, TINY, HUGE = 5e-324, 2.0**-1022, 1.7976931348623157e308


# ---- compiling -------------------------------------------------------------------------------------------


def loop(name, arity, lanes):
    """Return the text of a function that applies a definition to arrays."""
    vector = f"<{lanes} x double>"
    pointers = ", ".join(f"ptr %p{i}" for i in range(arity))
    lines = [f"define void @run.{name}(ptr %out, {pointers}, i64 %n) {{", "entry:", "  br label %loop", "loop:"]
    lines.append("  %k = phi i64 [ 0, %entry ], [ %next, %loop ]")
    for i in range(arity):
        lines.append(f"  %a{i} = getelementptr double, ptr %p{i}, i64 %k")
        lines.append(f"  %x{i} = load {vector}, ptr %a{i}, align 8")
    operands = ", ".join(f"{vector} %x{i}" for i in range(arity))
    lines += [
        f"  %y = call {vector} @al.{name}({operands})",
        "  %o = getelementptr double, ptr %out, i64 %k",
        f"  store {vector} %y, ptr %o, align 8",
        f"  %next = add i64 %k, {lanes}",
        "  %more = icmp ult i64 %next, %n",
        "  br i1 %more, label %loop, label %end",
        "end:",
        "  ret void",
        "}",
    ]
    return "\n".join(lines)


def arity_of(name):
    return 2 if name == "shifted_exp" else TABLE[name].arity


class Compiled:
    """Call the definitions of some rows on lists of floats."""

    def __init__(self, names, lanes=LANES, opt=2, features=None):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        text = vector_math.definitions(names, lanes)
        module = llvm.parse_assembly("\n".join([text, *(loop(name, arity_of(name), lanes) for name in names)]))
        module.verify()
        flags = llvm.get_host_cpu_features().flatten() if features is None else features
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name() if features is None else "", features=flags, opt=opt
        )
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=opt))
        builder.getModulePassManager().run(module, builder)
        self.machine = machine
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()
        self.lanes = lanes

    def pointer(self, name):
        pointers = [ctypes.c_void_p] * (1 + arity_of(name))
        return ctypes.CFUNCTYPE(None, *pointers, ctypes.c_int64)(self.engine.get_function_address(f"run.{name}"))

    def __call__(self, name, *columns):
        count = len(columns[0])
        padding = [1.0] * (-count % self.lanes)
        arrays = [array("d", [*column, *padding]) for column in columns]
        out = array("d", bytes(8 * (count + len(padding))))
        self.pointer(name)(*(a.buffer_info()[0] for a in (out, *arrays)), len(out))
        return list(out[:count])


@pytest.fixture(scope="module")
def compiled():
    return Compiled(sorted(vector_math.available()))


# ---- comparing -------------------------------------------------------------------------------------------


def bits(x):
    return "nan" if math.isnan(x) else struct.pack("<d", x)


def ulps(computed, exact):
    """Return the distance of a float from an mpf in units in the last place of the float nearest to that."""
    nearest = float(exact)
    if math.isinf(nearest) or math.isinf(computed) or math.isnan(computed):
        return 0.0 if computed == nearest else inf
    with mpmath.workprec(200):
        return float(abs(mpmath.mpf(computed) - exact) / math.ulp(nearest))


def reference(function):
    def exact(*operands):
        with mpmath.workprec(1200 if any(abs(x) > 1e6 or abs(x) < 1e-6 for x in operands) else 180):
            return function(*map(mpmath.mpf, operands))

    return exact


def spread(low, high, count, rng):
    """Return floats of random exponents between 2**low and 2**high, of both signs."""
    return [rng.choice((-1.0, 1.0)) * math.ldexp(1.0 + rng.random(), rng.randint(low, high - 1)) for _ in range(count)]


def around(points, rng, count=60):
    """Return floats very close to, and near, each of the points."""
    steps = [math.nextafter(p, d) for p in points for d in (-inf, inf)]
    return [*points, *steps, *(p + p * 0.02 * (2.0 * rng.random() - 1.0) for p in points for _ in range(count))]


def uniform(low, high, count, rng):
    return [rng.uniform(low, high) for _ in range(count)]


LN2 = math.log(2.0)
EVERYWHERE = (-1074, 1023)

POINTS = {
    "exp": lambda r: (
        spread(-60, 10, 800, r)
        + uniform(-745.2, 709.8, 2500, r)
        + uniform(-745.2, -707.0, 500, r)
        + around([709.782712893384, -708.3964185322641, -745.1332191019411], r)
        + around([k * LN2 / 2 for k in range(-9, 10, 2)], r)
    ),
    "log": lambda r: (
        [abs(x) for x in spread(*EVERYWHERE, 2500, r)]
        + uniform(0.4, 2.2, 2500, r)
        + [1.0 + d for d in spread(-52, -3, 800, r)]
        + around([0.5, math.sqrt(0.5), 1.0, math.sqrt(2.0), 2.0], r)
        + uniform(0.0, 2e-308, 400, r)
    ),
    "tanh": lambda r: (
        spread(-1074, 6, 1500, r)
        + uniform(-2.0, 2.0, 2000, r)
        + uniform(-20.0, 20.0, 1500, r)
        + around([k * LN2 / 4 for k in range(1, 20, 2)], r)
    ),
}
POINTS["exp2"] = lambda r: [x / LN2 for x in POINTS["exp"](r)] + around([k / 2 for k in range(-9, 10)], r)
POINTS["expm1"] = lambda r: POINTS["exp"](r) + spread(-1074, 2, 1500, r) + uniform(-1.0, 1.0, 1500, r)
POINTS["sigmoid"] = lambda r: POINTS["exp"](r) + uniform(-40.0, 40.0, 2500, r)
POINTS["softplus"] = POINTS["logsigmoid"] = POINTS["silu"] = POINTS["sigmoid"]
POINTS["sech2"] = lambda r: [x / 2 for x in POINTS["exp"](r)] + uniform(-3.0, 3.0, 2000, r)
POINTS["log2"] = POINTS["log10"] = POINTS["log"]
POINTS["log1p"] = lambda r: (
    [abs(x) for x in spread(*EVERYWHERE, 2000, r)]
    + spread(-60, 0, 1500, r)
    + uniform(-0.9999, 3.0, 2000, r)
    + [math.sqrt(0.5) - 1, math.sqrt(2) - 1, -0.5, math.nextafter(-1.0, 0.0)]
)
POINTS["sinh"] = lambda r: spread(-1074, 9, 1500, r) + uniform(-711.0, 711.0, 1500, r) + uniform(-4.0, 4.0, 2500, r)
POINTS["cosh"] = POINTS["sinh"]
POINTS["sin"] = lambda r: (
    spread(-1074, 30, 1500, r)
    + uniform(-10.0, 10.0, 2500, r)
    + uniform(-1e5, 1e5, 800, r)
    + [k * math.pi / 2 for k in range(-300, 300)]
    + [r.randrange(1 << 29) * math.pi / 2 for _ in range(300)]
    + spread(30, 1023, 100, r)
)
POINTS["cos"] = POINTS["tan"] = POINTS["sin"]

EXACT = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "tanh": mpmath.tanh,
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "expm1": mpmath.expm1,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "logsigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "sech2": lambda x: mpmath.sech(x) ** 2,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "log1p": mpmath.log1p,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
}
EXACT |= {
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "gaussian": lambda x, c: mpmath.exp(-c * x * x),
    "hypot": mpmath.hypot,
    "direction": lambda x, y: x / mpmath.hypot(x, y),
    "turn": lambda x, y: x / (x * x + y * y),
    "shifted_exp": lambda x, m: mpmath.exp(x - m),
}


def pairs(low, high, count, rng):
    return list(zip(spread(low, high, count, rng), spread(low, high, count, rng), strict=True))


POINTS["erf"] = lambda r: spread(-1074, 3, 1500, r) + uniform(-3.0, 3.0, 2000, r) + uniform(-6.0, 6.0, 500, r)
POINTS["erfc"] = lambda r: POINTS["erf"](r) + uniform(0.0, 27.3, 3000, r) + uniform(26.5, 27.3, 300, r)
POINTS["gelu"] = lambda r: POINTS["erf"](r) + uniform(-38.6, 3.0, 3000, r) + uniform(-38.6, -37.3, 300, r)
POINTS["hypot"] = lambda r: pairs(-1074, 1022, 1000, r) + pairs(-3, 3, 1500, r) + pairs(-530, -480, 500, r)
POINTS["direction"] = POINTS["turn"] = POINTS["hypot"]
POINTS["gaussian"] = lambda r: [
    (math.copysign(math.sqrt(abs(a) / c), a), c) for a in POINTS["exp"](r) for c in (0.5, r.random() + 1e-3)
]
POINTS["shifted_exp"] = lambda r: [(float(round(x)), r.randint(-9, 9) / 2) for x in POINTS["exp"](r)]
AT_MOST = {name: 2.0 for name in EXACT} | dict.fromkeys(("exp", "log", "tanh", "sigmoid"), 0.9) | {"gelu": 2.5}


def worst(compiled, name, seed=1):
    points = [x if isinstance(x, tuple) else (x,) for x in POINTS[name](random.Random(seed))]
    exact = reference(EXACT[name])
    results = compiled(name, *zip(*points, strict=True))
    return max((ulps(y, exact(*operands)), operands) for operands, y in zip(points, results, strict=True))


@pytest.mark.parametrize("name", EXACT)
def test_accuracy_over_the_whole_range(compiled, name):
    error, operands = worst(compiled, name)
    assert error <= AT_MOST[name], f"{name}{operands} is {error:.2f} ulp off"


# ---- edges: against the rows themselves ------------------------------------------------------------------

APPROXIMATE = {"elu", "selu", "power", "pow"}
EDGES = [
    0.0, TINIEST, 1e-310, TINY, 1e-300, 1e-200, 1e-160, 1e-16, 1e-9, 0.25, 0.5, 0.9999999999999999, 1.0,
    1.0000000000000002, 1.5, 2.0, 2.5, 3.0, 10.0, 18.9, 19.1, 26.5, 26.7, 30.0, 37.0, 38.0, 40.0, 372.0, 373.0, 400.0,
    709.0, 709.782712893384, 709.7827128933841, 710.4, 710.475860073944, 710.4758600739441, 745.0, 745.133219101941,
    745.1332191019412, 750.0, 752.0, 999.0, 1001.0, 1023.0, 1024.0, 1073.0, 1074.0, 1075.0, 1e4, 1e5, 1e9, 1e10, 1e16,
    1e22, 1e154, 1e160, 1e200, 1e300, HUGE, inf,
]  # fmt: skip
FEW = [0.0, TINIEST, TINY, 1e-200, 1e-160, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 700.0, 1e3, 1e155, 1e200, HUGE, inf]


def signed(points):
    return [nan, *(s for x in points for s in (x, -x))]


def edges(name):
    if arity_of(name) == 3:
        points = [signed([0.0, 0.5, 1.0, 2.0, inf])] * 3
    else:
        points = [signed(EDGES if arity_of(name) == 1 else FEW)] * arity_of(name)
    if name == "gaussian":  # with an enormous c the row's own splitting of x gives inf·0
        points[1] = [c for c in points[1] if abs(c) < 1e100]
    return list(itertools.product(*points))


def shifted_exp(x, m):
    if math.isfinite(m) or math.isnan(m) or math.isnan(x):
        return al.exp.value(x - m)
    return 1.0 if x == m else 0.0


def value_of(name):
    return shifted_exp if name == "shifted_exp" else TABLE[name].value


def same(computed, operands, name):
    wanted = value_of(name)(*operands)
    if bits(computed) == bits(wanted):
        return True
    if not math.isfinite(wanted) or math.copysign(1.0, computed) != math.copysign(1.0, wanted):
        return False
    if name in EXACT:  # the row itself may be far off where it is subnormal
        return ulps(computed, reference(EXACT[name])(*operands)) <= AT_MOST[name]
    return name in APPROXIMATE and wanted != 0.0 and abs(computed - wanted) <= 4.0 * math.ulp(wanted)


@pytest.mark.parametrize("name", sorted(vector_math.available()))
def test_edges_are_those_of_the_row(compiled, name):
    points = edges(name)
    results = compiled(name, *zip(*points, strict=True))
    wrong = [
        (operands, computed, value_of(name)(*operands))
        for operands, computed in zip(points, results, strict=True)
        if not same(computed, operands, name)
    ]
    assert not wrong, f"{len(wrong)}: {wrong[:12]}"


# ---- other vectors, and the text -------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_every_number_of_lanes_gives_the_same_bits(compiled, lanes):
    narrow = Compiled(sorted(vector_math.available()), lanes, opt=1)
    rng = random.Random(lanes)
    for name in sorted(vector_math.available() - {"power"}):  # whose exponent is the same on all lanes
        points = rng.sample(edges(name), min(100, len(edges(name))))
        columns = list(zip(*points, strict=True))
        assert list(map(bits, narrow(name, *columns))) == list(map(bits, compiled(name, *columns))), name


def test_a_processor_without_fused_instructions_gives_the_same_bits(compiled):
    names = ["exp", "tanh", "log", "sigmoid", "erfc", "sin", "hypot", "floor"]
    plain = Compiled(names, features="")
    for name in names:
        columns = list(zip(*edges(name), strict=True))
        assert list(map(bits, plain(name, *columns))) == list(map(bits, compiled(name, *columns))), name


def test_lanes_do_not_touch_each_other(compiled):
    near = [0.1 * k for k in range(1, 8)]
    for name in ("sin", "cos", "tan"):
        *mixed, far = compiled(name, [*near, 1e300])
        assert (mixed, far) == (compiled(name, near), TABLE[name].value(1e300))


@pytest.mark.parametrize("c", [2.0, 3.0, 1.0, -1.0, -2.0, 0.5])
def test_shortcuts_of_power(compiled, c):
    points = spread(-1074, 1023, 2000, random.Random(3)) + signed(EDGES)
    for x, y in zip(points, compiled("power", points, [c] * len(points)), strict=True):
        wanted = al.power.value(x, c)
        assert bits(y) == bits(wanted) or abs(y - wanted) <= 2.0 * math.ulp(wanted), (x, y, wanted)


def test_all_rows_but_the_gamma_family_are_available():
    left_out = {"gamma", "lgamma", "digamma", "polygamma", "pow_partial"}
    rows = {op.name for op in TABLE.values() if not op.many} - left_out
    assert vector_math.available() == rows | {"shifted_exp"}


def test_definitions_take_the_operands_of_the_row():
    for name, (arity, _) in vector_math.FORMULAS.items():
        assert arity == arity_of(name), name


def test_text_depends_on_the_set_of_names_only():
    text = vector_math.definitions(["tanh", "acos", "exp"], 4)
    assert text == vector_math.definitions(iter(["exp", "tanh", "acos", "exp"]), 4)
    headers = [line for line in text.splitlines() if line.startswith(("declare", "define"))]
    assert len(headers) == len(set(headers)) == len(vector_math.INTRINSICS) + 1 + 1 + 3


def test_intrinsics_are_declared_even_for_no_names():
    text = vector_math.definitions([], 2)
    assert all(f"declare <2 x double> @llvm.{name}.v2f64(" in text for name in vector_math.INTRINSICS)
    assert "define" not in text


def test_nothing_is_assumed_away():
    words = set(vector_math.definitions(vector_math.available(), 8).split())
    assert not words & {"fast", "nnan", "ninf", "nsz", "arcp", "afn", "contract", "reassoc"}


def test_wrong_requests_are_refused():
    with pytest.raises(ValueError, match="gamma"):
        vector_math.definitions(["exp", "gamma"], 8)
    with pytest.raises(ValueError, match="lane"):
        vector_math.definitions(["exp"], 0)


def test_the_measure_sees_one_unit():
    x = 1.0
    assert ulps(math.nextafter(x, 2.0), mpmath.mpf(x)) == 1.0
    assert ulps(inf, mpmath.mpf(HUGE)) == inf
    assert not same(0.0, (0.0,), "neg")
