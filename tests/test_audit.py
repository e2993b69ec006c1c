"""The audit: what is wrong with an engine is found, what is right or absent is not, and nothing breaks the auditor."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from textwrap import dedent

import pytest
from micrograd.engine import Value as MicrogradValue

import autograd_lite as al
from autograd_lite import audit as auditing
from autograd_lite.audit import Audit, audit, main
from autograd_lite.audit_checks import CHECKS, Check

ENGINE = dedent(
    '''
    """A small engine that has no fault and few features."""


    class Value:
        def __init__(self, data, parents=(), partials=()):
            if type(data) not in (int, float):
                raise TypeError(f"not a number: {data!r}")
            self.data = float(data)
            self.grad = 0.0
            self.parents = parents
            self.partials = partials

        def __add__(self, other):
            other = lifted(other)
            return Value(self.data + other.data, (self, other), (1.0, 1.0))

        def __sub__(self, other):
            other = lifted(other)
            return Value(self.data - other.data, (self, other), (1.0, -1.0))

        def __mul__(self, other):
            other = lifted(other)
            return Value(self.data * other.data, (self, other), (other.data, self.data))

        def __rsub__(self, other):
            return lifted(other) - self

        __radd__ = __add__
        __rmul__ = __mul__

        def relu(self):
            return Value(self.data if self.data > 0 else self.data * 0.0, (self,), (float(self.data > 0),))

        def backward(self):
            order = sorted_operands_first(self)
            for node in order:
                if node.parents:
                    node.grad = 0.0
            self.grad += 1.0
            for node in reversed(order):
                for parent, partial in zip(node.parents, node.partials):
                    parent.grad += partial * node.grad

        def __bool__(self):
            raise TypeError("neither true nor false")


    def lifted(x):
        return x if isinstance(x, Value) else Value(x)


    def sorted_operands_first(root):
        order, seen, todo = [], set(), [(root, False)]
        while todo:
            node, done = todo.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                todo.append((node, True))
                todo.extend((parent, False) for parent in node.parents)
        return order
    '''
)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(auditing.__file__).parents[1]))


def engine(*changes: tuple[str, str]) -> str:
    """Write the engine with some changes, and return its place."""
    text = ENGINE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    Path("engine.py").write_text(text, encoding="utf-8")
    return "engine:Value"


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Leave only these checks, for speed."""
    chosen = tuple(check for check in CHECKS if check.name in names)
    assert {check.name for check in chosen} == set(names)
    monkeypatch.setattr(auditing, "CHECKS", chosen)


def written() -> set[str]:
    return {path.name for path in Path().iterdir()} - {"__pycache__"}


def outcomes(report: Audit, outcome: str) -> set[str]:
    return {r.check.name for r in report.results if r.outcome == outcome}


# whole audits


@pytest.fixture(scope="module")
def ours() -> Audit:
    return audit(al.Value)


@pytest.fixture(scope="module")
def micrograds() -> Audit:
    return audit(MicrogradValue)


@pytest.mark.slow
def test_our_own_engine_has_no_finding(ours):
    assert ours, str(ours)
    assert ours.findings == ()
    assert outcomes(ours, "absent") == {"zero_grad"}
    assert outcomes(ours, "pass") == {check.name for check in CHECKS} - {"zero_grad"}


@pytest.mark.slow
def test_micrograd_has_its_known_defects(micrograds):
    report = micrograds
    assert not report
    found = {r.check.name: r for r in report.findings}
    assert "RecursionError" in found["a chain of 1,200 operations"].printed
    assert found["a second backward"].printed == "36.0"  # neither 12, set anew, nor 24, accumulated
    assert found["the operands of a + a"].printed == "1"
    assert "ZeroDivisionError" in found["a**0 at a = 0.0"].printed
    assert found["a**(1/3) at a = -8.0"].printed.startswith("(1.0000000000000002+1.7320508075688772j)")
    assert found["nodes die with their last reference"].outcome == "fail"
    assert "27.0 209.0" in found["changing data after it was used"].printed
    assert "the same bits every time, in every process" in found
    assert all(r.outcome in ("fail", "timeout") for r in report.findings)  # on a busy machine a recursion takes long
    assert {"a.tanh() at a = 0.5", "+a at a = 2.0", "2**a at a = 3.0", "zero_grad"} <= outcomes(report, "absent")
    assert outcomes(report, "pass") >= {"a + a at a = 3.0", "a.relu() at a = 0.0", "(2 - a) + (0.5 - a) at a = 3.0"}


