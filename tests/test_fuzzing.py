"""Hostile expressions, CSV, model and graph files: read or refused in one line, within bounds, with no side effect.

Files that are valid but for a few changes reach further than random bytes. While one is read, an audit hook sees what
Python is asked to do: anything but opening that file for reading, and parsing an expression, is a defect.
"""

import codecs
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_lite as al
import nn
from nn.data import read_csv, read_features
from nn.expressions import parse

MAX_SECONDS = 10.0  # of the processor, for 10 MB
MAX_BYTES = 2**28  # for 10 MB

X, W = al.Value(0.5, "x"), al.Value(-1.25, "w")
GRAPH = nn.graph_json(al.tanh(al.affine([X, W], [W, 2.0], 0.1)) * X + al.logsumexp([X, W, X]) ** 2)
CSV = "height,weight,pet\n25,4.5,cat\n60,-3e1,dog\n\n30,7,'a cat'\n"


def model() -> nn.MLP:
    return nn.MLP(2, [2, 1], activation=al.tanh, seed=0)


def model_file(folder: Path) -> bytes:
    nn.save(model(), folder / "valid.json", classes=["short", "tall"])
    return (folder / "valid.json").read_bytes()


# ---- the four readers: each gives what it read, or raises one of the errors it documents ----------------------------


def read_expression(path: Path) -> object:
    expression = parse(path.read_bytes().decode("utf-8", "surrogateescape"))
    y, variables = expression.evaluate(dict.fromkeys(expression.variables, 0.5))
    y.backward()
    return {name: value.grad for name, value in variables.items()}


def read_table(path: Path) -> object:
    X, y = data = read_csv(path)
    assert len(X) == len(y) > 0 and all(len(row) == len(data.feature_names) for row in X)
    return read_features(path, data.feature_names)


def read_a_model(path: Path) -> object:
    """Load it into a model that stays as it was, if that fails; and as a model of its own."""
    present = model()
    before = present.state_dict()
    try:
        nn.load(present, path)
    except ValueError:
        assert json.dumps(present.state_dict()) == json.dumps(before)
    found = nn.load(path)
    return found([0.0] * found.n_inputs)


def read_a_graph(path: Path) -> object:
    y = nn.read_graph(path)
    y.backward()
    return nn.read_graph(nn.graph_json(y))


READERS: dict[str, Callable[[Path], object]] = {
    "expression": read_expression, "csv": read_table, "model": read_a_model, "graph": read_a_graph,
}  # fmt: skip
VALID: dict[str, Callable[[Path], bytes]] = {
    "expression": lambda folder: b"where(x > 0, tanh(w*x + b), 1e-3) ** 2 - logsumexp([x, leaky_relu(b, slope=w)])/3",
    "csv": lambda folder: CSV.encode(),
    "model": model_file,
    "graph": lambda folder: GRAPH.encode(),
}  # fmt: skip


# ---- what Python is asked to do meanwhile ---------------------------------------------------------------------------

_watched: list[tuple[str, Any]] | None = None


def _hook(event: str, arguments: Any) -> None:
    if _watched is not None:
        _watched.append((event, arguments))


sys.addaudithook(_hook)
codecs.lookup("utf-8-sig")  # imported at its first use, which may not be while a file is watched
HARMLESS = {
    "object.__getattr__", "object.__setattr__", "object.__delattr__", "sys._getframe", "code.__new__",
    "builtins.id", "marshal.loads", "gc.get_objects", "os.listdir", "os.scandir",
}  # fmt: skip


@contextmanager
def nothing_but_reading(path: Path, may_parse: bool) -> Iterator[None]:
    global _watched
    before = sorted(path.parent.iterdir())
    _watched = events = []
    try:
        yield
    finally:
        _watched = None
    assert sorted(path.parent.iterdir()) == before
    for event, arguments in events:
        if event == "open":
            assert str(arguments[0]) == str(path) and arguments[1] in ("rb", "r"), arguments
        elif event == "compile":
            assert may_parse, arguments
        else:
            assert event in HARMLESS, (event, arguments)


def check(reader: str, path: Path, content: bytes) -> bool:
    """Hold a reader to its word; say whether it took the content."""
    path.write_bytes(content)
    with nothing_but_reading(path, may_parse=reader == "expression"):
        try:
            READERS[reader](path)
        except ValueError as error:  # of OSError and TypeError there is no reason: the file is there, the path a Path
            message = str(error)
            assert message and len(message.splitlines()) == 1 and len(message) < 1000, message
            return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzing")


# ---- documents ------------------------------------------------------------------------------------------------------

