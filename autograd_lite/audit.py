"""Audit any engine of the micrograd kind: `python -m autograd_lite.audit package.module:Value`.

Every check of `audit_checks` is run as the program that the report shows, in a process of its own with limits of time
and memory, so that a crash, a hang or exhausted memory is a finding like any other.
"""

from __future__ import annotations

import argparse
import errno
import io
import json
import keyword
import math
import os
import reprlib
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from .audit_checks import CHECKS, Check
from .files import write_atomically

__all__ = ["NOTES", "Audit", "Result", "add_arguments", "audit", "main", "run"]

NOTES = """\
The engine is a class Value(data) with .data, .grad, .backward() and operators, in a module that Python finds from here;
what it doesn't offer beyond that is reported as absent. The exit status is 0 if nothing is wrong, 1 if something is,
2 if there is no such class.
"""
_SECONDS = 10.0  # for one check; on an ordinary machine each takes a fraction of one
_MEMORY = 2**31  # bytes for one check, where the platform can limit it
_OUTPUT = 2**26  # bytes that a check may print, likewise
_FINDINGS = ("fail", "crash", "timeout")


# ---- what is found --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """Tell how one check went.

    Attributes:
        check: what was asked, with the right answer.
        outcome: "pass"; "note" for another documented convention; "absent" if the engine doesn't have the feature;
            or a finding: "fail", "crash" or "timeout".
        program: what was run, imports included.
        printed: its last line, or what ended it.
        comment: what there is to say beyond the check's own meaning.
    """

    check: Check
    outcome: str
    program: str
    printed: str
    comment: str = ""

    @property
    def right(self) -> str:
        """The right answer, in words if it is free."""
        return "the same in every process" if self.check.right is None else self.check.right


@dataclass(frozen=True)
class Audit:
    """Report what an audit found; true if nothing is wrong.

    Attributes:
        target: the class, as package.module:Value.
        results: one for each check, in the order of `CHECKS`.
    """

    target: str
    results: tuple[Result, ...]

    @property
    def findings(self) -> tuple[Result, ...]:
        """What is wrong: failures, crashes and hangs."""
        return tuple(r for r in self.results if r.outcome in _FINDINGS)

    @property
    def counts(self) -> dict[str, int]:
        """How often each outcome came up, findings last."""
        counted = Counter(r.outcome for r in self.results)
        return {outcome: counted[outcome] for outcome in _COLOURS if outcome in counted}

    def __bool__(self) -> bool:
        return not self.findings

    def __repr__(self) -> str:
        return f"<audit of {_summary(self)}>"

    def __str__(self) -> str:
        return "\n".join([*_table(self.results), "", *_details(self)])

    def json(self) -> str:
        """Return the report as JSON text."""
        results = [
            {
                "topic": r.check.topic, "name": r.check.name, "outcome": r.outcome, "program": r.program,
                "printed": r.printed, "right": r.right, "meaning": r.check.meaning, "comment": r.comment,
            }
            for r in self.results
        ]  # fmt: skip
        return json.dumps({"target": self.target, "counts": self.counts, "results": results}, indent=1) + "\n"

    def html(self) -> str:
        """Return the report as a page that needs nothing else."""
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>Audit of {escape(self.target)}</title>\n</head>\n"
            f'<body class="audit-page">\n{self._repr_html_()}</body>\n</html>\n'
        )

    def _repr_html_(self) -> str:
        return _html(self)


# ---- running one program --------------------------------------------------------------------------------------


class _Ended(NamedTuple):
    """How a process ended: `answer` is what is compared, `printed` what is shown."""

    how: str  # "printed", "raised", "crash" or "timeout"
    answer: str
    printed: str


# Limits are set by the process itself: between fork and exec, with threads around, Python code may lock up.
_PRELUDE = f"""\
try:
    import resource as _resource
except ImportError:
    pass
else:
    for _name, _limit in ("RLIMIT_DATA", {_MEMORY}), ("RLIMIT_FSIZE", {_OUTPUT}), ("RLIMIT_CORE", 0):
        try:
            _resource.setrlimit(getattr(_resource, _name), (_limit, _limit))
        except (AttributeError, OSError, ValueError):
            pass
"""


def _ended(program: str, hash_seed: int = 0) -> _Ended:
    """Run a program in a process of its own, in the current folder and with this process's path."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }
    with TemporaryFile() as out, TemporaryFile() as err:  # not pipes: what is printed is bounded, and read at the end
        child = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + program],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment,
        )  # fmt: skip
        try:
            status = child.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            return _Ended("timeout", "", f"nothing within {_SECONDS:g} seconds")
        finally:
            child.kill()  # if it is still there
            child.wait()
        return _judged(status, _tail(out), _tail(err))


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2**16))
    return file.read().decode("utf-8", errors="replace")


