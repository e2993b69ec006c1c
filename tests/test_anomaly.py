"""A nan or an infinity is found where it is born, forwards and backwards, and nowhere else."""

import asyncio
import itertools
import linecache
import math
import pickle
import re
import threading
import warnings
from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
import nn
from autograd_lite import AnomalyError, Backward, Forward, Value, cures
from autograd_lite.value import watching


def caught(f, **options) -> AnomalyError:
    """The error that a function stops with in a block."""
    with pytest.raises(AnomalyError) as caught, al.detect_anomaly(**options):
        f()
    assert watching() is None
    return caught.value


def marked(error: AnomalyError) -> str:
    """The part of the line that the error is about."""
    source = error.source
    line = linecache.getline(source.filename, source.lineno)
    return line.encode()[source.colno : source.end_colno].decode()


# Forwards


@pytest.mark.parametrize(
    ("f", "operands", "born", "advice"),
    [
        (al.log, [0.0], -inf, "log1p"),
        (al.log, [-1.0], nan, "negative"),
        (al.log10, [0.0], -inf, "clamp"),
        (al.log1p, [-1.0], -inf, "x > -1"),
        (al.sqrt, [-1e-17], nan, "clamp(x, 0.0, inf)"),
        (al.exp, [710.0], inf, "logsumexp"),
        (al.cosh, [-800.0], inf, "softplus"),
        (al.div, [1.0, 0.0], inf, "where(y, x / where(y, y, 1.0), other)"),
        (al.div, [0.0, 0.0], nan, "divisor"),
        (al.div, [inf, inf], nan, "logarithms"),
        (al.div, [1e300, 1e-300], inf, "1.8e308"),
        (al.reciprocal, [0.0], inf, "divisor"),
        (al.mul, [0.0, inf], nan, "0 times infinity"),
        (al.mul, [1e200, 1e200], inf, "1.8e308"),
        (al.add, [inf, -inf], nan, "both signs"),
        (al.sub, [inf, inf], nan, "both signs"),
        (al.square, [1e200], inf, "hypot"),
        (al.TABLE["power"], [-8.0, 1 / 3], nan, "cbrt"),
        (al.pow, [-8.0, 0.5], nan, "negative base"),
        (al.pow, [0.0, -1.0], inf, "division by 0"),
        (al.asin, [1.0000000000000002], nan, "clamp(x, -1.0, 1.0)"),
        (al.acos, [-2.0], nan, "[-1, 1]"),
        (al.atanh, [1.0], inf, "(-1, 1)"),
        (al.acosh, [0.5], nan, "1 or more"),
        (al.gamma, [200.0], inf, "lgamma"),
        (al.lgamma, [-2.0], inf, "pole"),
        (al.sin, [inf], nan, "infinite angle"),
    ],
)
def test_what_is_born_is_named_and_cured(f, operands, born, advice):
    constant = [k for k, domain in enumerate(f.domain) if domain.constant]
    xs = [x if k in constant else Value(x, f"x{k}") for k, x in enumerate(operands)]
    error = caught(lambda: f(*xs))
    assert isinstance(error.event, Forward)
    assert error.node is error.event.node and error.node.op is f
    assert error.node.operands == tuple(xs)
    assert repr(error.event.result) == repr(born)
    assert advice in error.cure
    for k, x in enumerate(operands):
        assert (str(x) if k in constant else f"x{k} = {x}") in str(error)


def test_operands_say_the_better_cure():
    z = Value(-800.0)
    assert "logsigmoid(z)" in caught(lambda: al.log(z.sigmoid())).cure
    assert "zs[k] - logsumexp(zs)" in caught(lambda: al.log(al.softmax([z, 0.0])[0])).cure
    assert "log(exp(z)) is z" in caught(lambda: al.log(al.exp(z))).cure
    assert "logsumexp(zs)" in caught(lambda: al.log(al.exp(z) + al.exp(z))).cure
    assert "logsigmoid(-z)" in caught(lambda: al.log(1.0 - al.sigmoid(-z))).cure