def test_what_an_engine_does_not_offer_is_absent():
    report = audit(engine())
    assert report, str(report)
    absent = outcomes(report, "absent")
    assert {"a / b at a = 3.0, b = 2.0", "a**2 at a = 3.0", "-a at a = 2.0", "comparison"} <= absent
    assert "(2 - a) + (0.5 - a) at a = 3.0" in outcomes(report, "pass")


@pytest.mark.slow
def test_a_program_of_the_report_runs_as_it_is(ours, micrograds):
    for result in ours.results[:1] + micrograds.findings[:4]:
        done = subprocess.run([sys.executable, "-c", result.program], capture_output=True, text=True)
        assert result.printed in (done.stdout + done.stderr)


# one fault each


ADD = "return Value(self.data + other.data, (self, other), (1.0, 1.0))"
MUL = "return Value(self.data * other.data, (self, other), (other.data, self.data))"
FAULTS = {
    "the sign in sub": (["a - b at a = 2.0, b = 3.0", "a - a at a = 3.0"], [("(1.0, -1.0)", "(1.0, 1.0)")]),
    "rsub not turned round": (["(2 - a) + (0.5 - a) at a = 3.0"], [("lifted(other) - self", "self - other")]),
    "no reflected operator": (
        ["(2 + a) + (0.5 + a) at a = 3.0", "sum([a, b, a]) at a = 2.0, b = 3.0"],
        [("__radd__ = __add__", "")],
    ),
    "no accumulation": (
        ["a + a at a = 3.0", "a * a at a = 3.0", "(a * 2) * (a + 1) at a = 3.0"],
        [("parent.grad += partial", "parent.grad = partial")],
    ),
    "no accumulation in one operation": (
        ["a.relu() + a.relu() at a = 3.0"],
        [("parent.grad += partial", "parent.grad = parent.grad * (len(node.parents) > 1) + partial")],
    ),
    "operands exchanged": (["a * b at a = 2.0, b = 3.0"], [("(other.data, self.data))", "(self.data, other.data))")]),
    "nodes in between not reset": (
        ["a second backward", "two results that share a node"],
        [("if node.parents:\n                node.grad = 0.0", "pass")],
    ),
    "first to be reached, first to be done": (
        ["a short way and a long way", "a random graph of 200 operations, against the derivative carried forwards"],
        [("order = sorted_operands_first(self)", "order = sorted_operands_first(self)[::-1]; order[0], order[-1] = "
          "order[-1], order[0]")],
    ),
    "equality by number": (
        ["(a * 2) + (b * 2) at a = 2.0, b = 2.0", "equal numbers are different Values"],
        [("def __bool__", "def __eq__(self, other):\n        return self.data == other.data\n\n    "
          "def __hash__(self):\n        return hash(self.data)\n\n    def __bool__")],
    ),
    "recursion": (
        ["a chain of 1,200 operations", "a chain of 100,000 operations, and its end"],
        [("order, seen, todo = [], set(), [(root, False)]", "\n    order, seen = [], set()\n    def visit(node):\n"
          "        if node not in seen:\n            seen.add(node)\n            for parent in node.parents:\n"
          "                visit(parent)\n            order.append(node)\n    visit(root)\n    todo = []")],
    ),
    "partials read late": (
        ["changing data after it was used"],
        [("parent.grad += partial * node.grad", "x, y = node.parents\n                parent.grad += "
          "(y if parent is x else x).data * node.grad * (2 if x is y else 1) / (2 if x is y else 1)")],
    ),
    "in place": (
        ["+= makes a new node", "y += y * x in a loop"],
        [("__radd__", "def __iadd__(self, other):\n        self.data += lifted(other).data\n        return self\n\n"
          "    __radd__")],
    ),
    "a list of all nodes": (
        ["nobody else keeps nodes"],
        [("self.grad = 0.0\n        self.parents", "ALL.append(self)\n        self.grad = 0.0\n        self.parents"),
         ("class Value:", "ALL = []\n\n\nclass Value:")],
    ),
    "cycles": (["nodes die with their last reference"], [("self.parents = parents", "self.parents = parents\n"
               "        self.me = self")]),
    "sets of operands": (
        ["the operands of a + a"],
        [("self.parents = parents", "self._prev = set(parents)\n        self.inputs = parents"),
         ("node.parents", "node.inputs")],
    ),
    "bits that depend on the hash seed": (
        ["the same bits every time, in every process"],
        [("self.partials = partials", "self.partials = tuple(p * (1 + hash('x') % 9 * 1e-15) for p in partials)")],
    ),
    "garbage printed": (["nothing is printed"], [(MUL, "print('garbage', end='')\n        " + MUL)]),
    "anything taken": (
        ["Value of what is no number", "+ and * with what is no number"],
        [("type(data) not in (int, float)", "False"), ("float(data)", "data")],
    ),
    "relu hides nan": (["relu of nan"], [("self.data * 0.0", "0.0")]),
    "repr walks the graph": (
        ["repr at the end of a long chain"],
        [("def __bool__", "def __repr__(self):\n        return f'{self.data} from {self.parents}'\n\n"
          "    def __bool__")],
    ),
    "a feature that is there and raises": (
        ["a.relu() at a = 3.0"], [("return Value(self.data if", "1 / 0\n        return Value(self.data if")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault, monkeypatch):
    names, changes = FAULTS[fault]
    only(monkeypatch, *names, "backward of a leaf")
    report = audit(engine(*changes))
    assert outcomes(report, "fail") == set(names), str(report)
    assert outcomes(report, "pass") == {"backward of a leaf"}


def test_every_fault_is_one_that_the_engine_does_not_have(monkeypatch):
    only(monkeypatch, *{name for names, _ in FAULTS.values() for name in names})
    assert audit(engine())


@pytest.mark.parametrize(
    ("change", "printed"),
    [
        ("import os; os._exit(3)", "the process ended with status 3"),
        ("import os; os.abort()", "killed by SIGABRT"),
        ("import sys; sys.exit('with a message')", "the process ended with status 1"),
        pytest.param(
            "memory = []\n        while True: memory.append(bytes(10**8))",
            "out of memory (the limit is 2 GiB)",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="memory can't be limited here"),
        ),
    ],
)
def test_a_crash_is_found_and_the_audit_goes_on(change, printed, monkeypatch):
    only(monkeypatch, "a + b at a = 2.0, b = 3.0", "a * b at a = 2.0, b = 3.0")
    report = audit(engine((MUL, f"{change}\n        {MUL}")))
    added, multiplied = report.results
    assert added.outcome == "pass"
    assert (multiplied.outcome, multiplied.printed) == ("crash", printed)
    assert report.findings == (multiplied,)


def test_a_process_that_ends_quietly_halfway_has_failed(monkeypatch):
    only(monkeypatch, "a * b at a = 2.0, b = 3.0", "the same bits every time, in every process")
    report = audit(engine((MUL, f"import os; os._exit(0)\n        {MUL}")))
    assert [(r.outcome, r.printed) for r in report.results] == [("fail", "nothing")] * 2


def test_a_hang_is_found_and_ends(monkeypatch):
    monkeypatch.setattr(auditing, "_SECONDS", 2.0)
    only(monkeypatch, "a * b at a = 2.0, b = 3.0", "a ladder of 60 steps, each used twice")
    report = audit(engine((MUL, f"while True: pass\n        {MUL}"), ("elif node not in seen", "else")))
    assert [(r.outcome, r.printed) for r in report.results] == [("timeout", "nothing within 2 seconds")] * 2


def test_endless_output_is_bounded(monkeypatch):
    only(monkeypatch, "a * b at a = 2.0, b = 3.0")
    report = audit(engine((MUL, f"while True: print('garbage ' * 1000)\n        {MUL}")))
    (result,) = report.results
    assert result.outcome == "fail"
    assert len(result.printed) <= 300


def test_documented_conventions_are_notes(monkeypatch):
    only(monkeypatch, "a.relu() at a = 0.0", "the truth of a Value", "a leaf in two graphs", "a second backward")
    report = audit(
        engine(
            ("self.data > 0 else", "self.data > 0 else 0.0 if self.data == 0 else"),
            ("(float(self.data > 0),)", "(0.5,)"),
            ('raise TypeError("neither true nor false")', "return True"),
            ("            if node.parents:\n                node.grad = 0.0", "            node.grad = 0.0"),
        )
    )
    assert report
    assert outcomes(report, "note") == {check.name for check in auditing.CHECKS}
    assert "HIPS" in str(report)


# the checks


def test_checks_have_names_of_their_own():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.meaning and check.program and check.right != "" for check in CHECKS)


