"""The events of a computation: they are frozen, complete, and add up to what backward does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import Value
from autograd_lite.steps import Backward, Forward, events


def example():
    x, w, b = Value(2.0, "x"), Value(0.5, "w"), Value(0.1, "b")
    return al.tanh(w * x + b) + x * x


def test_every_node_is_one_forward_event_and_every_edge_one_backward_event():
    y = example()
    order = al.topological_order(y)
    story = events(y)
    assert [event.node for event in story.forward] == order
    assert [event.result for event in story.forward] == [node.data for node in order]
    assert [event.operands for event in story.forward] == [node.operands for node in order]
    edges = [(node, parent, k) for node in reversed(order) for k, parent in enumerate(node.parents)]
    assert [(event.node, event.parent, event.position) for event in story.backward] == edges
    assert list(story) == [*story.forward, *story.backward]


def test_an_event_shows_its_arithmetic():
    for event in events(example()).backward:
        assert event.contribution == event.partial * event.upstream
        assert event.after == event.before + event.contribution


def test_nothing_is_changed():
    y = example()
    events(y)
    assert [node.grad for node in al.topological_order(y)] == [0.0] * 8
    with pytest.raises(AttributeError):
        events(y)[0].result = 1.0


@given(st.lists(st.sampled_from("+-*/^tear"), min_size=1, max_size=40), st.floats(-2.0, 2.0), st.floats(0.5, 2.0))
def test_the_events_add_up_to_backward_bit_for_bit(program, a, b):
    values = [Value(a), Value(b)]
    for k, step in enumerate(program):
        x, y = values[-1], values[-1 - k % len(values)]
        values.append(
            {
                "+": lambda x, y: x + y,
                "-": lambda x, y: 1.5 - x - y,
                "*": lambda x, y: x * y,
                "/": lambda x, y: x / (y * y + 1.0),
                "^": lambda x, y: al.affine([x, y], [y, x], x),
                "t": lambda x, y: al.tanh(x),
                "e": lambda x, y: al.exp(-x * x),
                "a": lambda x, y: al.maximum(x, y),
                "r": lambda x, y: al.sum([x, 2.0, y, x]),
            }[step](x, y)
        )
    y = values[-1]
    last = {y: 1.0}
    for event in events(y).backward:
        last[event.parent] = event.after
    y.backward()
    for node in al.topological_order(y):
        assert math.copysign(1.0, node.grad) == math.copysign(1.0, last[node]) or math.isnan(node.grad)
        assert node.grad == last[node] or (math.isnan(node.grad) and math.isnan(last[node]))


def test_a_seed():
    x = Value(3.0)
    assert events(x * x, grad=10.0).backward[-1].after == 60.0


def test_a_leaf_is_one_event():
    x = Value(3.0)
    assert events(x) == (Forward(x, None, (), 3.0),)


def test_a_hundred_thousand_nodes():
    y = x = Value(1.0)
    for _ in range(50_000):
        y = y * 1.0 + x
    story = events(y)
    assert len(story) == 100_001 + 150_000
    assert isinstance(story[-1], Backward)


@pytest.mark.parametrize("wrong", [1.0, None, "y", [Value(1.0)]])
def test_what_is_not_a_value_is_refused(wrong):
    with pytest.raises(TypeError, match="is of type"):
        events(wrong)