def test_reductions():
    xs = [Value(1e308, f"x{k}") for k in range(3)]
    assert "sum([x0 = 1e+308, x1 = 1e+308, x2 = 1e+308]) = inf" in str(caught(lambda: al.sum(xs)))
    assert "product" in caught(lambda: al.prod(xs)).cure
    assert "net input" in caught(lambda: al.affine(xs, (1.0, 1.0, 1.0), Value(0.0))).cure
    assert "0 times infinity" in caught(lambda: al.dot([Value(0.0), Value(1.0)], (inf, 1.0))).cure


def test_what_is_passed_on_is_not_born():
    x = Value(inf, "x")
    with al.detect_anomaly():
        assert (x + 1.0).data == inf
        assert (-x * 2.0).exp().data == 0.0
        assert al.logsumexp([Value(-inf), Value(0.0)]).data == 0.0
        assert al.log(x).data == inf


@pytest.mark.parametrize("make", [lambda: Value(1.0) * nan, lambda: Value(nan, "x") * 1.0])
def test_a_nan_that_was_given_is_told_of_once(make):
    with (
        pytest.warns(RuntimeWarning, match=r"no nan is born in mul\(.*, given, is passed on") as told,
        al.detect_anomaly(),
    ):
        y = make() + 1.0
        y.backward()
    assert len(told) == 1
    assert told[0].filename == __file__


def test_a_nan_from_before_the_block_is_told_of():
    y = Value(nan) * 1.0
    with pytest.warns(RuntimeWarning, match="made before the block"), al.detect_anomaly():
        y + 1.0


def test_infinities_can_be_meant():
    with al.detect_anomaly(inf=False):
        infinite = al.exp(Value(1000.0))
        assert infinite.data == inf
    error = caught(lambda: al.exp(Value(1000.0)) - al.exp(Value(1000.0)), inf=False)
    assert error.node.op is al.sub
    assert "exp(1000.0) = inf" in error.tree


SPECIAL = (0.0, -0.0, 0.5, -1.0, 1.0, -2.0, 3.0, 710.0, 1e200, -1e200, 1e308, 5e-324, inf, -inf, nan)


@pytest.mark.parametrize("op", al.TABLE.values(), ids=al.TABLE)
def test_every_row_at_every_special_point(op):
    for numbers in itertools.islice(itertools.product(SPECIAL, repeat=op.arity), 400):
        operands = [
            (Value(x), 1.0) if d.many else x if d.constant else Value(x)
            for x, d in zip(numbers, op.domain, strict=True)
        ]
        z = op(*operands).data
        flat = [*numbers, 1.0]
        born = not any(map(math.isnan, flat)) if math.isnan(z) else math.isinf(z) and all(map(isfinite, flat))
        with warnings.catch_warnings(), al.detect_anomaly():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                op(*operands)
            except AnomalyError as error:
                assert born, (numbers, str(error))
            else:
                assert not born, (numbers, z)


# Backwards


def test_an_infinite_slope():
    x = Value(0.0, "x")
    error = caught(lambda: al.sqrt(x).backward())
    assert isinstance(error.event, Backward)
    assert (error.event.parent, error.event.partial, error.event.upstream) == (x, inf, 1.0)
    assert "going back from sqrt(x = 0.0) to x = 0.0" in str(error)
    assert "hypot" in error.cure
    assert x.grad == 0.0


@pytest.mark.parametrize(
    ("f", "x", "advice"),
    [
        (al.cbrt, 0.0, "cbrt"),
        (al.acos, 1.0, "atan2"),
        (al.asin, -1.0, "1e-7"),
        (al.acosh, 1.0, "1 + 1e-7"),
        (lambda x: x**0.5, 0.0, "clamp(x, 1e-12, inf)"),
        (lambda x: al.pow(-2.0, x), 3.0, "plain number"),
    ],
)
def test_other_slopes(f, x, advice):
    assert advice in caught(lambda: f(Value(x)).backward()).cure


