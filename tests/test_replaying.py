"""A replay shows the recorded weights, of this model and this data, says what it leaves out, and changes nothing."""

import base64
import json
import math
import re
import zlib
from array import array
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import autograd_lite as al
from nn import data
from nn.losses import hinge, mse
from nn.modules import MLP, Layer, Neuron
from nn.replaying import _map, replay
from nn.training import History, fit, predict

HOSTILE = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'`&lt;\\\u2028\n", "x" * 10_000]
SAME = tuple(data.same_value())
WAVE = ([[x / 10] for x in range(-20, 21)], [math.sin(x / 10) for x in range(-20, 21)])


def trained(model: Any, X: Any, y: Any, epochs: int = 3, **options: Any) -> History:
    return fit(model, X, y, epochs=epochs, record=True, progress=False, **options)


def story(shown: Any) -> dict[str, Any]:
    """Return what the page is told."""
    text = re.search(r'<script type="application/json">(.*?)</script>', shown._page(), re.DOTALL)
    assert text is not None
    return json.loads(text[1])


def weights(told: dict[str, Any]) -> list[list[float]]:
    """Return the weights in the page, epoch by epoch."""
    numbers = array("d", base64.b64decode(told["weights"])).tolist()
    size = len(numbers) // len(told["epochs"])
    return [numbers[at : at + size] for at in range(0, len(numbers), size)]


def test_the_page_holds_the_recorded_weights_to_the_last_bit():
    model = MLP(2, [3, 1], activation=al.tanh, seed=0)
    history = trained(model, *SAME)
    assert weights(story(replay(history, model, *SAME))) == [list(each) for each in history.weights]


def test_the_model_is_left_alone():
    model = MLP(2, [3, 1], seed=0)
    history = trained(model, *SAME)
    model.parameters()[0].data, model.parameters()[0].grad = 0.25, 3.0
    before, recorded = model.state_dict(), [list(each) for each in history.weights]
    shown = replay(history, model, *SAME)
    shown._repr_mimebundle_()
    assert (model.state_dict(), model.parameters()[0].grad) == (before, 3.0)
    assert [list(each) for each in history.weights] == recorded
    assert weights(story(shown))[-1] == recorded[-1]  # not the changed ones


@pytest.mark.parametrize(
    "model",
    [
        MLP(2, [4, 3, 2], activation=al.gelu, output=al.softmax, seed=0),
        MLP(2, [1], output=al.sigmoid, seed=0),
        Layer(2, 2, al.softmax, seed=0),
        Layer(2, 3, al.tanh, seed=0),
        Neuron(2, al.leaky_relu, seed=0),
    ],
    ids=repr,
)
def test_the_layers_say_what_the_model_computes(model):
    history = trained(model, *SAME, loss=lambda o, t: al.square(o[0] - t))
    shown = replay(history, model, *SAME)
    for row, outputs in zip(SAME[0], predict(model, SAME[0]), strict=True):
        assert shown.network.outputs(history.weights[-1], row) == pytest.approx(outputs, rel=1e-12)


def test_what_it_tells_of_two_classes():
    model = MLP(2, [3, 1], seed=0)
    history = trained(model, *SAME, epochs=5, validation=SAME)
    told = story(replay(history, model, *SAME, classes=["different", "same"], feature_names=["left", "right"]))
    assert told["epochs"] == [0, 1, 2, 3, 4, 5]
    assert told["figures"][0] == []
    assert told["figures"][5][0] == f"loss {history['loss'][-1]:#.4g}"
    assert told["losses"] == {
        "training": [None, *history["loss"]],
        "validation": [None, *history["validation_loss"]],
    }
    assert (told["classes"], told["features"], told["ranges"]) == (["different", "same"], ["left", "right"], [])
    assert [target for _, target in told["points"]] == [1, 0, 0, 1]
    assert told["probabilities"] is False


def test_hinge_has_classes_of_either_sign():
    model = MLP(2, [3, 1], seed=0)
    targets = [-1, 1, 1, -1]
    history = trained(model, SAME[0], targets, loss=hinge)
    told = story(replay(history, model, SAME[0], targets))
    assert [target for _, target in told["points"]] == [0, 1, 1, 0]