def _judged(status: int, out: str, err: str) -> _Ended:
    """Say how a process ended, from its exit status and what it wrote."""
    if status == 0:
        answer = out.strip().rpartition("\n")[2].strip()
        return _Ended("printed", answer, answer or "nothing")
    _, found, traceback = err.rpartition("Traceback (most recent call last):\n")
    error = next((line for line in traceback.splitlines() if line and not line.startswith(" ")), "")
    if status == 1 and found and error:
        name = error.partition(":")[0].rpartition(".")[2]
        if name == "MemoryError":
            return _Ended("crash", "", f"out of memory (the limit is {_MEMORY / 2**30:g} GiB)")
        return _Ended("raised", name, error)
    if status < 0:
        with suppress(ValueError):
            return _Ended("crash", "", f"killed by {signal.Signals(-status).name}")
    return _Ended("crash", "", f"the process ended with status {status}")


# ---- judging --------------------------------------------------------------------------------------------------


class _Target(NamedTuple):
    module: str
    qualname: str

    def __str__(self) -> str:
        return f"{self.module}:{self.qualname}"

    def importing(self, program: str) -> str:
        """Return the program with the lines before it that make the class `Value`."""
        first, dot, rest = self.qualname.partition(".")
        if dot:
            return f"from {self.module} import {first}\nValue = {first}.{rest}\n{program}"
        alias = "" if first == "Value" else " as Value"
        return f"from {self.module} import {first}{alias}\n{program}"


def _target(given: str | type) -> _Target:
    """Read package.module:Value, or say where a class can be imported from."""
    if isinstance(given, type):
        return _target_of(given)
    if not isinstance(given, str):
        raise TypeError(f"audit takes a class, or its place as package.module:Value, not {reprlib.repr(given)}")
    module, colon, qualname = given.partition(":")
    parts = [*module.split("."), *qualname.split(".")]
    if not colon or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise ValueError(f"{given!r} doesn't name a class; give package.module:Value, as in micrograd.engine:Value")
    return _Target(module, qualname)


def _target_of(cls: type) -> _Target:
    module, qualname = cls.__module__, cls.__qualname__
    advice = f"put it into a file, say engine.py, and audit({'engine:' + cls.__name__!r})"
    if module == "__main__":
        raise ValueError(
            f"{cls.__name__} is defined in the program or notebook that runs now, and other processes, in which it is "
            f"audited, can't import it from there; {advice}"
        )
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if found is not cls:
        raise ValueError(f"{module}:{qualname} can't be imported under that name: it is made while running; {advice}")
    return _target(f"{module}:{qualname}")


_PROBE = """\
import importlib, inspect
Value = importlib.import_module({module!r})
for name in {qualname!r}.split("."):
    Value = getattr(Value, name)
if not inspect.isclass(Value):
    raise TypeError(f"it is not a class but of type {{type(Value).__name__}}")
try:
    value = Value(2.0)
except Exception as error:
    raise TypeError(f"Value(2.0) raises {{type(error).__name__}}: {{error}}") from None
missing = [name for name in ("data", "grad", "backward") if not hasattr(value, name)]
if missing:
    raise TypeError(f"a Value has no .{{' and no .'.join(missing)}}")
print("ready")
"""


def _require(target: _Target) -> None:
    """Make sure, in another process, that the target is a class of the kind."""
    ended = _ended(_PROBE.format(module=target.module, qualname=target.qualname))
    if ended.answer != "ready":
        kind = TypeError if ended.answer == "TypeError" else ImportError
        raise kind(f"can't audit {target}: {_visible(ended.printed)}")


def _result(check: Check, target: _Target) -> Result:
    """Run a check and judge the answer."""
    program = target.importing(check.program)
    ended = _ended(program)
    comment = ""
    if ended.how in ("crash", "timeout"):
        outcome = ended.how
    elif ended.how == "printed" and ended.answer and _equal(ended.answer, check.right or _again(program)):
        outcome = "pass"
    elif other := next((why for answer, why in check.others.items() if _equal(ended.answer, answer)), ""):
        outcome, comment = "note", other
    elif ended.how == "raised" and check.needs and _refused(target.importing(check.needs)):
        outcome = "absent"
    else:
        outcome = "fail"
    return Result(check, outcome, program, _visible(ended.printed), comment)


def _again(program: str) -> str:
    """Return the answer in a process that hashes differently, and has its objects elsewhere."""
    return _ended(program, hash_seed=1).answer


_NOT_OFFERED = ("AssertionError", "AttributeError", "NotImplementedError", "TypeError")