def test_a_note_is_never_the_right_answer():
    for check in CHECKS:
        assert not any(auditing._equal(other, str(check.right)) for other in check.others), check.name


@pytest.mark.parametrize(
    ("answer", "right", "equal"),
    [
        ("6 nan -inf", "6.0 nan -inf", True),
        ("0.1 2", "0.1 2.0000000000001", True),
        ("0.1", "0.10000000001", False),
        ("0.0", "-0.0", True),
        ("1e-18", "0", False),
        ("inf", "-inf", False),
        ("6", "6 1", False),
        ("(1+2j) nan", "nan nan", False),
        ("True", "1", False),
        ("", "0", False),
    ],
)
def test_answers_are_compared_as_numbers(answer, right, equal):
    assert auditing._equal(answer, right) is equal


# the target


@pytest.mark.parametrize(
    "text",
    ["", "Value", "engine", "engine:", ":Value", "engine:Value()", "a b:Value", "import:Value", "engine:Value;print()",
     "os:system('touch made')", "engine:1", "engine:Value\n", "../engine:Value"],
)  # fmt: skip
def test_a_text_that_names_no_class_is_refused_and_not_run(text):
    with pytest.raises(ValueError, match=r"give package\.module:Value"):
        audit(text)
    assert not Path("made").exists()


