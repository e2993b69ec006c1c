"""A model comes back bit for bit; whatever else is in the file, one line says so and nothing changes."""

import json
import math
import os
import re
import stat
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_lite as al
from autograd_lite import files
from autograd_lite.files import write_atomically
from nn import persistence
from nn.modules import MLP, Neuron
from nn.persistence import load, read_model, save


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property, where `tmp_path` may not be used."""
    return tmp_path_factory.mktemp("models")


def small() -> MLP:
    return MLP(2, [3, 1], activation=al.tanh, output=al.sigmoid, seed=0)


def document() -> dict:
    """What is in the file of a small model."""
    model = small()
    return {
        "format": "autograd_lite model",
        "version": 1,
        "architecture": {"n_inputs": 2, "sizes": [3, 1], "activation": "tanh", "output": "sigmoid"},
        "parameters": model.state_dict(),
        "extra": {},
    }


def write(folder: Path, content: object, name: str = "model.json") -> Path:
    path = folder / name
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    path.write_bytes(content)
    return path


def bits(model: MLP) -> list[bytes]:
    return [struct.pack("<d", value) for value in model.state_dict().values()]


# what is saved comes back


def test_the_file_is_as_documented(tmp_path):
    save(small(), tmp_path / "model.json")
    assert json.loads((tmp_path / "model.json").read_text(encoding="utf-8")) == document()


@pytest.mark.parametrize("activation", [None, al.relu, al.tanh, al.leaky_relu, al.elu, al.sin])
@pytest.mark.parametrize("output", [None, al.sigmoid, al.softmax])
@pytest.mark.parametrize("sizes", [[1], [3, 2], [2, 2, 2]])
def test_models_come_back(tmp_path, activation, output, sizes):
    model = MLP(2, sizes, activation=activation, output=output, seed=1)
    save(model, tmp_path / "model.json")
    again = load(tmp_path / "model.json")
    assert repr(again) == repr(model)
    assert again.named_parameters() != model.named_parameters()
    assert again.state_dict() == model.state_dict()
    assert [value.name for value in again.parameters()] == [value.name for value in model.parameters()]
    assert [o.data for o in again([1.0, -2.0])] == [o.data for o in model([1.0, -2.0])]
    other = MLP(2, sizes, activation=activation, output=output, seed=2)
    assert load(other, str(tmp_path / "model.json")) is other
    assert other.state_dict() == model.state_dict()


@given(st.lists(st.floats(), min_size=13, max_size=13))
def test_floats_come_back_bit_for_bit(folder, numbers):
    model = small()
    numbers = [math.nan if math.isnan(number) else number for number in numbers]  # JSON tells no nan from another
    model.load_state_dict(dict(zip(model.state_dict(), numbers, strict=True)))
    save(model, folder / "floats.json")
    assert bits(load(folder / "floats.json")) == bits(model)


def test_numbers_that_are_not_finite_are_strict_json(tmp_path):
    model = MLP(2, [1])
    model.load_state_dict({"w[1,1]": math.nan, "w[1,2]": math.inf, "w[1,0]": -math.inf})
    save(model, tmp_path / "model.json")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert found["parameters"] == {"w[1,1]": "nan", "w[1,2]": "inf", "w[1,0]": "-inf"}


def test_same_model_same_bytes(tmp_path):
    save(small(), tmp_path / "a.json", classes=["x", "y"], path="p", model="m")
    save(small(), tmp_path / "b.json", model="m", path="p", classes=["x", "y"])
    content = (tmp_path / "a.json").read_bytes()
    assert content == (tmp_path / "b.json").read_bytes()
    assert content.endswith(b"}\n")
    assert content.isascii()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_facts_come_back(folder, fact):
    save(small(), folder / "facts.json", fact=fact)
    model, extra = read_model(folder / "facts.json")
    assert extra == {"fact": fact}
    assert model.state_dict() == small().state_dict()


# what save refuses


@pytest.mark.parametrize(
    ("model", "extra", "error", "message"),
    [
        (Neuron(2), {}, TypeError, "save takes an MLP, got Neuron"),
        (None, {}, TypeError, "save takes an MLP, got None"),
        (
            MLP(2, [1], output=al.Op("relu", "r", lambda x: x, lambda z, x: (1.0,))),
            {},
            ValueError,
            "<operation relu(x)> is not an operation of the table, and a file holds no code; keep state_dict()",
        ),
        (small(), {"a": {1}}, TypeError, "the extra facts 'a' must be such as JSON can hold: Object of type set"),
        (small(), {"a": 1j}, TypeError, "the extra facts 'a' must be such as JSON can hold: Object of type complex"),
        (small(), {"a": {(1, 2): 3}}, TypeError, "the extra facts 'a' must be such as JSON can hold: keys must be"),
        (small(), {"a": math.nan}, ValueError, "the extra facts 'a' must be such as JSON can hold: Out of range"),
        (small(), {"a": {1: 2, "1": 3}}, ValueError, "the key '1' is there twice"),
    ],
)
def test_save_refuses_and_leaves_the_file_as_it_was(tmp_path, model, extra, error, message):
    path = write(tmp_path, b"before")
    with pytest.raises(error) as caught:
        save(model, path, **extra)
    assert str(caught.value).startswith(message)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.json"]


def test_facts_nested_too_deeply_are_refused(tmp_path):
    fact: list = []
    for _ in range(100_000):
        fact = [fact]
    with pytest.raises(ValueError, match="the extra facts 'a' must be such as JSON can hold: "):
        save(small(), tmp_path / "model.json", a=fact)
    assert os.listdir(tmp_path) == []


def test_a_model_changed_by_hand_is_refused(tmp_path):
    model = small()
    model.layers[0].activation = al.relu
    with pytest.raises(ValueError, match=r"the layers of MLP\(2 inputs -> 3 relu .* are not as they were made"):
        save(model, tmp_path / "model.json")
    assert os.listdir(tmp_path) == []


# what load refuses


def changed(**changes: object) -> dict:
    return {**document(), **changes}


def architecture(**changes: object) -> dict:
    return changed(architecture={**document()["architecture"], **changes})


def parameters(**changes: object) -> dict:
    return changed(parameters={**document()["parameters"], **changes})


def without(key: str) -> dict:
    return {name: value for name, value in document().items() if name != key}


W11 = "w[1,1]"
BAD_FILES = {
    "empty": (b"", "not a model file: it is not JSON: Expecting value: line 1 column 1 (char 0)"),
    "text": (b"hello", "not a model file: it is not JSON: Expecting value"),
    "cut short": (json.dumps(document())[:-50], "not a model file: it is not JSON: "),
    "more behind": (json.dumps(document()) + "}", "not a model file: it is not JSON: Extra data"),
    "not UTF-8": (b'{"format": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 12"),
    "UTF-16": (json.dumps(document()).encode("utf-16"), "'utf-8' codec can't decode byte 0xff in position 0"),
    "a list": ([], "the file must be a JSON object, found []"),
    "a number": ("1", "the file must be a JSON object, found 1"),
    "another object": ({"a": 1}, "not a model file: \"format\" must be 'autograd_lite model', found None"),
    "another format": (changed(format="torch"), "not a model file: \"format\" must be 'autograd_lite model', found 't"),
    "newer": (changed(version=2), "the file is of version 2, this autograd_lite reads 1; upgrade it"),
    "newer with other keys": (
        {"format": "autograd_lite model", "version": 10**50},
        "the file is of version 10000000",
    ),
    "version 0": (changed(version=0), '"version" must be 1, found 0'),
    "version text": (changed(version="1"), "\"version\" must be 1, found '1'"),
    "version true": (changed(version=True), '"version" must be 1, found True'),
    "no version": (without("version"), '"version" must be 1, found None'),
    "no parameters": (
        without("parameters"),
        "the file must have 'format', 'version', 'architecture', 'parameters', 'extra', found",
    ),
    "unknown key": (changed(code="import os"), "the file must have 'format', 'version', 'architecture', 'parameters'"),
    "key twice": (json.dumps(document())[:-1] + ', "version": 1}', "the key 'version' is there twice"),
    "parameter twice": (
        json.dumps(document()).replace('"w[1,0]"', '"w[1,1]"'),
        "the key 'w[1,1]' is there twice",
    ),
    "deep": ("[" * 100_000, "not a model file: it is nested too deeply"),
    "deep objects": ('{"a":' * 100_000, "not a model file: it is nested too deeply"),
    "NaN": (parameters(**{W11: math.nan}), "NaN is not JSON"),
    "Infinity": (parameters(**{W11: -math.inf}), "-Infinity is not JSON"),
    "beyond float64": (
        json.dumps(parameters(**{W11: 0.125})).replace("0.125", "1e999"),
        "parameter 'w[1,1]' is beyond the range of a float64",
    ),
    "long integer": (parameters(**{W11: 10**400}), "parameter 'w[1,1]' is beyond the range of a float64"),
    "longer integer": (json.dumps(parameters(**{W11: 7})).replace(" 7,", f" {'7' * 9999},"), "Exceeds the limit"),
    "parameter text": (parameters(**{W11: "1.0"}), "parameter 'w[1,1]' must be a number, found '1.0'"),
    "parameter null": (parameters(**{W11: None}), "parameter 'w[1,1]' must be a number, found None"),
    "parameter true": (parameters(**{W11: True}), "parameter 'w[1,1]' must be a number, found True"),
    "parameter list": (parameters(**{W11: [1.0]}), "parameter 'w[1,1]' must be a number, found [1.0]"),
    "parameters list": (changed(parameters=[1.0] * 13), '"parameters" must be a JSON object, found [1.0, 1.0'),
    "parameter too many": (
        parameters(**{"w[2,1]": 1.0}),
        "a network of sizes [2, 3, 1] has 13 parameters, the file holds 14",
    ),
    "parameter renamed": (
        json.dumps(document()).replace('"w[1,0]"', '"b"'),
        "the state does not fit this MLP: missing 'w[1,0]', unknown 'b'",
    ),
    "other sizes": (
        architecture(sizes=[3, 2]),
        "a network of sizes [2, 3, 2] has 17 parameters, the file holds 13",
    ),
    "huge sizes": (
        architecture(n_inputs=10**6, sizes=[10**6, 10**6]),
        "a network of sizes [1000000, 1000000, 1000000] has 2,000,002,000,000 parameters, the file holds 13",
    ),
    "huger sizes": (
        architecture(sizes=[10**7, 1]),
        "a number of units must be an integer from 1 to 1,000,000, found 10000000",
    ),
    "no units": (architecture(sizes=[0, 1]), "a number of units must be an integer from 1 to 1,000,000, found 0"),
    "negative units": (architecture(n_inputs=-2), "a number of units must be an integer from 1 to 1,000,000, found -2"),
    "units float": (architecture(n_inputs=2.0), "a number of units must be an integer from 1 to 1,000,000, found 2.0"),
    "units true": (architecture(sizes=[3, True]), "a number of units must be an integer from 1 to 1,000,000, found Tr"),
    "no layers": (
        changed(architecture={**document()["architecture"], "sizes": []}, parameters={}),
        "sizes is empty; give at least the number of output units, such as [1]",
    ),
    "sizes number": (architecture(sizes=3), '"sizes" must be a list, found 3'),
    "sizes text": (architecture(sizes="31"), "\"sizes\" must be a list, found '31'"),
    "architecture list": (changed(architecture=[]), '"architecture" must be a JSON object, found []'),
    "architecture more": (
        architecture(layers=2),
        "\"architecture\" must have 'n_inputs', 'sizes', 'activation', 'output', found",
    ),
    "unknown activation": (architecture(activation="os.system"), "unknown activation 'os.system'"),
    "activation number": (architecture(output=1), "unknown activation 1"),
    "activation list": (architecture(output=["tanh"]), "unknown activation ['tanh']"),
    "binary activation": (architecture(activation="add"), "an activation must be an operation of one number"),
    "n-ary activation": (architecture(output="sum"), "an activation must be an operation of one number"),
    "softmax hidden": (architecture(activation="softmax"), "softmax is for a whole layer, not for one unit"),
    "extra list": (changed(extra=[]), '"extra" must be a JSON object, found []'),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_one_line_says_what_is_wrong(tmp_path, content, message):
    path = write(tmp_path, content)
    model = small()
    before = [(value.data, value.grad, value.name) for value in model.parameters()]
    for read in (load, read_model, lambda path: load(model, path)):
        with pytest.raises(ValueError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: {message}")
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < len(str(path)) + 220
    assert [(value.data, value.grad, value.name) for value in model.parameters()] == before


def test_the_documents_above_are_right_but_for_one_thing(tmp_path):
    assert load(write(tmp_path, document())).state_dict() == small().state_dict()
    assert load(write(tmp_path, parameters(**{W11: 7}))).state_dict()[W11] == 7.0


def test_a_small_file_makes_no_large_network(tmp_path, monkeypatch):
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("the network was made before its size was known to be right")

    monkeypatch.setattr(persistence, "MLP", refuse)
    for sizes in ([10**6, 10**6], [1] * 100_000, [10**6]):
        with pytest.raises(ValueError, match=r"parameters, the file holds 13$"):
            load(write(tmp_path, architecture(sizes=sizes)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MLP(3, [3, 1], al.tanh, al.sigmoid), "n_inputs 2 in the file and 3 in the model"),
        (MLP(2, [4, 1], al.tanh, al.sigmoid), "sizes [3, 1] in the file and [4, 1] in the model"),
        (MLP(2, [1], al.tanh, al.sigmoid), "sizes [3, 1] in the file and [1] in the model"),
        (MLP(2, [3, 1], al.relu, al.sigmoid), "activation 'tanh' in the file and 'relu' in the model"),
        (
            MLP(1, [3, 1], al.tanh),
            "n_inputs 2 in the file and 1 in the model; output 'sigmoid' in the file and None in the model",
        ),
    ],
)
def test_a_model_of_another_architecture_is_told_and_unchanged(tmp_path, model, message):
    path = write(tmp_path, document())
    before = model.state_dict()
    with pytest.raises(ValueError) as caught:
        load(model, path)
    assert str(caught.value) == f"{path}: the architectures differ: {message}"
    assert model.state_dict() == before


def test_what_cannot_be_opened_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        load(tmp_path / "missing.json")
    with pytest.raises(OSError, match=tmp_path.name):
        load(small(), tmp_path)
    with pytest.raises(TypeError, match="load takes a path, or an MLP and a path, got Neuron"):
        load(Neuron(2), tmp_path / "missing.json")


def test_too_large_a_file_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path, document())
    monkeypatch.setattr(persistence, "_MAX_BYTES", path.stat().st_size)
    load(path)
    monkeypatch.setattr(persistence, "_MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"the file is larger than .* bytes"):
        load(path)


def check_hostile(path: Path, content: bytes) -> None:
    """Whatever the bytes, the outcome is a model that works or a one-line ValueError."""
    path.write_bytes(content)
    try:
        model, extra = read_model(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")
        assert len(str(error).splitlines()) == 1
    else:
        assert len(model([0.0] * model.n_inputs)) == len(model.layers[-1].neurons)
        assert isinstance(extra, dict)


@given(st.binary())
def test_hostile_bytes(folder, content):
    check_hostile(folder / "bytes.json", content)


@given(st.data())
def test_damaged_files(folder, data):
    content = bytearray(json.dumps(document()).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 20))
        content[place : place + length] = data.draw(st.binary(max_size=5) | st.sampled_from([b"}", b"9", b"1e", b'"']))
    check_hostile(folder / "damaged.json", bytes(content))


@given(json_values)
def test_any_json_is_no_model(folder, value):
    check_hostile(folder / "any.json", json.dumps(value).encode())


@given(
    st.sampled_from([*document(), *document()["architecture"], *document()["parameters"]]),
    json_values | st.sampled_from([math.nan, 1e400, "nan", "relu", "softmax", 10**30]),
)
def test_any_json_in_any_place(folder, key, value):
    content = document()
    place = next(d for d in (content, content["architecture"], content["parameters"]) if key in d)
    place[key] = value
    check_hostile(folder / "place.json", json.dumps(content).encode())


# files


def test_write_atomically_writes_texts_and_bytes(tmp_path):
    write_atomically(tmp_path / "a", "é\r\n\n")
    write_atomically(str(tmp_path / "b"), b"\x00\xff")
    write_atomically(tmp_path / "b", b"again")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\r\n\n"
    assert (tmp_path / "b").read_bytes() == b"again"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_all_as_it_was(tmp_path, monkeypatch, failing, error):
    def fail(*_: object) -> None:
        raise error

    path = write(tmp_path, b"before")
    if failing == "fsync":
        monkeypatch.setattr(files.os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(type(error)) as caught:
        write_atomically(path, "after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.json"]
    if isinstance(error, OSError):
        assert str(caught.value) == f"[Errno 28] No space left on device: {str(path)!r}"


def test_what_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "missing" / "model.json"
    with pytest.raises(FileNotFoundError, match=re.escape(repr(str(path)))):
        save(small(), path)
    with pytest.raises(OSError, match=re.escape(tmp_path.name)):
        write_atomically(tmp_path, "text")
    with pytest.raises(ValueError, match="surrogates not allowed"):
        write_atomically(tmp_path / "surrogate", "\ud800")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links and devices are otherwise there")
def test_links_are_followed_and_devices_written_to(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"
    write_atomically(os.devnull, "text")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are otherwise there")
def test_a_new_file_has_the_usual_permissions(tmp_path):
    write_atomically(tmp_path / "ours", "text")
    (tmp_path / "usual").write_text("text")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode
