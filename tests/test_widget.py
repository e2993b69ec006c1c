"""A widget and its stepper are always at the same place, and it shows a picture where there are no widgets."""

import json
import sys

import pytest

import autograd_lite as al
from autograd_lite import Value
from nn.stepping import stepper

pytest.importorskip("anywidget", reason="anywidget is not installed")
from traitlets import TraitError


def neuron() -> Value:
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(0.1, "b")
    return (w * x + b).tanh()


def test_either_follows_the_other():
    s = stepper(neuron()).goto(3)
    widget = s.widget()
    assert widget.step == 3
    for move, position in ((s.next, 4), (s.back, 3), (lambda: s.goto("b"), 3), (lambda: s.goto(-1), 10)):
        move()
        assert (s.position, widget.step) == (position, position)
    s.goto(0).until(lambda event: event.result > 1.0)
    assert widget.step == s.position == 1
    widget.step = 7
    assert (s.position, s.event) == (7, s.steps[7])


def test_two_of_one_stepper_agree_and_another_stepper_is_not_disturbed():
    s, other = stepper(neuron()), stepper(neuron()).goto(2)
    one, two, third = s.widget(), s.widget(), other.widget()
    one.step = 5
    assert (one.step, two.step, s.position) == (5, 5, 5)
    assert (other.position, third.step) == (2, 2)
    s.next()
    assert (one.step, two.step, third.step) == (6, 6, 2)


@pytest.mark.parametrize("position", [11, -1, 1.5, "h"])
def test_a_page_can_not_send_it_elsewhere(position):
    s = stepper(neuron()).goto(2)
    widget = s.widget()
    with pytest.raises((ValueError, TraitError), match=r"there is no step|expected an int"):
        widget.step = position
    assert (s.position, widget.step) == (2, 2)


def test_a_page_that_goes_box_by_box_is_moved_by_every_event(monkeypatch):
    monkeypatch.setattr("nn.step_page._MOST_STEPS", 0)
    with al.scope("squares"):
        z = al.sum([Value(float(i)) ** 2 for i in range(5)])
    s = stepper(z + 1.0, depth=1)
    one, two = s.widget(), s.widget()
    assert one.story["labels"] == ["squares", "y"]
    two.step = 1
    assert (s.event.node, one.step) == (s.steps.forward[-1].node, 1)
    assert {s.goto(i) and two.step for i in range(1, len(s.steps.forward) - 1)} == {0}


def test_a_closed_one_is_left_alone():
    s = stepper(neuron())
    widget, open_one = s.widget(), s.widget()
    widget.close()
    assert s.next().position == open_one.step == 1


def test_what_it_sends_is_the_story_of_the_page():
    s = stepper(neuron())
    state = s.widget().get_state()
    page = s._page.html(0)
    story = json.loads(page[page.index('json">') + 6 : page.index("</script>")])
    assert {**state["story"], "position": state["step"]} == {
        **story,
        "svg": page[page.index("<svg") : page.index("</svg>") + 7],
        "height": s._page.height,
    }
    assert state["_esm"] in page and state["_css"] in page
    assert repr(s.widget()) == repr(s)


def test_where_there_are_no_widgets_it_shows_what_the_stepper_shows():
    s = stepper(neuron())
    data, _ = s.widget()._repr_mimebundle_()
    view = data.pop("application/vnd.jupyter.widget-view+json")
    assert view["model_id"]
    assert data == s._repr_mimebundle_()


def test_without_anywidget_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "nn.widget", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'autograd_lite\[notebook\]'"):
        stepper(neuron()).widget()