def test_the_unused_branch_of_a_where_and_its_cure():
    def root(x):
        return al.where(x, 3.0 * al.sqrt(x), 0.0)

    x = Value(0.0, "x")
    error = caught(lambda: (root(x) + 1.0).backward())
    assert (error.node.op, error.event.partial, error.event.upstream) == (al.sqrt, inf, 0.0)
    assert "comes from where" in error.cure
    assert "choose what sqrt is given, as x in where(condition, f(where(condition, x, 1.0)), other)" in error.cure
    assert error.tree.splitlines()[0] == "where = 0.0, gradient 1.0"

    def cured(x):
        return al.where(x, 3.0 * al.sqrt(al.where(x, x, 1.0)), 0.0)

    with al.detect_anomaly():
        assert al.grad(cured)(0.0) == 0.0
        assert al.grad(cured)(4.0) == 0.75


def test_a_gate_far_away_is_named_though_not_shown():
    def f(x):
        y = al.sqrt(x)
        for _ in range(100):
            y = y * 1.0
        return al.where(x, y, 0.0)

    error = caught(lambda: f(Value(0.0)).backward())
    assert "comes from where" in error.cure
    assert error.tree == "sqrt = 0.0, gradient 0.0   <- nan is born here\n└─ 0.0, gradient nan"


def test_overflow_of_products_and_sums():
    x = Value(1e-300, "x")

    def product():
        y = x
        for _ in range(3):
            y = y * 1e150
        y.backward()

    assert "lower learning rate" in caught(product).cure
    error = caught(lambda: (x * 1e308 + x * 1e308).backward())
    assert "the sum of gradients 1e+308 + 1e+308 = inf" in str(error)
    assert "meet" in error.cure


def test_infinite_gradients_that_cancel():
    x = Value(0.0, "x")
    error = caught(lambda: (al.sqrt(x) - al.sqrt(x)).backward(), inf=False)
    assert re.search(r"the sum of gradients -?inf \+ -?inf = nan", str(error))
    assert str(error).startswith("nan is born")


def test_gradients_stay_as_they_were():
    x, w = Value(0.0, "x"), Value(2.0, "w")
    y = w * x
    y.backward()
    z = al.sqrt(y)
    before = [(v.grad) for v in (x, w, y, z)]
    caught(z.backward)
    assert [v.grad for v in (x, w, y, z)] == before


def test_a_sweep_in_a_block_is_the_same_sweep():
    def run():
        x, w = Value(0.3), Value(-1.7)
        y = al.tanh(w * x + al.exp(x)) / w
        y.backward(0.7)
        return x.grad, w.grad, al.gradients(y, [x, w]), al.hessian(lambda v: al.sin(v[0] * v[1]), [0.3, 0.4])

    plain = run()
    with al.detect_anomaly():
        assert run() == plain


def test_a_graph_from_before_the_block():
    x = Value(0.0, "x")
    y = al.log(x) * 0.0
    error = caught(y.backward)
    assert isinstance(error.event, Forward) and error.node.op is al.log
    assert error.source is None
    assert "recorded before the block" in str(error)


def test_data_changed_after_recording_is_not_taken_for_what_was_recorded():
    x = Value(inf)
    with al.detect_anomaly():
        y = x + 1.0
        x.data = 1.0
        y.backward()
    assert x.grad == 1.0


def test_gradients_and_derivatives():
    x = Value(0.0, "x")
    y = al.sqrt(x)
    for create_graph in (False, True):
        error = caught(lambda create_graph=create_graph: al.gradients(y, [x], create_graph=create_graph))
        assert isinstance(error.event, Backward) and error.node is y
    assert caught(lambda: al.grad(al.sqrt)(0.0)).node.op is al.sqrt
    error = caught(lambda: al.hessian(lambda v: al.hypot(*v), [0.0, 0.0]))
    assert "no second derivative at the origin" in error.cure
    assert error.source is None


def test_partials_that_nobody_uses_are_no_anomaly():
    y = Value(0.5)
    with al.detect_anomaly():  # the slope in the constant 0.0 is infinite
        assert al.gradients(al.pow(0.0, y), [y], create_graph=True)[0].data == 0.0


# The line of the program


def test_the_line_and_the_place_in_it():
    x = Value(0.0, "x")
    error = caught(lambda: 3.0 + x.exp() * al.log(x) - x)
    assert error.source.filename == __file__
    assert error.source.name == "<lambda>"
    assert error.source.line == "error = caught(lambda: 3.0 + x.exp() * al.log(x) - x)"
    assert marked(error) == "al.log(x)"
    assert f'File "{__file__}", line {error.source.lineno}, in <lambda>' in str(error)


