"""Bundled data is the real data, generated data repeats, and a bad file is told from a good one."""

import ast
import csv
import dataclasses
import inspect
import io
import json
import math
import statistics
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import data
from nn.data import Dataset, Scaler, read_csv, read_features


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property, where `tmp_path` may not be used."""
    return tmp_path_factory.mktemp("data")


def test_needs_only_the_standard_library():
    tree = ast.parse(inspect.getsource(data))
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    plain = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {name.partition(".")[0] for name in froms | plain} <= sys.stdlib_module_names | {"autograd_lite"}


# Dataset


def test_unpacks_into_X_and_y():
    dataset = data.moons(10, seed=1)
    X, y = dataset
    assert X is dataset.X
    assert y is dataset.y
    assert len(dataset) == 10


def test_repr_is_one_short_line():
    assert repr(data.digits()) == "Dataset('digits': 1797 rows, 64 features, 10 classes)"
    assert repr(Dataset([[1.0]], [0.5], ("a",), (), "one")) == "Dataset('one': 1 row, 1 feature, regression)"


def test_rows_and_targets_must_be_as_many():
    with pytest.raises(ValueError, match="X has 1 rows and y has 2"):
        Dataset([[1.0]], [0, 1], ("a",), ("0", "1"), "bad")


@given(
    y=st.lists(st.integers(0, 2), min_size=2, max_size=60),
    test=st.floats(0.01, 0.99),
    seed=st.integers(),
    is_classification=st.booleans(),
)
def test_split_is_disjoint_complete_and_repeatable(y, test, seed, is_classification):
    classes = ("a", "b", "c") if is_classification else ()
    dataset = Dataset([[float(i)] for i in range(len(y))], y, ("row",), classes, "numbered")
    count = round(test * len(y))
    if not 0 < count < len(y):
        with pytest.raises(ValueError, match="leaves at least one"):
            dataset.split(test, seed)
        return
    trained, tested = dataset.split(test, seed)
    assert len(tested) == count
    assert sorted(trained.X + tested.X) == dataset.X
    for part in (trained, tested):
        assert part.y == [y[int(x)] for (x,) in part.X]
        assert (part.classes, part.feature_names, part.name) == (classes, ("row",), "numbered")
    assert dataset.split(test, seed) == (trained, tested)


def test_split_is_shuffled():
    dataset = Dataset([[float(i)] for i in range(50)], [float(i) for i in range(50)], ("row",), (), "numbered")
    (first, _), (other, _) = dataset.split(seed=1), dataset.split(seed=2)
    assert first.y != other.y
    assert first.y != sorted(first.y)


@pytest.mark.parametrize("seed", range(5))
def test_split_keeps_the_proportions_of_classes(seed):
    _, test = data.iris().split(test=0.2, seed=seed)
    assert Counter(test.y) == {0: 10, 1: 10, 2: 10}
    rare = Dataset([[0.0]] * 100, [0] * 90 + [1] * 10, ("x",), ("common", "rare"), "uneven")
    train, test = rare.split(test=0.3, seed=seed)
    assert Counter(test.y) == {0: 27, 1: 3}
    assert Counter(train.y[:35]) == pytest.approx({0: 31.5, 1: 3.5}, abs=1)  # and so has every stretch
    single = Dataset([[0.0]] * 10, [0] * 9 + [1], ("x",), ("common", "single"), "uneven")
    train, _ = single.split(test=0.2, seed=seed)
    assert 1 in train.y  # the only row of a class is there to learn from


@pytest.mark.parametrize("test", [0, 1, -0.2, 1.5, math.nan, math.inf])
def test_split_wants_a_fraction(test):
    with pytest.raises(ValueError, match="fraction between 0 and 1"):
        data.iris().split(test=test)


# Scaler

columns = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(columns)
def test_scaler_measures_mean_and_deviation(column):
    scaler = Scaler.fit([[x] for x in column])
    assert scaler.mean == pytest.approx([statistics.fmean(column)], rel=1e-9, abs=1e-9)
    deviation = statistics.pstdev(column)
    if len(set(column)) == 1:
        assert scaler.scale == [1.0]
    elif deviation > 1e-3:
        assert scaler.scale == pytest.approx([deviation], rel=1e-6)


@given(columns)
def test_scaler_survives_json(column):
    scaler = Scaler.fit([[x, 2 * x] for x in column])
    assert Scaler(**json.loads(json.dumps(dataclasses.asdict(scaler)))) == scaler


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 50))
def test_scaler_centres_a_constant_column_exactly(x, n):
    X = [[x]] * n
    scaler = Scaler.fit(X)
    assert scaler == Scaler([x], [1.0])
    assert scaler.transform(X) == [[0.0]] * n


def test_scaler_standardises():
    z = [row[0] for row in Scaler.fit(data.iris().X).transform(data.iris().X)]
    assert statistics.fmean(z) == pytest.approx(0, abs=1e-12)
    assert statistics.pstdev(z) == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scaler.fit([]), "no rows"),
        (lambda: Scaler.fit([[1.0], [1.0, 2.0]]), "row 1 has 2 features, want 1"),
        (lambda: Scaler.fit([[-1.7e308], [1.7e308]]), "must be finite"),
        (lambda: Scaler([0.0], [1.0]).transform([[1.0, 2.0]]), "row 0 has 2 features, want 1"),
        (lambda: Scaler([0.0], [1.0, 1.0]), "mean has 1 numbers and scale has 2"),
        (lambda: Scaler([math.nan], [1.0]), "mean must be finite"),
        (lambda: Scaler([0.0], [0.0]), "scale must be positive"),
        (lambda: Scaler([0.0], [math.inf]), "scale must be positive"),
    ],
)
def test_scaler_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# bundled


def test_digits_are_the_real_ones():
    digits = data.digits()
    assert len(digits) == 1797
    # The counts of the test set in the description by its donors.
    assert [digits.y.count(i) for i in range(10)] == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.classes == tuple("0123456789")
    assert {len(row) for row in digits.X} == {len(digits.feature_names)} == {64}
    assert {16 * pixel for row in digits.X for pixel in row} == set(range(17))
    assert sum(map(sum, digits.X)) * 16 == 561718
    assert [int(16 * pixel) for pixel in digits.X[0][:24]] == [
        *(0, 0, 5, 13, 9, 1, 0, 0),
        *(0, 0, 13, 15, 10, 15, 5, 0),
        *(0, 3, 15, 2, 0, 11, 8, 0),
    ]
    assert digits.y[:3] == [0, 1, 2]


def test_digits_file_carries_no_time_stamp():
    content = (Path(data.__file__).parent / "datasets" / "digits.csv.gz").read_bytes()
    assert content[4:8] == bytes(4)


def test_iris_is_the_real_one():
    iris = data.iris()
    assert Counter(iris.y) == {0: 50, 1: 50, 2: 50}
    assert iris.classes == ("setosa", "versicolor", "virginica")
    assert iris.feature_names[0] == "sepal length (cm)"
    assert (iris.X[0], iris.y[0]) == ([5.1, 3.5, 1.4, 0.2], 0)
    # The two rows in which Fisher's paper and the UCI file differ.
    assert iris.X[34] == [4.9, 3.1, 1.5, 0.2]
    assert iris.X[37] == [4.9, 3.6, 1.4, 0.1]
    assert Scaler.fit(iris.X).mean == pytest.approx([5.843333, 3.057333, 3.758, 1.199333], abs=1e-6)


def test_every_load_is_fresh():
    first = data.iris()
    first.X[0][0] = 99.0
    first.y[0] = 2
    assert data.iris().X[0][0] == 5.1
    assert data.iris().y[0] == 0


def test_attribution_names_the_donors():
    text = (Path(data.__file__).parent / "datasets" / "README.md").read_text(encoding="utf-8")
    for word in ("Alpaydin", "Kaynak", "Fisher (1936)", "CC BY 4.0", "Changes"):
        assert word in text


# generated

GENERATORS = [data.moons, data.circles, data.spiral, data.same_value]


@pytest.mark.parametrize("generate", GENERATORS)
def test_same_seed_same_bits(generate):
    dataset = generate(37, noise=0.1, seed=5)
    assert dataset == generate(37, noise=0.1, seed=5)
    assert dataset.X != generate(37, noise=0.1, seed=6).X
    assert len(dataset) == 37
    assert dataset.feature_names == ("x1", "x2")
    assert dataset.name == generate.__name__


@pytest.mark.parametrize("generate", GENERATORS)
def test_classes_are_balanced_and_all_is_plain(generate):
    dataset = generate(np.int64(40), noise=np.float32(0.1), seed=np.int64(5))
    assert Counter(dataset.y) == {0: 20, 1: 20}
    assert {type(x) for row in dataset.X for x in row} == {float}
    assert {type(i) for i in dataset.y} == {int}


@pytest.mark.parametrize("generate", GENERATORS)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be at least 1, got 0"),
        ({"n": -3}, ValueError, "n must be at least 1, got -3"),
        ({"n": 10.0}, TypeError, "n must be an integer, got 10.0"),
        ({"n": "10"}, TypeError, "n must be an integer, got '10'"),
        ({"noise": -0.1}, ValueError, "noise must be at least 0 and finite, got -0.1"),
        ({"noise": math.nan}, ValueError, "noise must be at least 0"),
        ({"noise": math.inf}, ValueError, "noise must be at least 0"),
        ({"noise": "much"}, TypeError, "noise must be a number, got 'much'"),
        ({"seed": 1.5}, TypeError, "seed must be an integer, got 1.5"),
        ({"seed": None}, TypeError, "seed must be an integer, got None"),
    ],
)
def test_generators_refuse(generate, arguments, error, message):
    with pytest.raises(error, match=message):
        generate(**arguments)


def test_moons_without_noise_lie_on_half_circles():
    for (x1, x2), half in zip(*data.moons(50, noise=0), strict=True):
        centre = (1, 0.5) if half else (0, 0)
        assert math.dist((x1, x2), centre) == pytest.approx(1)
        assert x2 < 0.5 if half else x2 > 0


def test_circles_without_noise_have_radius_1_and_a_half():
    for point, inner in zip(*data.circles(50, noise=0), strict=True):
        assert math.hypot(*point) == pytest.approx(0.5 if inner else 1)


def test_spiral_without_noise_winds_once():
    for (x1, x2), arm in zip(*data.spiral(60, noise=0, classes=3), strict=True):
        turn = math.atan2(x2, x1) / (2 * math.pi)
        away = turn - arm / 3 - math.hypot(x1, x2)
        assert away == pytest.approx(round(away), abs=1e-9)
    assert data.spiral(classes=4).classes == ("0", "1", "2", "3")
    with pytest.raises(ValueError, match="classes must be at least 2, got 1"):
        data.spiral(classes=1)


def test_noise_is_a_standard_deviation():
    clean, noisy = data.moons(2000, noise=0, seed=3), data.moons(2000, noise=0.25, seed=3)
    jitter = [b - a for p, q in zip(clean.X, noisy.X, strict=True) for a, b in zip(p, q, strict=True)]
    assert statistics.pstdev(jitter) == pytest.approx(0.25, rel=0.05)


def test_rows_come_in_random_order():
    X, y = data.moons(100, noise=0)
    assert y != [i % 2 for i in range(100)]
    assert len(set(y[:10])) == 2
    assert [x for x, _ in X] != sorted((x for x, _ in X), reverse=True)


def test_same_value_is_the_truth_table():
    X, y = data.same_value()
    assert X == [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    assert y == [1, 0, 0, 1]
    X, y = data.same_value(n=101, noise=0.05, seed=2)
    assert y == [int(round(a) == round(b)) for a, b in X]
    assert X[0] != [0.0, 0.0]


# read_csv


def test_reads_features_and_target(tmp_path):
    dataset = read_csv(write(tmp_path, "a,kind,b\n1,x,2\n-3e1,y,.5\n\n 4 , x ,5\n", "mine.csv"), target="kind")
    assert dataset == Dataset([[1, 2], [-30, 0.5], [4, 5]], [0, 1, 0], ("a", "b"), ("x", "y"), "mine")


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2.5\n",
        b"\xef\xbb\xbfa,b\n1,2.5\n",
        "a,b\r\n1,2.5\r\n",
        "a,b\r1,2.5",
        "\n\na;b\n\n1;2.5\n  \n",
        "a;b\n1;2.5\n",
        "a\tb\n1\t2.5\n",
        '"a", "b"\n"1", "2.5"\n',
    ],
)
def test_accepts_the_usual_dialects(tmp_path, content):
    dataset = read_csv(write(tmp_path, content))
    assert (dataset.X, dataset.y, dataset.feature_names) == ([[1.0]], [2.5], ("a",))


def test_without_a_header_columns_are_numbered(tmp_path):
    path = write(tmp_path, "1,2,0\n3,4,1\n")
    assert read_csv(path) == Dataset([[1, 2], [3, 4]], [0, 1], ("x1", "x2"), ("0", "1"), "table")
    assert read_csv(path, target="x1").feature_names == ("x2", "x3")


@pytest.mark.parametrize(
    ("cells", "task", "y", "classes"),
    [
        (["b", "a", "b"], None, [1, 0, 1], ("a", "b")),
        (["10", "9", "10"], None, [1, 0, 1], ("9", "10")),
        (["1", "-1.0", "1.0", "01"], None, [1, 0, 1, 1], ("-1", "1")),
        (["0", "-0.0", "1"], None, [0, 0, 1], ("0", "1")),
        ([str(i) for i in range(20)], None, list(range(20)), tuple(map(str, range(20)))),
        ([str(i) for i in range(21)], None, [float(i) for i in range(21)], ()),
        ([str(i) for i in range(21)], "classification", list(range(21)), tuple(map(str, range(21)))),
        (["0.5", "1", "2"], None, [0.5, 1.0, 2.0], ()),
        (["1.5", "0.5"], "classification", [1, 0], ("0.5", "1.5")),
        (["1", "2"], "regression", [1.0, 2.0], ()),
        (["7", "7"], "regression", [7.0, 7.0], ()),
        (["5more", "2", "3"], "classification", [2, 0, 1], ("2", "3", "5more")),
    ],
)
def test_the_task_follows_the_rule(tmp_path, cells, task, y, classes):
    path = write(tmp_path, "x,target\n" + "".join(f"0,{cell}\n" for cell in cells))
    dataset = read_csv(path, task=task)
    assert (dataset.y, dataset.classes) == (y, classes)
    assert [type(i) for i in dataset.y] == [type(i) for i in y]
    assert dataset.is_classification == bool(classes)


BAD_FILES = {
    "": ": the file is empty",
    "\n\n": ": the file is empty",
    "a,b\n": ": there is a header but no row below it",
    "a\n1\n": ": there is one column only",
    "a,b\n1,2\n3\n": ", line 3: found 1 cells, want 2 as on line 1",
    "a,b\n1,2\n\n3,4,5\n": ", line 4: found 3 cells, want 2 as on line 1",
    "a,b\n1,2\nred,4\n": ", line 3, column 'a': found 'red', want a finite number",
    "a,b\n1,2\n,4\n": ", line 3, column 'a': the cell is empty",
    "a,b\n1,2\n1,\n": ", line 3, column 'b': the cell is empty",
    "a,b\nnan,2.5\n": ", line 2, column 'a': found 'nan', want a finite number",
    "a,b\n1e999,2.5\n": ", line 2, column 'a': found '1e999', want a finite number",
    "a,b\n1_000,2.5\n": ", line 2, column 'a': found '1_000', want a finite number",
    "a,b\n٣,2.5\n": ", line 2, column 'a': found '٣', want a finite number",
    "a,b\n1,inf\n": ", line 2, column 'b': found 'inf', want a finite number",
    "a;b\n1,5;2.5\n": ", line 2, column 'a': found '1,5', want a finite number",
    "a,b\n1,0\n2,two\n": ", line 3, column 'b': found 'two', want a number as in other rows; if",
    "a,b,a\n1,2,3\n": ", line 1: 2 columns are named 'a'",
    "a,,b\n1,2,3\n": ", line 1: column 2 has no name",
    "5.1,3.5,setosa\n4.9,3.0,setosa\n": ", line 1: '5.1' is a number and other cells are not",
    "a,b\n1,x\n2,x\n": ", column 'b': every row is of class 'x'; want at least two classes",
    'a,b\n1,"2\n': ", line 2: not CSV: unexpected end of data",
    'a,b\n1,"2"3\n': ", line 2: not CSV: ",
    "a,b\n1,2\n3,\0\n": ", line 3: found a NUL byte",
    "a,b\n1," + "9" * 200_000: ", line 2: not CSV: field larger than field limit",
    b"a,b\n1,caf\xe9\n": ", line 2: byte 0xe9 is not UTF-8",
    "a,b\n1,2\n".encode("utf-16"): ", line 1: byte 0xff is not UTF-8",
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.items(), ids=range(len(BAD_FILES)))
def test_says_what_is_wrong_in_one_line(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(ValueError) as caught:
        read_csv(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_an_unknown_target_lists_the_known(tmp_path):
    path = write(tmp_path, "a,b\n1,2\n")
    with pytest.raises(ValueError) as caught:
        read_csv(path, target="c")
    assert str(caught.value) == f"{path}: no column 'c'; it has 'a', 'b'"
    names = ",".join(f"c{i}" for i in range(1000))
    with pytest.raises(ValueError, match=r"'c18', 'c19', \.\.\.$"):
        read_csv(write(tmp_path, f"{names}\n" + "1," * 999 + "1\n"), target="d")


def test_an_unknown_task_is_refused(tmp_path):
    with pytest.raises(ValueError, match="task must be 'classification', 'regression' or None, got 'cluster'"):
        read_csv(write(tmp_path, "a,b\n1,2\n"), task="cluster")


def test_what_cannot_be_opened_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.csv"):
        read_csv(tmp_path / "missing.csv")
    with pytest.raises(OSError, match=tmp_path.name):
        read_csv(tmp_path)


def test_too_large_a_file_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path, "a,b\n1,2\n3,4\n")
    monkeypatch.setattr(data, "_MAX_BYTES", path.stat().st_size)
    assert len(read_csv(path)) == 2
    monkeypatch.setattr(data, "_MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(ValueError, match="larger than 11 bytes"):
        read_csv(path)


def check_hostile(path: Path, content: bytes) -> None:
    """Whatever the bytes, the outcome is sound data or a one-line ValueError."""
    path.write_bytes(content)
    try:
        X, y = dataset = read_csv(path)
    except ValueError as error:
        assert str(error).startswith(str(path))
        assert len(str(error).splitlines()) == 1
    else:
        assert len(X) == len(y) > 0
        assert {len(row) for row in X} == {len(dataset.feature_names)}
        assert all(map(math.isfinite, y))
        assert all(math.isfinite(x) for row in X for x in row)
        if dataset.is_classification:
            assert set(y) == set(range(len(dataset.classes)))


@given(content=st.binary())
def test_hostile_bytes(folder, content):
    check_hostile(folder / "bytes.csv", content)


tokens = st.sampled_from([*'0123456789.-,;\t\r\n"_ ', ",", "\n", "a", "b", "nan", "inf", "1e9", "é", "\0", "\u2028"])


@given(content=st.lists(tokens).map("".join))
def test_hostile_text(folder, content):
    check_hostile(folder / "text.csv", content.encode())


@given(
    st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1),
    st.booleans(),
)
def test_floats_come_back_bit_for_bit(folder, table, has_header):
    text = io.StringIO(newline="")
    csv.writer(text).writerows(([["a", "b", "c"]] if has_header else []) + table)
    path = write(folder, text.getvalue())
    dataset = read_csv(path, task="regression")
    assert [[*row, t] for row, t in zip(*dataset, strict=True)] == table
    assert read_features(path, ["a", "b", "c"]) == table


# read_features


def test_features_come_in_the_order_asked_for(tmp_path):
    path = write(tmp_path, "note,b,a\n,2,1\nold,4,3\n")
    assert read_features(path, ["a", "b"]) == [[1.0, 2.0], [3.0, 4.0]]


def test_the_features_of_a_training_file_are_its_X(tmp_path):
    path = write(tmp_path, "a,kind,b\n1,x,2\n3,y,4\n")
    dataset = read_csv(path, target="kind")
    assert read_features(path, dataset.feature_names) == dataset.X


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,c\n1,2\n", ": no column 'b'; it has 'a', 'c'"),
        ("1,2,3\n", ": found 3 columns and no header, want 2: 'a', 'b'"),
        ("1\n", ": found 1 column and no header, want 2: 'a', 'b'"),
        ("1,2\n3,inf\n", ", line 2, column 'b': found 'inf', want a finite number"),
        ("a,b\n1,2\n3,four\n", ", line 3, column 'b': found 'four', want a finite number"),
        ("a,b\n", ": there is a header but no row below it"),
    ],
)
def test_read_features_says_what_is_wrong(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(ValueError) as caught:
        read_features(path, ["a", "b"])
    assert str(caught.value) == f"{path}{message}"
