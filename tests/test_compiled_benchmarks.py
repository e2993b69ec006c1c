"""The benchmark of compiled code runs, and finds an engine that computes something else. Nothing looks at times."""

import sys

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tests.benchmarks import compiled, steps, steps_with_numpy

HEAVY = ("jax", "torch", "sklearn")


@pytest.fixture(autouse=True)
def only_what_is_light(monkeypatch, tmp_path):
    monkeypatch.setenv("AUTOGRAD_LITE_CACHE", str(tmp_path))
    for name, value in compiled.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    for name in HEAVY:
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, f"tests.benchmarks.steps_with_{name}", raising=False)


def test_a_quick_run_measures_every_part_and_names_the_absent_peers(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    assert compiled.main(["--quick", "--plot", str(tmp_path / "steps.svg")]) == 0
    printed = capsys.readouterr().out
    for part in ("J2: ", "J3: ", "J2 with 10 rows", "20-12-10: ", "Digits: ", "Irregular random graphs", "Cold start"):
        assert f"\n{part}" in printed
    assert all(f"{name} is absent" in printed for name in ("jax", "torch", "scikit-learn"))
    assert "  NumPy by hand " in printed
    assert "<svg" in (tmp_path / "steps.svg").read_text(encoding="utf-8")


def test_an_engine_that_computes_something_else_ends_the_run(monkeypatch):
    monkeypatch.setattr(steps_with_numpy, "LEARNING_RATE", 0.1 + 1e-6)
    with pytest.raises(ArithmeticError, match=r"J2 in NumPy by hand: number 0 is 0.98.*, but autograd_lite computed"):
        compiled.main(["--quick", "--only", "steps"])


@pytest.mark.parametrize("number", [1.0 + 2e-9, -1.0, 0.0, float("nan"), float("inf")])
def test_other_numbers_are_not_equal(number):
    wanted = np.array([0.0, 1.0])
    compiled.check_close("job", np.array([1e-10, 1.0]), wanted)
    with pytest.raises(ArithmeticError, match="job: number 1 is"):
        compiled.check_close("job", np.array([0.0, number]), wanted)
    with pytest.raises(ArithmeticError, match="job: 1 numbers, but autograd_lite computed 2"):
        compiled.check_close("job", wanted[:1], wanted)


def test_batches_are_shuffled_as_fit_does():
    task = steps.digits_training(quick=True)
    (first, second, *_) = [np.concatenate(batches) for batches in task.epochs()]
    assert sorted(first) == sorted(second) == list(range(64))
    assert list(first) != list(second)


def test_a_bad_argument_is_refused(capsys):
    with pytest.raises(SystemExit):
        compiled.main(["--only", "everything"])
    assert "invalid choice" in capsys.readouterr().err