def test_the_line_of_a_node_that_a_sweep_stops_at():
    x = Value(0.0, "x")

    def run():
        y = al.sqrt(x) * 2.0
        y.backward()

    assert marked(caught(run)) == "al.sqrt(x)"


def test_the_line_through_operators_methods_softmax_layers_and_own_operations():
    x = Value(0.0, "x")
    own = al.Op("own", "own", value=lambda x: inf, partials=lambda z, x: (1.0,))
    layer = nn.Layer(2, 1, init=lambda n_in, n_out, rng: [[1e308, 1e308]])
    assert marked(caught(lambda: 1.0 / x)) == "1.0 / x"
    assert marked(caught(lambda: x.log())) == "x.log()"
    assert marked(caught(lambda: x**-1.0)) == "x**-1.0"
    assert marked(caught(lambda: own(x))) == "own(x)"
    assert marked(caught(lambda: layer([1.0, 1.0]))) == "layer([1.0, 1.0])"
    assert caught(lambda: own(x)).cure is None
    assert caught(lambda: al.Op("log", "l", value=lambda x: -inf, partials=lambda z, x: (1.0,))(x)).cure is None


# The block


def test_a_decorator_watches_every_call():
    @al.detect_anomaly()
    def ratio(x, y=1.0):
        """Divide."""
        return x / y

    assert ratio.__name__ == "ratio" and ratio.__doc__ == "Divide."
    for _ in range(2):
        assert ratio(Value(1.0), y=Value(2.0)).data == 0.5
        with pytest.raises(AnomalyError):
            ratio(Value(1.0), Value(0.0))
    assert watching() is None
    assert (Value(1.0) / 0.0).data == inf


def test_a_decorated_function_may_recurse():
    @al.detect_anomaly()
    def halve(x, times):
        return halve(x / 2.0, times - 1) if times else x

    assert halve(Value(8.0), 3).data == 1.0
    assert watching() is None


def test_what_cannot_be_decorated():
    def generator():
        yield 1.0

    async def coroutine():
        return 1.0

    async def asynchronous_generator():
        yield 1.0

    for function in (generator, coroutine, asynchronous_generator):
        with pytest.raises(TypeError, match=f"can't watch {function.__name__}.*around what uses it"):
            al.detect_anomaly()(function)
    for thing in (3, Value):
        with pytest.raises(TypeError, match="decorates a function"):
            al.detect_anomaly()(thing)
    with pytest.raises(TypeError, match="inf= must be True or False, not 0"):
        al.detect_anomaly(inf=0)
    with pytest.raises(TypeError):
        al.detect_anomaly(generator)


def test_a_block_inside_a_coroutine_and_a_generator():
    async def coroutine():
        with al.detect_anomaly():
            return al.log(Value(0.0))

    def generator():
        with al.detect_anomaly():
            yield al.exp(Value(0.0))
            yield al.log(Value(0.0))

    with pytest.raises(AnomalyError):
        asyncio.run(coroutine())
    values = generator()
    assert next(values).data == 1.0
    with pytest.raises(AnomalyError):
        next(values)
    assert watching() is None


def test_nested_blocks_share_their_lines_and_keep_their_options():
    def run():
        x = Value(0.0)
        y = al.sqrt(x)
        with al.detect_anomaly(inf=False):
            al.log(x)
            (al.where(x, y, 0.0)).backward()

    assert marked(caught(run)) == "al.sqrt(x)"

    def after():
        with al.detect_anomaly(inf=False):
            al.log(Value(0.0))
        al.log(Value(0.0))

    assert marked(caught(after)) == "al.log(Value(0.0))"


def test_one_block_object_opened_twice_and_in_threads():
    block = al.detect_anomaly()
    with block, block, pytest.raises(AnomalyError):
        al.log(Value(0.0))
    assert watching() is None
    barrier, seen = threading.Barrier(2), []

    def work():
        with block:
            barrier.wait()
            seen.append(watching() is not None)
            barrier.wait()
        seen.append(watching() is None)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 4


