"""The command line end to end: what it prints, what it writes, and one line for whatever is wrong."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest

import autograd_lite as al
from nn import cli, persistence
from nn.cli import main
from nn.drawing import Drawing, draw

PICTURES = {"network.svg", "loss.svg"}
DIVERGING = ("train", "houses.csv", "--lr", "1e300", "--optimizer", "sgd")
FILES = {"model.json", "history.csv", *PICTURES}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(folder: str | Path = ".") -> set[str]:
    """Return every file and empty folder below a folder."""
    root = Path(folder)
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() or not any(p.iterdir())}


def write(name: str, *lines: str) -> str:
    Path(name).write_text("".join(f"{line}\n" for line in lines))
    return name


def houses(rows: int = 40) -> list[str]:
    """A regression whose numbers are far from 1."""
    rng = Random(0)
    sizes = [(rng.uniform(30, 250), rng.randint(1, 8)) for _ in range(rows)]
    return ["area,rooms,price", *(f"{a:.1f},{n},{3000 * a + 20000 * n:.0f}" for a, n in sizes)]


def flowers(rows: int = 30) -> list[str]:
    """Three classes of one feature, whose names need quotes in CSV."""
    labels = ('"red, dark"', "white", '"5"" tall"')
    return ["label,height,x", *(f"{labels[i % 3]},{10 * (i % 3) + i / 100},{i}" for i in range(rows))]


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "nn", *arguments], capture_output=True, text=True, **options)


@pytest.fixture(scope="module", autouse=True)
def from_anywhere() -> Iterator[None]:
    """Let a process that starts in an empty folder find the packages as this one has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(cli.__file__).parents[1]))
        yield


# draw


def test_draw_prints_the_value_and_each_gradient(capsys):
    w, x, b = al.Value(0.5), al.Value(2.0), al.Value(0.1)
    y = al.tanh(w * x + b)
    y.backward()
    assert main(["draw", "tanh(w*x + b)", "--at", "w=0.5,x=2,b=0.1"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"tanh(w*x + b) = {y.data!r}",
        f"d/dw = {w.grad!r}",
        f"d/dx = {x.grad!r}",
        f"d/db = {b.grad!r}",
    ]
    assert "-o graph.svg" in printed.err


def test_draw_writes_a_picture_of_the_graph(capsys):
    assert main(["draw", "tanh(w*x + b)", "--at", "w=0.5,x=2", "--at", "b=0.1", "-o", "graph.svg"]) == 0
    assert capsys.readouterr().err == ""
    assert written() == {"graph.svg"}
    texts = "".join(ElementTree.parse("graph.svg").getroot().itertext())
    assert "tanh" in texts
    assert "0.8005" in texts


def test_draw_writes_dot(capsys):
    assert main(["draw", "x*x", "--at", "x=3", "-o", "graph.dot"]) == 0
    assert Path("graph.dot").read_text().startswith("digraph")
    assert capsys.readouterr().out == "x*x = 9.0\nd/dx = 6.0\n"


def test_draw_takes_an_expression_that_begins_with_a_minus_sign(capsys):
    assert main(["draw", "--at", "x=-2", "--", "-x**2"]) == 0
    assert capsys.readouterr().out == "-x**2 = -4.0\nd/dx = 4.0\n"


def test_draw_of_hostile_text_runs_nothing(capsys):
    assert main(["draw", "__import__('pathlib').Path('made').touch()"]) == 2
    assert written() == set()
    assert len(capsys.readouterr().err.splitlines()) == 1


# step


def test_step_prints_every_step_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "w*x", "--at", "w=0.5,x=2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "forward",
        "  1  w = 0.5",
        "  2  x = 2",
        "  3  y = w × x = 0.5 × 2 = 1",
        "backward",
        "  4  ∂y/∂w · ∂y/∂y = 2 × 1 = 2 → grad so far 2",
        "  5  ∂y/∂x · ∂y/∂y = 0.5 × 1 = 0.5 → grad so far 0.5",
    ]
    assert written() == set()


def test_step_writes_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "tanh(w*x + b)", "--at", "w=0.5,x=2,b=0.1", "-o", "steps.html"]) == 0
    assert capsys.readouterr().out == ""
    assert written() == {"steps.html"}
    assert "tanh(v5) = tanh(1.1) = 0.8005" in Path("steps.html").read_text("utf-8")


