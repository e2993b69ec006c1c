"""What is imported is ours, the engine stands alone, and the wheel works in an empty environment."""

import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import autograd_lite as al
import nn

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command and return what it wrote; if it fails, the test says with what."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=280, cwd=cwd)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("package", [al, nn], ids=lambda package: package.__name__)
def test_the_imported_package_is_ours(package):
    assert Path(package.__file__).resolve() == (ROOT / package.__name__ / "__init__.py").resolve()


def test_the_installed_version_is_that_of_the_project():
    assert importlib.metadata.version("autograd_lite") == PROJECT["version"]


@pytest.mark.parametrize("package", ["autograd_lite", "nn"])
def test_packages_say_that_they_are_typed(package):
    assert (ROOT / package / "py.typed").is_file()


def test_every_row_of_the_table_is_in_the_namespace():
    for name, row in al.TABLE.items():
        assert row.name == name
        assert getattr(al, name) is row


@pytest.mark.parametrize("package", [al, nn], ids=lambda package: package.__name__)
def test_public_names_exist_once_and_hide_no_module(package):
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        public = getattr(package, name)
        is_a_file = (ROOT / package.__name__ / f"{name}.py").exists()
        assert is_a_file == (public is sys.modules.get(f"{package.__name__}.{name}")), name


def test_star_import_leaves_the_builtins_alone():
    namespace: dict[str, object] = {}
    exec("from autograd_lite import *", namespace)
    assert {"Value", "grad", "tanh", "dot"} <= set(namespace)
    assert not {"abs", "sum", "pow", "min", "max"} & set(namespace)


def test_the_engine_imports_nothing_but_the_standard_library():
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import autograd_lite as al
x = al.Value(2.0)
(x * al.tanh(x)).backward()
al.hessian(lambda v: al.logsumexp(v), [1.0, 2.0])
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    loaded = set(run(sys.executable, "-I", "-S", "-c", program, ROOT).split())
    assert "autograd_lite" in loaded
    assert loaded - sys.stdlib_module_names <= {"autograd_lite", "__main__", "__mp_main__"}


def test_the_engine_never_mentions_nn():
    for path in (ROOT / "autograd_lite").rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.split()[:2] in (["import", "nn"], ["from", "nn"])], path


def test_importing_needs_neither_numpy_nor_matplotlib():
    loaded = run(sys.executable, "-c", "import sys, nn; print(*sys.modules)", cwd=ROOT).split()
    assert not {"numpy", "matplotlib", "hypothesis", "pytest"} & set(loaded)


def test_the_core_depends_on_two_packages():
    names = [requirement.partition(">")[0].strip() for requirement in PROJECT["dependencies"]]
    assert names == ["graphviz", "pygraphviz"]
    assert {"plot", "notebook", "compile", "test"} <= set(PROJECT["optional-dependencies"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not on PATH, and the wheel is built with it")
def test_the_wheel_does_the_main_job_in_an_empty_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # away from this checkout, and not in the environment that runs the tests
    for variable in ("PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"):
        monkeypatch.delenv(variable, raising=False)
    run("uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run("uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "empty")
    scripts = tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin")
    run("uv", "pip", "install", "--quiet", "--python", scripts / "python", wheel)

    where = run(scripts / "python", "-c", "import autograd_lite, nn; print(autograd_lite.__file__, nn.__file__)")
    assert where.count(str(tmp_path / "empty")) == 2

    printed = run(scripts / "autograd-lite", "train", "digits", "--out", "run")
    last = next(line for line in reversed(printed.splitlines()) if line.startswith("test accuracy"))
    assert float(last.split()[2]) >= 0.95
    assert {"model.json", "history.csv", "network.svg"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert "<svg" in (tmp_path / "run" / "network.svg").read_text(encoding="utf-8")

    run(scripts / "autograd-lite", "draw", "tanh(w*x + b)", "--at", "w=0.5,x=2,b=0.1", "-o", "graph.svg")
    assert "tanh" in (tmp_path / "graph.svg").read_text(encoding="utf-8")