def test_another_thread_is_not_watched():
    found = []
    with al.detect_anomaly():
        thread = threading.Thread(target=lambda: found.append(al.log(Value(0.0)).data))
        thread.start()
        thread.join()
    assert found == [-inf]


def test_without_recording_too():
    def run():
        with al.no_grad():
            al.sqrt(al.sub(Value(1.0, "a"), 2.0))

    error = caught(run)
    assert error.node.op is al.sqrt
    assert marked(error) == 'al.sqrt(al.sub(Value(1.0, "a"), 2.0))'
    with al.detect_anomaly(), al.no_grad():
        assert Value(1.0).exp().op is None


def test_scopes_are_kept():
    def run():
        with al.scope("layer"):
            al.log(Value(0.0))

    assert repr(caught(run).node.scope) == "layer"


def test_other_errors_and_ctrl_c_leave_nothing_behind():
    for kind in (KeyboardInterrupt, ValueError):
        with pytest.raises(kind), al.detect_anomaly():
            raise kind
        assert watching() is None


def test_nodes_are_freed_in_a_block():
    with al.detect_anomaly():
        y = Value(1.0)
        for _ in range(10):
            y = y + 1.0
        assert len(watching().made_at) == 10
        del y
        assert len(watching().made_at) == 0


# What the error shows


def test_the_tree_of_many_operands_shows_the_telling_ones():
    xs = [Value(float(k), f"x{k}") for k in range(100)]
    xs[50].data = xs[70].data = 1.5e308
    error = caught(lambda: al.sum(xs))
    assert "x50 = 1.5e+308" in error.tree and "x70" in error.tree and "… 94 more" in error.tree
    assert len(error.excerpt.parents) == 6
    assert error.excerpt.name == "inf born, 94 not shown"


def test_a_long_sum_above_keeps_the_way_down():
    x = Value(0.0, "x")

    def run():
        rest = [Value(float(k)) for k in range(1, 50)]
        al.where(0.0, al.sum([al.sqrt(x), *rest]), Value(1.0)).backward()

    error = caught(run)
    assert "sqrt = 0.0, gradient 0.0   <- nan is born here" in error.tree
    assert any(node.op is al.sqrt for node in al.topological_order(error.excerpt))


def test_names_are_made_harmless():
    error = caught(lambda: al.log(Value(0.0, "\x1b[31m<b>&\n" + "x" * 100)))
    assert "\x1b" not in str(error) and "…" in str(error)
    assert "&lt;b&gt;" in nn.draw(error.excerpt).svg


def test_the_excerpt_is_drawn():
    x = Value(0.0, "x")
    error = caught(lambda: al.where(x, al.sqrt(x), al.exp(x)).backward())
    drawing = nn.draw(error.excerpt)
    assert "nan is born here" in drawing.svg
    assert [node.op for node in al.topological_order(error.excerpt)] == [None, al.sqrt, None, al.where]
    assert error.excerpt.parents[1].partials == (inf,)
    assert x not in al.topological_order(error.excerpt)


def test_to_another_process_goes_the_message():
    error = caught(lambda: al.log(Value(0.0)))
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, FloatingPointError) and str(copy) == str(error)


def test_cures_name_what_exists():
    texts = [row.text for row in (*cures._FORWARD, *cures._BACKWARD)]
    names = {name for text in texts for name in re.findall(r"\b([a-z]\w+)\(", text)}
    assert len(names) > 12
    assert [name for name in names if not hasattr(al, name)] == []
    rows = {name for row in (*cures._FORWARD, *cures._BACKWARD) for name in f"{row.operations} {row.inside}".split()}
    assert [name for name in rows if name not in al.TABLE] == []


# No false alarm


@given(st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=6))
def test_ordinary_programs_are_left_alone(xs):
    def program():
        values = [Value(x) for x in xs]
        y = al.logsumexp(values) + al.dot(values, values[::-1])
        z = al.tanh(y) * al.sigmoid(values[0]) - al.hypot(values[0], values[1])
        z.backward()
        return z.data, [v.grad for v in values]

    plain = program()
    with al.detect_anomaly():
        assert program() == plain