def test_probabilities_are_taken_as_such():
    model = MLP(2, [3, 1], output=al.sigmoid, seed=0)
    history = trained(model, *SAME, loss=lambda o, t: al.square(o[0] - t))
    assert story(replay(history, model, *SAME))["probabilities"] is True


def test_numbers_have_a_range_for_each_output():
    model = MLP(2, [3, 2], activation=al.tanh, seed=0)
    targets = [[0.0, 100.0], [1.0, 200.0], [0.5, 100.0], [0.0, 150.0]]
    told = story(replay(trained(model, SAME[0], targets), model, SAME[0], targets))
    assert told["ranges"] == [pytest.approx([-0.1, 1.1]), pytest.approx([90.0, 210.0])]
    assert [target for _, target in told["points"]] == targets
    assert told["classes"] == []


def test_integers_may_be_numbers():
    model = MLP(2, [1], seed=0)
    history = trained(model, SAME[0], [3, 5, 7, 9], loss=mse)
    assert story(replay(history, model, SAME[0], [3, 5, 7, 9]))["classes"] == []


def test_other_inputs_are_held_at_their_means_and_the_page_says_so():
    X, y = data.iris()
    model = MLP(4, [4, 3], seed=0)
    told = story(replay(trained(model, X, y, epochs=1), model, X, y, inputs=(3, 0), feature_names=list("abcd")))
    assert told["axes"] == [3, 0]
    means = [sum(row[i] for row in X) / len(X) for i in range(4)]
    assert told["means"] == pytest.approx(means)
    assert f"held at its mean (b = {means[1]:.4g}, c = {means[2]:.4g})" in told["notes"][0]
    places, _ = told["points"][7]
    assert told["low"][0] + places[0] * (told["high"][0] - told["low"][0]) == pytest.approx(X[7][3], abs=1e-3)
    assert told["low"][1] + places[1] * (told["high"][1] - told["low"][1]) == pytest.approx(X[7][0], abs=1e-3)


def test_one_input_has_one_axis():
    model = MLP(1, [3, 1], activation=al.tanh, seed=0)
    told = story(replay(trained(model, *WAVE), model, *WAVE))
    assert (told["axes"], len(told["points"]), len(told["points"][0][0])) == ([0], 41, 1)


def test_of_a_long_history_evenly_spaced_epochs_are_kept_and_the_page_says_so():
    model = Neuron(1, seed=0)
    history = trained(model, [[1.0]], [0.5], epochs=1000)
    told = story(replay(history, model, [[1.0]], [0.5]))
    assert (len(told["epochs"]), told["epochs"][:3], told["epochs"][-1]) == (201, [0, 5, 10], 1000)
    assert weights(told)[2] == list(history.weights[10])
    assert told["losses"]["training"][2] == history["loss"][9]
    assert "201 of 1,001 epochs are shown, evenly spaced." in told["notes"]


def test_of_a_large_network_fewer_epochs_are_kept():
    model = Layer(5000, 2, seed=0)
    history = trained(model, [[0.001] * 5000], [1], epochs=20)
    assert story(replay(history, model, [[0.001] * 5000], [1]))["epochs"] == [0, 2, 5, 8, 10, 12, 15, 18, 20]


def test_of_many_examples_some_are_shown_and_the_page_says_so():
    model = Neuron(1, seed=0)
    X, y = [[float(i)] for i in range(1200)], [float(i) for i in range(1200)]
    told = story(replay(trained(model, [[1.0]], [0.5]), model, X, y))
    assert len(told["points"]) == 500
    assert "500 of 1,200 examples are shown, evenly spaced." in told["notes"]


def test_more_classes_than_colours_are_told():
    model = MLP(2, [11], seed=0)
    told = story(replay(trained(model, *SAME), model, *SAME))
    assert "There are 10 colours for 11 classes: they repeat." in told["notes"]


def test_a_training_interrupted_in_the_first_epoch_has_its_start():
    def stop(outputs, target):
        raise KeyboardInterrupt

    model = MLP(2, [3, 1], seed=0)
    calls = iter(range(len(SAME[0])))  # fit tries the loss on every target first
    history = trained(model, *SAME, loss=lambda o, t: stop(o, t) if next(calls, None) is None else mse(o, [t]))
    shown = replay(history, model, *SAME)
    assert (len(history), story(shown)["epochs"]) == (0, [0])
    assert "after epoch 0" in shown._repr_mimebundle_()["image/svg+xml"]