def test_something_else_than_a_class_is_refused():
    with pytest.raises(TypeError, match=r"takes a class.*not 3\.0"):
        audit(3.0)
    with pytest.raises(TypeError, match="not a class but of type function"):
        audit("textwrap:dedent")
    with pytest.raises(TypeError, match=r"Value\(2\.0\) raises TypeError"):
        audit(dict)
    with pytest.raises(TypeError, match=r"no \.data and no \.grad and no \.backward"):
        audit("fractions:Fraction")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No module named 'engine'"),
        ("import nosuch", "No module named 'nosuch'"),
        ("value = 1", "no attribute 'Value'"),
        ("class Value", "SyntaxError"),
        ("raise OSError('\x1b[31m')", r"OSError: \\x1b\[31m"),
        ("import os; os._exit(0)", "nothing"),
        ("import os; os.abort()", "SIGABRT"),
        ("while True: pass", "nothing within 2 seconds"),
    ],
)
def test_a_module_that_can_not_be_imported(text, message, monkeypatch):
    monkeypatch.setattr(auditing, "_SECONDS", 2.0)
    if text is not None:
        Path("engine.py").write_text(text, encoding="utf-8")
    with pytest.raises(ImportError, match=message) as raised:
        audit("engine:Value")
    assert str(raised.value).startswith("can't audit engine:Value: ")


def test_a_class_that_other_processes_can_not_import(monkeypatch):
    class Value:
        pass

    with pytest.raises(ValueError, match="put it into a file"):
        audit(Value)
    monkeypatch.setattr(Value, "__module__", "__main__")
    with pytest.raises(ValueError, match=r"notebook.*put it into a file, say engine\.py, and audit\('engine:Value'\)"):
        audit(Value)


def test_a_class_in_a_class_and_of_another_name(monkeypatch):
    only(monkeypatch, "a + a at a = 3.0")
    engine(("class Value:", "class Scalar:"), ("Value", "Scalar"))
    with Path("engine.py").open("a", encoding="utf-8") as file:
        file.write("\n\nclass Outer:\n    Inner = Scalar\n")
    for place, lines in {
        "engine:Scalar": "from engine import Scalar as Value\n",
        "engine:Outer.Inner": "from engine import Outer\nValue = Outer.Inner\n",
    }.items():
        report = audit(place)
        assert report
        assert report.results[0].program.startswith(lines)


