"""The benchmark runs, and finds an engine that computes something else. Nothing here looks at times."""

import sys

import pytest

pytest.importorskip("micrograd")

from tests.benchmarks import eager, with_autograd_lite, with_micrograd


def test_a_quick_run_compares_every_engine_on_every_job(capsys):
    limit = sys.getrecursionlimit()
    assert eager.main(["--quick"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{job}: " in printed for job in ("J1", "J2", "J3"))
    assert printed.count("  autograd_lite ") == printed.count("  micrograd ") == 7
    assert printed.count("reached") == 7
    assert sys.getrecursionlimit() == limit


def test_an_engine_that_computes_something_else_ends_the_run(monkeypatch):
    exp = with_micrograd.exp
    monkeypatch.setattr(with_micrograd, "exp", lambda x: exp(x * (1.0 + 1e-6)))
    with pytest.raises(ArithmeticError, match=r"scalar_program in micrograd: number 0 is .*, but autograd_lite comp"):
        eager.main(["--quick"])


@pytest.mark.parametrize("number", [1.0 + 2e-9, -1.0, 0.0, float("nan"), float("inf")])
def test_other_numbers_are_not_equal(number):
    eager.check_equal("job", [0.0, 1.0 + 1e-10], [0.0, 1.0])
    with pytest.raises(ArithmeticError, match="job: number 1 is"):
        eager.check_equal("job", [0.0, number], [0.0, 1.0])
    with pytest.raises(ArithmeticError):
        eager.check_equal("job", [0.0], [0.0, 1.0])


@pytest.mark.parametrize("gradient", [0.0, 1e-300, -1e7, float("inf"), float("nan")])
def test_a_gradient_that_died_away_or_blew_up_ends_the_run(gradient):
    eager.check_sizes([1.0, -100.0])
    with pytest.raises(ArithmeticError, match="out of the range"):
        eager.check_sizes([1.0, gradient])


def test_the_gradients_of_the_full_program_neither_die_away_nor_blow_up():
    (job, *_) = eager.jobs(10_000, moons=1, images=1)
    *_, numbers = with_autograd_lite.scalar_program(job.task)
    eager.check_sizes(numbers[1:])


def test_an_engine_that_is_not_installed_is_named_with_the_command_that_adds_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "xad", None)
    monkeypatch.delitem(sys.modules, "tests.benchmarks.with_xad", raising=False)
    eager.main(["--quick"])
    assert "xad is absent; to add it: uv run --with xad python -m tests.benchmarks.eager" in capsys.readouterr().out


def test_a_bad_argument_is_refused(capsys):
    with pytest.raises(SystemExit):
        eager.main(["--slow"])
    assert "unrecognized arguments: --slow" in capsys.readouterr().err