def test_a_loss_that_is_not_finite_leaves_a_gap():
    model = Neuron(1, seed=0)
    history = trained(model, [[1.0]], [0.5])
    history.records[1]["loss"] = math.inf
    assert story(replay(history, model, [[1.0]], [0.5]))["losses"]["training"][2] is None


# In a file and in a notebook


def test_the_page_is_one_file_that_runs_only_its_own_script(tmp_path: Path):
    model = MLP(2, [3, 1], seed=0)
    shown = replay(trained(model, *SAME), model, *SAME)
    shown.save(tmp_path / "replay.html")
    page = (tmp_path / "replay.html").read_text("utf-8")
    assert "default-src 'none'; style-src 'sha256-" in page
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    shown.save(tmp_path / "again.HTML")
    assert (tmp_path / "again.HTML").read_text("utf-8") == page
    with pytest.raises(ValueError, match=r"a replay is saved as \.html, but .*replay\.svg' ends otherwise"):
        shown.save(tmp_path / "replay.svg")


def test_the_page_is_small():
    X, y = data.moons(200, seed=0)
    model = MLP(2, [8, 8, 1], activation=al.tanh, seed=0)
    history = trained(model, X, y, epochs=2)
    history.weights += history.weights[:1] * 98
    history.records += history.records[:1] * 98
    assert len(replay(history, model, X, y)._page().encode()) < 250_000


def test_what_a_notebook_gets():
    model = MLP(2, [3, 1], seed=0)
    shown = replay(trained(model, *SAME), model, *SAME)
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "text/plain"}
    assert 'sandbox="allow-scripts"' in bundle["text/html"] and "<img alt=" in bundle["text/html"]
    assert (
        bundle["text/plain"]
        == repr(shown)
        == ("Replay(MLP(2 inputs -> 3 relu -> 1 linear: a 2-layer network, 13 parameters): epochs 0 to 3, 4 examples)")
    )
    assert set(shown._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(shown._repr_mimebundle_(exclude={"text/html"})) == {"image/svg+xml", "text/plain"}
    assert bundle == replay(shown.history, model, *SAME)._repr_mimebundle_()
    mime, frame = shown._mime_()  # what marimo asks for
    assert mime == "text/html" and frame.startswith("<iframe") and frame in bundle["text/html"]


def test_the_still_picture_is_the_last_epoch():
    model = Neuron(2, init=lambda n_in, n_out, rng: [[10.0, 0.0]])
    X, y = [[-1.0, -1.0], [1.0, 1.0]], [0, 1]
    png = _map(replay(trained(model, X, y), model, X, y))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    size = int.from_bytes(png[33:37], "big")
    lines = zlib.decompress(png[41 : 41 + size])
    assert len(lines) == 40 * (1 + 3 * 40)
    left, right = lines[1:4], lines[118:121]
    assert left[0] > left[2] and right[2] > right[0]  # class 0 is orange, class 1 is blue


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name: str):
    class Scripts(HTMLParser):
        found = 0

        def handle_starttag(self, tag, attributes):
            self.found += tag in ("script", "img")

    model = MLP(2, [3, 1], seed=0)
    shown = replay(trained(model, *SAME), model, *SAME, feature_names=[name, "b"], classes=[name, "c"])
    parser = Scripts()
    parser.feed(shown._page())
    assert parser.found == 2
    assert len(story(shown)["features"][0]) <= 24
    picture = ElementTree.fromstring(shown._repr_mimebundle_()["image/svg+xml"])
    assert "script" not in {element.tag.rpartition("}")[2] for element in picture.iter()}


# What is wrong is said


def test_what_is_not_recorded_can_not_be_replayed():
    model = MLP(2, [3, 1], seed=0)
    history = fit(model, *SAME, epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"no weights to replay; train with fit\(\.\.\., record=True\)"):
        replay(history, model, *SAME)