TOKENS = [
    *(b"[ ( { ] ) } , : ; = \" ' \\ \t \n \r".split(b" ")), b"[" * 50, b"(" * 50, b"{" * 50, b'{"a":' * 50,
    *b"1e999 -1e999 1e-999 9**9**9 0x10 1_000 -0.0 NaN nan \"nan\" Infinity -inf \"-inf\" null true 1j".split(),
    b"9" * 400, b"9" * 5000, b"\\ud800", b'"\\ud800"', b"\\u0000", b"\x00", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80",
    b"\xe2\x80\xa8", b"\xc2\xa0", b"\xef\xbc\x91", b"__import__('os')", b".__class__", b"lambda: 0", b"=cmd()", b"%s",
    *b"softmax polygamma pow_partial".split(), b'{"node": -1}', b'{"node": 0}', b'"op": "gamma"', b'"version": 2',
    b'"n_inputs": 1000000', b'"sizes": [1000000, 1]', b"{0.__class__}",
]  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, valid: bytes) -> bytes:
    """Cut, repeat, move and replace parts of a document, and put hostile tokens in."""
    content = valid
    for _ in range(draw(st.integers(1, 4))):
        a = draw(st.integers(0, len(content)))
        b = min(len(content), a + draw(st.integers(0, 30)))
        new = draw(st.sampled_from(TOKENS) | st.binary(max_size=4) | st.sampled_from([b"", content[a:b] * 2]))
        content = content[:a] + new + content[b:]
    return content


@pytest.mark.parametrize("reader", READERS)
def test_valid_documents_are_read(reader, folder):
    assert check(reader, folder / "document", VALID[reader](folder))


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=300)
@given(st.data())
def test_changed_documents(reader, folder, data):
    check(reader, folder / "document", data.draw(changed(VALID[reader](folder))))


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=100)
@given(content=st.binary(max_size=200) | st.lists(st.sampled_from(TOKENS), max_size=8).map(b"".join))
def test_any_bytes(reader, folder, content):
    check(reader, folder / "document", content)


def replaced(document: Any, at: int, new: Any) -> Any:
    """Return JSON with its part number `at`, counted depth first, replaced."""
    count = 0

    def walk(part: Any) -> Any:
        nonlocal count
        count += 1
        if count - 1 == at:
            return new
        if isinstance(part, dict):
            return {key: walk(inner) for key, inner in part.items()}
        return [walk(inner) for inner in part] if isinstance(part, list) else part

    return walk(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5)
    | st.sampled_from([10**400, -1, 2**53, "nan", "inf", "__class__", *al.TABLE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["node", "op", ""]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@pytest.mark.parametrize("reader", ["model", "graph"])
@settings(max_examples=300)
@given(st.data(), st.integers(0, 60), JSON)
def test_any_json_in_any_place(reader, folder, data, at, new):
    document = json.loads(VALID[reader](folder))
    check(reader, folder / "document", json.dumps(replaced(document, at, new)).encode())


@pytest.mark.parametrize("reader", ["model", "graph"])
def test_keys_that_are_there_twice_are_refused(reader, folder):
    valid = VALID[reader](folder).rstrip()
    for key in json.loads(valid):
        twice = valid[:-1] + b", " + json.dumps({key: json.loads(valid)[key]}).encode()[1:]
        with pytest.raises(ValueError, match=f"the key '{key}' is there twice"):
            READERS[reader](Path(_written(folder, twice)))


def _written(folder: Path, content: bytes) -> Path:
    (folder / "document").write_bytes(content)
    return folder / "document"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 2_000_000,
        b"(" * 2_000_000,
        b'{"a":' * 500_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"-" * 2_000_000 + b"1",
        b"9" * 2_000_000,
        b"0." + b"1" * 2_000_000,
        b"9**9**9",
        b"1e999",
        b"x" * 10_000_000,
        b'"' + b"x" * 10_000_000,
        b"a" + b",a" * 400_000,
        b"1,2\n" * 200_000 + b"1\n",
        b"\xef\xbb\xbf" * 1000,
        b"\x00" * 1_000_000,
        b"\n" * 800_000,
        b"",
    ],
    ids=lambda content: f"{content[:6].hex()} of {len(content)}",
)
def test_large_documents_cost_little(reader, folder, content):
    path = _written(folder, content)
    began = time.process_time()
    tracemalloc.start()
    try:
        check(reader, path, content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_BYTES
    assert time.process_time() - began < MAX_SECONDS


def test_a_failed_load_leaves_every_bit_of_a_model(folder):
    valid = json.loads(model_file(folder))
    last = list(valid["parameters"])[-1]  # all but one parameter are right
    for wrong in ("1", None, 1e400, [], "NAN", 10**400):
        present = model()
        before = present.state_dict()
        content = replaced(valid, 0, {**valid, "parameters": {**valid["parameters"], last: wrong}})
        with pytest.raises(ValueError, match=r"parameter|is not JSON"):
            nn.load(present, _written(folder, json.dumps(content).encode()))
        assert present.state_dict() == before


def test_the_hook_sees_code_that_runs(folder, monkeypatch):
    """A reader that evaluates its file, or writes one, would be caught."""
    monkeypatch.setitem(READERS, "csv", lambda path: eval(path.read_text()))
    with pytest.raises(AssertionError):
        check("csv", folder / "document", b"1 + 1")
    monkeypatch.setitem(READERS, "csv", lambda path: (path.parent / "half").write_text("written"))
    with pytest.raises(AssertionError):
        check("csv", folder / "document", b"1")
    (folder / "half").unlink()