def _refused(program: str) -> bool:
    ended = _ended(program)
    return ended.how == "raised" and ended.answer in _NOT_OFFERED


def _equal(answer: str, right: str) -> bool:
    """Compare word by word: numbers to within 1e-12, anything else as text.

    >>> _equal("6.0 nan", "6 nan"), _equal("1e-17", "0")
    (True, False)
    """
    words, wanted = answer.split(), right.split()
    return len(words) == len(wanted) and all(map(_same_word, words, wanted))


def _same_word(a: str, b: str) -> bool:
    try:
        x, y = float(a), float(b)
    except ValueError:
        return a == b
    return math.isclose(x, y, rel_tol=1e-12) or (math.isnan(x) and math.isnan(y))


def _visible(text: str) -> str:
    """Return one line without control characters, cut where nobody reads on."""
    return _cut("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text), 300)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _results(target: _Target) -> Iterator[Result]:
    """Run all checks, a few at a time, and give the results in the order of the checks."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(lambda check: _result(check, target), CHECKS)


def audit(engine: str | type) -> Audit:
    """Check an engine of the micrograd kind: a class `Value(data)` with `.data`, `.grad`, `.backward()`, operators.

    It takes some seconds: each check is a process of its own, with limits of time and, where the platform has them, of
    memory. Nothing is imported here.

    Args:
        engine: the class, or its place as "package.module:Value".

    Raises:
        ImportError: it can't be imported, or doing so doesn't end well.
        TypeError: it is not a class of the kind.
        ValueError: the text names no class, or the class is one that other processes can't import.

    >>> audit("autograd_lite:Values")
    Traceback (most recent call last):
        ...
    ImportError: can't audit autograd_lite:Values: AttributeError: module 'autograd_lite' has no attribute 'Values'...
    """
    target = _target(engine)
    _require(target)
    return Audit(str(target), tuple(_results(target)))


# ---- showing --------------------------------------------------------------------------------------------------

_COLOURS = {"pass": "32", "note": "36", "absent": "2", "fail": "31", "crash": "31", "timeout": "31"}


def _painted(outcome: str, text: str, colour: bool) -> str:
    return f"\033[{_COLOURS[outcome]}m{text}\033[0m" if colour else text


def _summary(report: Audit) -> str:
    return f"{report.target}: {', '.join(f'{count} {outcome}' for outcome, count in report.counts.items())}"


def _table(results: Iterable[Result], colour: bool = False) -> Iterator[str]:
    """Give the lines of the table as soon as the results come."""
    for topic, group in groupby(results, key=lambda r: r.check.topic):
        yield topic
        for r in group:
            line = f"  {_painted(r.outcome, f'{r.outcome:8}', colour)}{r.check.name}"
            if r.outcome == "note":
                line += f": {_cut(r.printed, 60)} ({r.comment})"
            elif r.outcome in _FINDINGS:
                line += f": {_cut(r.printed, 60)}; right is {r.right}"
            yield line


def _details(report: Audit, colour: bool = False) -> Iterator[str]:
    """Give the lines that tell about every finding, with the program to paste."""
    for r in report.findings:
        yield f"{_painted(r.outcome, r.outcome, colour)}: {r.check.name}"
        yield from textwrap.wrap(r.check.meaning, 100, initial_indent="  ", subsequent_indent="  ")
        yield textwrap.indent(r.program, "      ")
        if r.check.right is None:
            yield "  run it twice, with PYTHONHASHSEED=0 and PYTHONHASHSEED=1 in the environment"
        yield f"  printed: {r.printed}"
        yield f"  right:   {r.right}"
        yield ""
    yield _summary(report)


_STYLE = """<style>
.audit-page { margin: 0; }
.audit {
  --paper: #ffffff; --ink: #1f2328; --pale: #5b6470; --line: #d4d8de; --sheet: #f5f6f8;
  --good: #1a7f37; --note: #0b6bcb; --bad: #c21f2c; color-scheme: light;
}
@media (prefers-color-scheme: dark) {
  .audit:not([data-jp-theme-light="true"] *) {
    --paper: #15181d; --ink: #e8eaed; --pale: #a5adb8; --line: #3a414b; --sheet: #1f242b;
    --good: #56d364; --note: #6cb4ff; --bad: #ff7b72; color-scheme: dark;
  }
}
[data-jp-theme-light="false"] .audit {
  --paper: #15181d; --ink: #e8eaed; --pale: #a5adb8; --line: #3a414b; --sheet: #1f242b;
  --good: #56d364; --note: #6cb4ff; --bad: #ff7b72; color-scheme: dark;
}
.audit { background: var(--paper); color: var(--ink); padding: 24px 16px; font: 16px/1.45 Arial, sans-serif; }
.audit-page .audit { min-height: 100vh; box-sizing: border-box; }
.audit > * { max-width: 60rem; margin-left: auto; margin-right: auto; }
.audit h1 { font-size: 1.5rem; margin-top: 0; overflow-wrap: anywhere; }
.audit h2 { font-size: 1.05rem; margin: 1.6rem auto 0.2rem; }
.audit p { color: var(--pale); margin: 0.3rem 0; }
.audit .counts { margin: 0 auto; font-size: 1.05rem; }
.audit .row { display: flex; gap: 12px; padding: 5px 0; border-top: 1px solid var(--line); }
.audit .outcome { flex: none; width: 4.5rem; color: var(--pale); }
.audit .pass { color: var(--good); }
.audit .note { color: var(--note); }
.audit :is(.fail, .crash, .timeout) { color: var(--bad); font-weight: bold; }
.audit .what { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.audit summary { cursor: pointer; }
.audit pre {
  background: var(--sheet); color: var(--ink); padding: 10px 12px; border-radius: 8px;
  overflow-x: auto; font-size: 0.875rem;
}
.audit dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; margin: 8px 0; }
.audit dt { color: var(--pale); }
.audit dd { margin: 0; font-family: monospace; }
</style>
"""


def _html(report: Audit) -> str:
    counts = " · ".join(f'<span class="{outcome}">{count} {outcome}</span>' for outcome, count in report.counts.items())
    body = "".join(
        f"<h2>{escape(topic)}</h2>\n<div>\n{''.join(map(_html_row, group))}</div>\n"
        for topic, group in groupby(report.results, key=lambda r: r.check.topic)
    )
    title = f"<h1>Audit of {escape(report.target)}</h1>"
    return f'{_STYLE}<div class="audit">\n{title}\n<p class="counts">{counts}</p>\n{body}</div>\n'


def _html_row(r: Result) -> str:
    """Show a result; a finding is open, so that the page prints as it should."""
    outcome = f'<span class="outcome {r.outcome}">{r.outcome}</span>'
    again = "<p>Run it twice, with PYTHONHASHSEED=0 and PYTHONHASHSEED=1.</p>" if r.check.right is None else ""
    told = {"printed": r.printed, "right": r.right, "because": r.comment}
    facts = "".join(f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in told.items() if fact)
    return (
        f'<div class="row">{outcome}<details class="what"{" open" if r.outcome in _FINDINGS else ""}>'
        f"<summary>{escape(r.check.name)}</summary>"
        f"<p>{escape(r.check.meaning)}</p><pre>{escape(r.program)}</pre>{again}<dl>{facts}</dl></details></div>\n"
    )


# ---- the command ----------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command.

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["micrograd.engine:Value"]).engine
    'micrograd.engine:Value'
    """
    parser.add_argument(
        "engine", metavar="package.module:Value", help="the class of the engine, such as micrograd.engine:Value"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON")
    parser.add_argument("--html", metavar="FILE", help="write the report as a page")


def run(args: argparse.Namespace) -> int:
    """Audit the engine, print the table as it grows, write the files, and return the exit status: 1 if it has faults.

    Raises:
        ImportError: as `audit`.
        OSError: a file can't be written.
        TypeError: as `audit`.
        ValueError: as `audit`.

    >>> run(argparse.Namespace(engine="no such class", json=None, html=None))
    Traceback (most recent call last):
        ...
    ValueError: 'no such class' doesn't name a class; give package.module:Value, as in micrograd.engine:Value
    """
    target = _target(args.engine)
    for path in filter(None, (args.json, args.html)):
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, "a file is wanted, and this is a folder", path)
        if not Path(path).absolute().parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "its folder does not exist", path)
    _require(target)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    results: list[Result] = []
    for line in _table(_kept(_results(target), results), colour):
        print(line, flush=True)
    report = Audit(str(target), tuple(results))
    print("", *_details(report, colour), sep="\n")
    if args.json is not None:
        write_atomically(args.json, report.json())
    if args.html is not None:
        write_atomically(args.html, report.html())
    return 0 if report else 1


def _kept(results: Iterable[Result], kept: list[Result]) -> Iterator[Result]:
    for r in results:
        kept.append(r)
        yield r


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m autograd_lite.audit` with these arguments and return its exit status.

    >>> main(["autograd_lite:exp"])
    2
    """
    parser = argparse.ArgumentParser(
        prog="python -m autograd_lite.audit",
        description="Check an automatic-differentiation engine of the micrograd kind.",
        epilog=NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return run(parser.parse_args(argv))
    except KeyboardInterrupt:
        print("audit: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
        return 141
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"audit: error: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