# train


@pytest.mark.slow
def test_compiled_training_prints_the_same(capsys):
    pytest.importorskip("llvmlite")
    printed = []
    for options in ([], ["--compile"]):
        assert main(["train", "digits", "--epochs", "3", "--out", f"run{len(printed)}", *options]) == 0
        printed.append(capsys.readouterr().out.replace(f"run{len(printed)}", "run"))
    assert printed[1] == printed[0]


def test_digits_are_learnt_by_default(capsys):
    assert main(["train", "digits"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    accuracy, correct, total = re.fullmatch(r"test accuracy (\d\.\d{3}) \((\d+)/(\d+)\)", last).groups()
    assert float(accuracy) == round(int(correct) / int(total), 3)
    assert float(accuracy) >= 0.95
    assert int(total) > 350
    assert written("runs/digits") == FILES


@pytest.mark.parametrize(
    ("name", "least"), [("iris", 0.9), ("moons", 0.95), ("circles", 0.95), ("spiral", 0.9), ("same-value", 0.95)]
)
def test_every_other_data_set_is_learnt_by_default(name, least, capsys):
    assert main(["train", name]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(re.fullmatch(r"test accuracy (\d\.\d{3}) \(\d+/\d+\)", last)[1]) >= least
    assert written(f"runs/{name}") == FILES | ({"boundary.svg"} if name != "iris" else set())


def test_train_prints_a_line_an_epoch_and_where_the_files_are(capsys):
    assert main(["train", "same-value", "--epochs", "3", "--out", "a/b"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "same-value: 80 rows to train with, 20 to test with"
    assert lines[1] == "MLP(2 inputs -> 8 relu -> 1 linear: a 2-layer network, 33 parameters)"
    assert [line.split()[:2] for line in lines[2:5]] == [["epoch", f"{n}/3"] for n in (1, 2, 3)]
    assert lines[5] == f"wrote model.json, history.csv, network.svg, loss.svg, boundary.svg to {Path('a/b')}"
    assert lines[6].startswith("test accuracy ")
    assert len(lines) == 7
    assert printed.err == ""


def test_what_train_writes_is_whole(capsys):
    main(["train", "moons", "--epochs", "2", "--layers", "3", "--activation", "tanh", "--out", "m"])
    model, _ = persistence.read_model("m/model.json")
    assert repr(model) == "MLP(2 inputs -> 3 tanh -> 1 linear: a 2-layer network, 13 parameters)"
    with open("m/history.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    for name in (*PICTURES, "boundary.svg"):
        assert ElementTree.parse(f"m/{name}").getroot().tag.endswith("svg")
    assert "lower" in "".join(ElementTree.parse("m/network.svg").getroot().itertext())


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(capsys):
    for folder, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        main(["train", "same-value", "--epochs", "2", "--seed", seed, "--out", folder])
    a, b, c = ({name: Path(folder, name).read_bytes() for name in written(folder)} for folder in "abc")
    assert a == b
    assert all(a[name] != c[name] for name in a)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_optimizer_learns(optimizer, capsys):
    arguments = ["--optimizer", optimizer, "--epochs", "5", "--batch", "8", "--lr", "0.05", "--layers", "none"]
    assert main(["train", write("flowers.csv", *flowers()), "--target", "label", *arguments]) == 0
    with open("runs/flowers/history.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]


def test_no_straight_line_tells_same_values(capsys):
    main(["train", "same-value", "--layers", "none", "--epochs", "10"])
    assert float(capsys.readouterr().out.splitlines()[-1].split()[2]) < 0.8


def test_train_regresses_a_csv_file_in_its_own_unit(capsys):
    assert main(["train", write("houses.csv", *houses())]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    rmse = float(re.fullmatch(r"test rmse (\S+)", last)[1])
    assert 0 < rmse < 50_000  # the prices deviate by 200,000
    assert written("runs/houses") == FILES


def test_another_run_in_the_same_folder_leaves_nothing_of_the_first(capsys):
    main(["train", "same-value", "--epochs", "1", "--out", "d"])
    Path("d/note.txt").write_text("mine")
    main(["train", write("houses.csv", *houses()), "--epochs", "1", "--out", "d"])
    assert written("d") == {*FILES, "note.txt"}


def test_without_matplotlib_one_line_says_what_is_left_out():
    without = "import sys; sys.modules['matplotlib'] = None; from nn.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["train", "same-value", "--epochs", "1", "--out", "d"]
    done = subprocess.run([sys.executable, "-c", without, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if "left out" in line] == [
        "left out loss.svg and boundary.svg: plots need matplotlib; install it with: pip install 'autograd_lite[plot]'"
    ]
    assert written("d") == {"model.json", "history.csv", "network.svg"}


def test_without_graphviz_the_model_is_kept(capsys, monkeypatch):
    def no_graphviz(*_: object, **__: object) -> None:
        raise ImportError("drawing needs Graphviz")

    monkeypatch.setattr(cli, "draw", no_graphviz)
    assert main(["train", "same-value", "--epochs", "1", "--out", "d"]) == 0
    assert "left out network.svg: drawing needs Graphviz\n" in capsys.readouterr().out
    assert "model.json" in written("d")


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is no signal there")
def test_ctrl_c_keeps_what_was_learnt():
    arguments = ["train", "moons", "--epochs", "10000", "--out", "d"]
    with subprocess.Popen(
        [sys.executable, "-m", "nn", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not process.stdout.readline().startswith("epoch"):
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert re.search(r"^interrupted after \d+ of 10000 epochs$", out, re.MULTILINE)
    assert re.match(r"test accuracy ", out.splitlines()[-1])
    assert written("d") == {*FILES, "boundary.svg"}


def test_ctrl_c_before_the_first_epoch_ends_keeps_the_model(capsys, monkeypatch):
    fit = cli.fit

    def interrupted(*arguments: object, **options: object) -> object:
        history = fit(*arguments, **options | {"epochs": 1, "progress": False})
        history.records.clear()
        history.interrupted = True
        return history

    monkeypatch.setattr(cli, "fit", interrupted)
    assert main(["train", "same-value", "--out", "d"]) == 130
    assert "interrupted after 0 of 30 epochs" in capsys.readouterr().out
    assert written("d") == {"model.json", "history.csv", "network.svg", "boundary.svg"}


def test_ctrl_c_elsewhere_leaves_nothing(capsys, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "plot_history", interrupted)
    assert main(["train", "same-value", "--epochs", "1"]) == 130
    assert capsys.readouterr().err == "autograd-lite: interrupted\n"
    assert written() == set()


# predict


def predictions(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_predict_names_the_class_of_each_row(capsys):
    file = write("flowers.csv", *flowers())
    main(["train", file, "--target", "label", "--epochs", "60"])
    capsys.readouterr()
    assert main(["predict", "runs/flowers/model.json", file]) == 0
    found = predictions(capsys.readouterr().out)
    with open(file, newline="") as rows:
        wanted = [row["label"] for row in csv.DictReader(rows)]
    assert [row["prediction"] for row in found] == wanted
    assert all(1 / 3 < float(row["probability"]) <= 1.0 for row in found)


def test_predict_of_two_classes_gives_the_probability_of_the_one_it_names(capsys):
    write("pairs.csv", "x,kind", *(f"{i},{'low' if i < 20 else 'high'}" for i in range(40)))
    main(["train", "pairs.csv"])
    capsys.readouterr()
    main(["predict", "runs/pairs/model.json", write("new.csv", "x", "0", "39", "19.5")])
    low, high, between = predictions(capsys.readouterr().out)
    assert (low["prediction"], high["prediction"]) == ("low", "high")
    assert min(float(low["probability"]), float(high["probability"])) > 0.95
    assert 0.5 <= float(between["probability"]) < 0.95


def test_predict_gives_numbers_in_the_unit_of_the_target(capsys):
    file = write("houses.csv", *houses())
    main(["train", file])
    capsys.readouterr()
    assert main(["predict", "runs/houses/model.json", file]) == 0
    found = [float(row["prediction"]) for row in predictions(capsys.readouterr().out)]
    with open(file, newline="") as rows:
        prices = [float(row["price"]) for row in csv.DictReader(rows)]
    assert found == pytest.approx(prices, abs=150_000)


def test_predict_finds_columns_by_name_or_without_a_header_by_place(capsys):
    main(["train", write("houses.csv", *houses()), "--epochs", "1"])
    capsys.readouterr()
    tables = [["area,rooms", "100,3"], ["rooms,colour,area", "3,red,100"], ["100,3"]]
    for table in tables:
        assert main(["predict", "runs/houses/model.json", write("new.csv", *table)]) == 0
    assert len(set(capsys.readouterr().out.split())) == 2  # the header and one number


# what is wrong


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of a model file for houses."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "houses.csv").write_text("\n".join(houses()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main(["train", "houses.csv", "--epochs", "1", "--layers", "2"])
        return Path("runs/houses/model.json").read_text()


def assert_refused(capsys: pytest.CaptureFixture[str], message: str, *arguments: str) -> None:
    """Run a command that must fail: status 2, one line on the standard error, no file made or changed."""
    before = {name: Path(name).read_bytes() for name in written() if Path(name).is_file()}
    capsys.readouterr()
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert re.fullmatch(f"autograd-lite: error: [^\n]*{message}[^\n]*\n", printed.err), printed.err
    assert {name: Path(name).read_bytes() for name in written()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "required: COMMAND"),
        ("fly", "invalid choice: 'fly'"),
        ("train", "required: DATA"),
        ("train digist", "there is no data set 'digist'; give digits, iris, .* or a CSV file"),
        ("train nosuch.csv", "nosuch.csv: No such file or directory"),
        ("train .", r"\.: "),
        ("train iris --target petal", "--target is for a CSV file"),
        ("train houses.csv --target price2", "houses.csv: no column 'price2'; it has 'area', 'rooms', 'price'"),
        ("train houses.csv --layers 3,x", "--layers: found '3,x', want numbers of units"),
        ("train houses.csv --layers 0", "--layers: found '0'"),
        ("train houses.csv --layers 3,", "--layers: found '3,'"),
        ("train houses.csv --layers 99999999999", "--layers: found '99999999999'"),
        ("train houses.csv --activation rleu", "there is no operation 'rleu'; did you mean .*relu"),
        ("train houses.csv --activation qqq", "there is no operation 'qqq'; did you mean relu, tanh or sigmoid"),
        ("train houses.csv --activation atan2", "an activation must be an operation of one number"),
        ("train houses.csv --epochs many", "--epochs: found 'many', want a whole number of at least 1"),
        ("train houses.csv --epochs 0", "--epochs: found '0'"),
        ("train houses.csv --epochs 1.5", "--epochs: found '1.5'"),
        ("train houses.csv --batch -1", "--batch: found '-1'"),
        ("train houses.csv --lr fast", "--lr: found 'fast', want a positive number"),
        ("train houses.csv --lr -1", "--lr: found '-1'"),
        ("train houses.csv --lr nan", "--lr: found 'nan'"),
        ("train houses.csv --lr 1e300 --optimizer sgd", "epoch .* lower the learning rate"),
        ("train houses.csv --optimizer lbfgs", "--optimizer: invalid choice: 'lbfgs'"),
        ("train houses.csv --seed now", "--seed: invalid int value: 'now'"),
        ("train houses.csv --out houses.csv", "houses.csv: File exists"),
        ("train houses.csv --out houses.csv/sub", "houses.csv.sub: "),
        ("train houses.csv --fast", "unrecognized arguments: --fast"),
        ("train houses.csv --epoch 3", "unrecognized arguments: --epoch 3"),
        ("predict", "required: MODEL.json, FILE.csv"),
        ("predict nosuch.json houses.csv", "nosuch.json: No such file or directory"),
        ("predict houses.csv houses.csv", "houses.csv: not a model file"),
        ("draw", "required: EXPRESSION"),
        ("draw tahn(x) --at x=1", "column 1: there is no operation 'tahn'; did you mean .*tanh"),
        ("draw x+ --at x=1", "column 3: invalid syntax"),
        ("draw x*y --at x=1", "--at: no value is given for y"),
        ("draw x", "--at: no value is given for x"),
        ("draw x --at x=1,z=2", "--at: the expression has no variable 'z'; its variables are x"),
        ("draw x --at x=1,x=2", "--at: a variable is given twice"),
        ("draw x --at x=1 --at x=2", "--at: a variable is given twice"),
        ("draw x --at x", "--at: found 'x', want NAME=NUMBER"),
        ("draw x --at =1", "--at: found '=1', want NAME=NUMBER"),
        ("draw x --at x=1,", "--at: found '', want NAME=NUMBER"),
        ("draw x --at x=one", "--at: found 'one' for x, want a number"),
        ("draw x --at x=1 -o x.jpg", "saved as .svg, .png, .pdf or .dot, but 'x.jpg' ends otherwise"),
        ("step x --at x=1 -o x.svg", "a stepper is saved as .html, but 'x.svg' ends otherwise"),
        ("step x+y --at x=1", "--at: no value is given for y"),
        ("draw x --at x=1 -o nosuch/x.svg", "nosuch.x.svg: No such file or directory"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    write("houses.csv", *houses(10))
    assert_refused(capsys, message, *arguments.split())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"a,b\n", "there is a header but no row"),
        (b"a,b\n1,2\n3\n", "line 3: found 1 cells, want 2"),
        (b"a,b,c\n1,x,1.5\n2,3,4.5\n3,4,5.5\n", "line 2, column 'b': found 'x', want a finite number"),
        (b"a,b\n1,1.5\ninf,2.5\n3,5.5\n", "line 3, column 'a': found 'inf'"),
        (b"a,b\n1,1.5\n,2.5\n3,5.5\n", "line 3, column 'a': the cell is empty"),
        (b"a\n1\n2\n3\n", "one column only"),
        (b"a,b\n1,2.5\n2,3.5\n", "2 rows are too few to hold some out"),
        (b"a,b\n1,x\n2,x\n3,x\n", "every row is of class 'x'"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a,b\n1,\x00\n", "NUL"),
    ],
)
def test_a_wrong_csv_file(content, message, model, capsys):
    Path("bad.csv").write_bytes(content)
    assert_refused(capsys, f"bad.csv.*{message}", "train", "bad.csv")


def test_columns_beyond_measure(capsys):
    write("wide.csv", "a,b", "1e308,0.5", "-1e308,1.5", "1e308,2.5", "-1e308,3.5")
    assert_refused(capsys, "must be finite", "train", "wide.csv")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (["area,price", "1,2"], "new.csv: no column 'rooms'; it has 'area', 'price'"),
        (["1,2,3"], "new.csv: found 3 columns and no header, want 2"),
        (["area,rooms", "1,two"], "new.csv, line 2, column 'rooms': found 'two'"),
        (["area,rooms", "1"], "new.csv, line 2: found 1 cells"),
        (["area,rooms"], "new.csv: there is a header but no row"),
        ([], "new.csv: the file is empty"),
    ],
)
def test_a_csv_file_that_the_model_can_not_use(table, message, model, capsys):
    write("model.json", model)
    write("new.csv", *table)
    assert_refused(capsys, message, "predict", "model.json", "new.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "is of version 2, this autograd_lite reads 1; upgrade it"),
        ({"format": "other"}, "not a model file"),
        ({"parameters": {}}, "has 9 parameters, the file holds 0"),
        ({"extra": {}}, "what train writes beside the model is missing or damaged"),
    ],
)
def test_a_damaged_model_file(change, message, model, capsys):
    write("houses.csv", *houses(4))
    write("model.json", json.dumps(json.loads(model) | change))
    assert_refused(capsys, f"model.json: .*{message}", "predict", "model.json", "houses.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": None}, "NoneType"),
        ({"inputs": {"mean": [0, 0]}}, "'scale'"),
        ({"inputs": {"mean": [0, 0], "scale": [1, 0]}}, "scale must be positive"),
        ({"inputs": {"mean": "ab", "scale": "cd"}}, "must be real number"),
        ({"inputs": {"mean": [0], "scale": [1]}}, "does not fit the inputs"),
        ({"feature_names": ["area"]}, "does not fit the inputs"),
        ({"feature_names": [1, 2]}, "1 is no name"),
        ({"target": None}, "want two classes or the scale of one number"),
        ({"target": {"mean": [0, 0], "scale": [1, 1]}}, "want two classes or the scale of one number"),
        ({"target": [1]}, "must be a mapping"),
        ({"classes": ["one"]}, "want two classes or the scale of one number"),
        ({"classes": ["a", "b", "c"]}, "does not fit the classes"),
        ({"classes": [1, 2]}, "1 is no name"),
        ({"classes": 5}, "not iterable"),
    ],
    ids=str,
)
def test_damaged_facts_beside_the_model(change, message, model, capsys):
    document = json.loads(model)
    write("houses.csv", *houses(4))
    write("model.json", json.dumps(document | {"extra": document["extra"] | change}))
    assert_refused(capsys, f"model.json: .* missing or damaged: .*{message}", "predict", "model.json", "houses.csv")


def test_a_model_file_cut_short(model, capsys):
    write("houses.csv", *houses(4))
    for length in range(0, len(model) - 2, 61):
        write("model.json", model[:length])
        assert_refused(capsys, "model.json: ", "predict", "model.json", "houses.csv")


def test_a_folder_that_was_there_stays(capsys):
    Path("out").mkdir()
    write("houses.csv", *houses(10))
    assert main([*DIVERGING, "--out", "out"]) == 2
    assert written() == {"houses.csv", "out"}
    assert main([*DIVERGING, "--out", "new/deep"]) == 2
    assert written() == {"houses.csv", "out"}


def test_a_failed_run_leaves_the_files_of_the_one_before(capsys, monkeypatch):
    write("houses.csv", *houses(10))
    main(["train", "houses.csv", "--epochs", "1"])
    assert_refused(capsys, "lower the learning rate", *DIVERGING)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "history.csv")

    monkeypatch.setattr(cli.History, "save", full)
    assert_refused(capsys, "history.csv: No space left", "train", "houses.csv", "--epochs", "1")


# audit


def test_audit_finds_an_engine_in_the_current_folder(capsys: pytest.CaptureFixture[str]) -> None:
    write("broken.py", "class Value:", "    data = grad = 0.0", "    __init__ = backward = lambda *_: None")
    assert main(["audit", "broken:Value", "--json", "report.json"]) == 1
    printed = capsys.readouterr()
    assert "fail    a + b at a = 2.0, b = 3.0: TypeError" in printed.out
    assert printed.err == ""
    assert json.loads(Path("report.json").read_text(encoding="utf-8"))["counts"]["fail"] > 20


@pytest.mark.parametrize("engine", ["nosuch:Value", "autograd_lite:tanh", "autograd_lite"])
def test_audit_of_no_engine(capsys: pytest.CaptureFixture[str], engine: str) -> None:
    assert_refused(capsys, engine, "audit", engine)


# the process


def test_version_and_help(capsys):
    for arguments, text in (
        (["--version"], "autograd-lite "),
        (["--help"], "train"),
        (["train", "--help"], "digits"),
        (["predict", "--help"], "MODEL.json"),
        (["draw", "--help"], "logsumexp"),
        (["step", "--help"], "← → home end"),
        (["audit", "--help"], "micrograd.engine:Value"),
    ):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
        assert text in capsys.readouterr().out


def test_the_help_shows_true_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert re.search(r"^digits +32 +\d+ +0\.01 +32$", capsys.readouterr().out, re.MULTILINE)


def test_python_m_nn_is_the_command():
    done = run("draw", "x*x", "--at", "x=3")
    assert (done.returncode, done.stdout) == (0, "x*x = 9.0\nd/dx = 6.0\n")


def test_errors_show_no_traceback():
    done = run("predict", "nosuch.json", "nosuch.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "autograd-lite: error: nosuch.json: No such file or directory\n"


def test_a_name_that_the_terminal_has_no_letters_for():
    done = run("draw", "θ*2", "--at", "θ=1", env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert (done.returncode, done.stdout) == (0, "\\u03b8*2 = 2.0\nd/d\\u03b8 = 2.0\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise there")
def test_a_reader_that_has_gone(model):
    write("model.json", model)
    write("many.csv", "area,rooms", *["100,3"] * 20_000)
    with subprocess.Popen(
        [sys.executable, "-m", "nn", "predict", "model.json", "many.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "prediction\n"
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_an_output_that_can_not_be_written():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nn", "draw", "1 + 1", "-o", "graph.dot"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (2, "autograd-lite: error: No space left on device\n")


def test_warnings_take_one_line(capsys, monkeypatch):
    def without_fonts(y: al.Value) -> Drawing:
        warnings.warn("no fonts", stacklevel=1)
        return draw(y)

    monkeypatch.setattr(cli, "draw", without_fonts)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["draw", "1 + 1", "-o", "graph.dot"]) == 0
    assert capsys.readouterr().err == "autograd-lite: warning: no fonts\n"