@pytest.mark.parametrize("other", [MLP(2, [4, 1]), MLP(2, [3, 1], activation=al.tanh), Neuron(2), Layer(2, 3)])
def test_another_model_is_refused(other):
    model = MLP(2, [3, 1], seed=0)
    with pytest.raises(ValueError, match=r"the recorded weights are those of MLP\(2 inputs -> 3 relu .* the model is"):
        replay(trained(model, *SAME), other, *SAME)


def test_a_model_that_computes_something_else_is_refused():
    class Doubled(MLP):
        def __call__(self, x):
            return [2.0 * output for output in super().__call__(x)]

    model = Doubled(2, [3, 1], seed=0)
    with pytest.raises(ValueError, match="the model computes something else than its layers"):
        replay(trained(model, *SAME), model, *SAME)


@pytest.mark.parametrize("f", [al.gamma, al.Op("tanh", "t", lambda x: x * x, lambda z, x: (2.0 * x,))])
def test_an_activation_that_a_page_can_not_compute_is_refused(f):
    model = MLP(2, [3, 1], activation=f, seed=0)
    history = History("accuracy", weights=[array("d", model.state_dict().values())], model=repr(model))
    with pytest.raises(ValueError, match=r"a page can't compute the activation <operation \w+\(x\)>"):
        replay(history, model, *SAME)


@pytest.mark.parametrize(
    ("X", "y", "options", "error", "message"),
    [
        ([[1.0]], [0], {}, ValueError, "X does not fit the model: want 2 inputs, got 1"),
        ([[1.0, 2.0]], [0, 1], {}, ValueError, "X has 1 rows and y has 2 targets"),
        ([[1.0, math.nan]], [0], {}, ValueError, r"X\[0\]\[1\] is nan"),
        ("rows", [0], {}, TypeError, "X must be a list"),
        ([[1.0, 2.0]], [5], {}, ValueError, r"y\[0\] is 5, but for this model the index of a class is 0 or 1"),
        ([[1.0, 2.0]], [0], {"inputs": (0, 2)}, ValueError, r"two different numbers from 0 to 1, got \(0, 2\)"),
        ([[1.0, 2.0]], [0], {"inputs": (1, 1)}, ValueError, r"two different numbers from 0 to 1, got \(1, 1\)"),
        ([[1.0, 2.0]], [0], {"inputs": (-1, 0)}, ValueError, r"two different numbers from 0 to 1, got \(-1, 0\)"),
        ([[1.0, 2.0]], [0], {"inputs": 0}, TypeError, r"the numbers of two inputs, such as \(0, 1\), not 0"),
        ([[1.0, 2.0]], [0], {"inputs": (0, 1, 2)}, TypeError, "the numbers of two inputs"),
        ([[1.0, 2.0]], [0], {"inputs": ("a", "b")}, TypeError, "the numbers of two inputs"),
        ([[1.0, 2.0]], [0], {"classes": ["a"]}, ValueError, "classes must be 2 names, got 1"),
        ([[1.0, 2.0]], [0], {"feature_names": "ab"}, ValueError, "feature_names must be 2 names, got 1"),
        ([[1.0, 2.0]], [0], {"feature_names": [1, 2]}, TypeError, "feature_names must be texts"),
    ],
)
def test_bad_arguments(X, y, options, error, message):
    model = MLP(2, [3, 1], seed=0)
    history = trained(model, *SAME, epochs=1)
    with pytest.raises(error, match=message):
        replay(history, model, X, y, **options)


def test_bad_arguments_for_numbers():
    model = MLP(1, [1], seed=0)
    history = trained(model, *WAVE, epochs=1)
    with pytest.raises(ValueError, match=r"inputs= chooses two inputs, but the model has one; leave it out"):
        replay(history, model, *WAVE, inputs=(0, 1))
    with pytest.raises(ValueError, match=r"classes= is for a model of classes"):
        replay(history, model, *WAVE, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"y\[0\] is \(1\.0, 2\.0\), but the model gives 1 number"):
        replay(history, model, [[1.0]], [[1.0, 2.0]])


@pytest.mark.parametrize(("history", "model"), [("loss", Neuron(2)), (None, Neuron(2)), (History("rmse"), "model")])
def test_bad_types(history, model):
    with pytest.raises(TypeError, match=r"replay (takes the History that fit returned|shows an MLP)"):
        replay(history, model, *SAME)