# the report


HOSTILE = [(ADD, "raise ValueError('<script>alert(1)</script> & \\x1b[31m \\u202e' + 'long ' * 100)")]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


def test_the_report_escapes_what_the_engine_says(monkeypatch):
    only(monkeypatch, "a + b at a = 2.0, b = 3.0", "a * b at a = 2.0, b = 3.0")
    report = audit(engine(*HOSTILE))
    for text in (str(report), report.html(), report.json()):
        assert "\x1b" not in text
        assert "\u202e" not in text
    for html in (report.html(), report._repr_html_()):
        assert "&lt;script&gt;" in html
        page = _Page()
        page.feed(html)
        assert "script" not in page.tags
        assert not re.search(r"https?:|url\(|src=", html)


def test_the_report_in_its_forms(monkeypatch):
    only(monkeypatch, "a + b at a = 2.0, b = 3.0", "a - b at a = 2.0, b = 3.0", "zero_grad")
    report = audit(engine(("(1.0, -1.0)", "(1.0, 1.0)")))
    assert repr(report) == "<audit of engine:Value: 1 pass, 1 absent, 1 fail>"
    assert "fail    a - b at a = 2.0, b = 3.0: -1.0 1.0 1.0; right is -1 1 -1" in str(report)
    assert "      from engine import Value\n      a, b = Value(2.0), Value(3.0)\n" in str(report)
    facts = json.loads(report.json())
    assert facts["counts"] == {"pass": 1, "fail": 1, "absent": 1}
    assert [r["outcome"] for r in facts["results"]] == ["pass", "fail", "absent"]
    assert facts["results"][1]["right"] == "-1 1 -1"
    assert report == audit("engine:Value")
    assert report.html() == audit("engine:Value").html()


# the command


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autograd_lite.audit", *arguments],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | variables,
    )


def test_the_command_finds_an_engine_in_the_current_folder():
    done = run(engine(("(1.0, -1.0)", "(1.0, 1.0)")), "--json", "report.json", "--html", "report.html",
               PYTHONIOENCODING="ascii")  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "fail: a - b at a = 2.0, b = 3.0" in done.stdout
    facts = json.loads(Path("report.json").read_text(encoding="utf-8"))
    assert facts["target"] == "engine:Value"
    assert len(facts["results"]) == len(CHECKS)
    assert "Audit of engine:Value" in Path("report.html").read_text(encoding="utf-8")
    assert written() == {"engine.py", "report.json", "report.html"}


def test_the_command_is_silent_about_its_inside_when_the_reader_leaves(monkeypatch, capfd):
    engine()
    program = f"{sys.executable} -m autograd_lite.audit engine:Value | head -1"
    assert subprocess.run(["sh", "-c", program]).returncode == 0
    assert capfd.readouterr() == ("arithmetic\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch:Value"], "No module named 'nosuch'"),
        (["textwrap:dedent"], "not a class"),
        (["textwrap"], "doesn't name a class"),
        (["engine:Value", "--json", "nosuch/report.json"], "its folder does not exist: 'nosuch/report.json'"),
        (["engine:Value", "--html", "."], "a file is wanted, and this is a folder: '.'"),
    ],
)
def test_bad_usage_takes_one_line_and_status_2(arguments, message, monkeypatch, capsys):
    engine()
    only(monkeypatch, "a + a at a = 3.0")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert written() == {"engine.py"}


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals(variables, coloured, monkeypatch, capsys):
    engine()
    only(monkeypatch, "a + a at a = 3.0")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["engine:Value"]) == 0
    assert ("\x1b[32mpass" in capsys.readouterr().out) is coloured


def test_ctrl_c_ends_it(monkeypatch, capsys):
    def interrupted(check: Check, target: object) -> None:
        raise KeyboardInterrupt

    engine()
    monkeypatch.setattr(auditing, "_result", interrupted)
    assert main(["engine:Value"]) == 130
    assert capsys.readouterr().err == "audit: interrupted\n"
