"""Machine code: LLVM turns the loops of `kernels.py` into it, once for each set of operations, and it is kept on disk.

This needs the extra `compile` (llvmlite and numpy) and no compiler on the machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..op import Op
from .module import Module, fingerprint
from .vector_math import LIBM

__all__ = ["Callback", "Machine", "machine", "missing"]

_FORMAT = 1  # of the files in the cache; a change of it makes them stale
_NOWHERE = Path(os.devnull)  # a folder that is none: nothing is found or kept there
_lock = threading.RLock()
_machines: dict[str, Machine] = {}
_ASKED = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, ctypes.POINTER(ctypes.c_double))


def missing() -> str | None:
    """Say which package native code lacks here, None if it lacks none.

    >>> missing() in (None, "llvmlite", "numpy")
    True
    """
    for name in ("llvmlite.binding", "numpy"):
        try:
            __import__(name)
        except ImportError:
            return name.partition(".")[0]
    return None


class Machine:
    """Hold the machine code of a module, and its functions by name.

    Attributes:
        module: The module.
        from_cache: Whether the code was found on disk.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        llvm, target = _llvm(), _target()
        path = _cached(module, target)
        code = _read(path)
        self.from_cache = code is not None
        if code is None:
            code = _translated(module.ir(), target)
            _write(path, code)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def function(self, name: str, result: Any = None) -> Callable[[int], Any]:
        """Return a function of the module, which takes the address of its context; it runs without the GIL."""
        kind = ctypes.CFUNCTYPE(result, ctypes.c_void_p)
        return kind(self._engine.get_function_address(name))


def machine(module: Module) -> Machine:
    """Return the machine code of a module, translated at most once in a process."""
    with _lock:
        if module.key not in _machines:
            _machines[module.key] = Machine(module)
        return _machines[module.key]


class Callback:
    """Let native code ask Python for the value of operations that it has no code for.

    What such a rule raises is kept, and raised when native code has returned.
    """

    def __init__(self, operations: Sequence[Op]) -> None:
        rules = [(op, _arity(op)) for op in operations]
        local = threading.local()
        self._raised = local

        def ask(operation: int, operands: Any) -> float:
            op, arity = rules[operation]
            try:
                return op.float_from(op.value(*operands[:arity]))
            except BaseException as error:
                local.error = error
                return float("nan")

        self._function = _ASKED(ask)
        self.address: int = ctypes.cast(self._function, ctypes.c_void_p).value or 0

    def check(self) -> None:
        """Raise what a rule raised in this thread's last call, if it did."""
        error = getattr(self._raised, "error", None)
        if error is not None:
            self._raised.error = None
            raise error


def _arity(op: Op) -> int:
    if op.many:
        raise TypeError(f"{op.name} takes sequences and has no native code; use backend='python'")
    return op.arity


# ---- LLVM ---------------------------------------------------------------------------------------------------------


@cache
def _llvm() -> Any:
    """Return LLVM, ready to make code for this machine."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    _add_libm(llvm)
    return llvm


def _target() -> Any:
    """Return a description of this machine; the engine that is made with it owns it, and frees it at its end."""
    llvm = _llvm()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True
    )


def _add_libm(llvm: Any) -> None:
    """Tell LLVM where the functions of the C library are that Python itself uses."""
    library = ctypes.CDLL("msvcrt" if sys.platform == "win32" else None)
    for name in LIBM:
        with contextlib.suppress(AttributeError):
            llvm.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)


def _translated(ir: str, target: Any) -> bytes:
    llvm = _llvm()
    module = llvm.parse_assembly(ir)
    module.verify()
    module.triple, module.data_layout = target.triple, str(target.target_data)
    passes = llvm.create_new_module_pass_manager()  # the loops are vectors already: the usual passes cost ten times
    passes.add_always_inliner_pass()  # as long, and what they make is a twentieth quicker
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=2)))
    return target.emit_object(module)  # type: ignore[no-any-return]


# ---- the cache -----------------------------------------------------------------------------------------------------


def _folder() -> Path:
    """Return the user's folder for what can be made anew."""
    if named := os.environ.get("AUTOGRAD_LITE_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~\\AppData\\Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "autograd_lite"
    except RuntimeError:  # a user without a home, as in a container: nothing can be kept
        return _NOWHERE


def _cached(module: Module, target: Any) -> Path:
    """Return the file for a module's code on such a machine: nowhere, if it can't be told from other versions'."""
    import llvmlite

    llvm = _llvm()
    what = (str(_FORMAT), llvmlite.__version__, target.triple, llvm.get_host_cpu_name())
    features = llvm.get_host_cpu_features().flatten()
    name = hashlib.sha256(fingerprint() + "\n".join((*what, features, module.key)).encode()).hexdigest()
    return (_folder() if fingerprint() else _NOWHERE) / f"{name}.code"


def _read(path: Path) -> bytes | None:
    """Return the code in a file, None if there is none or it is damaged: its first bytes are a check of the rest."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    check, code = data[:32], data[32:]
    return zlib.decompress(code) if hashlib.sha256(code).digest() == check else None


def _write(path: Path, code: bytes) -> None:
    """Keep code in a file, which appears whole or not at all; a folder that can't be written is no error."""
    packed = zlib.compress(code, 1)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(packed).digest() + packed)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError:
        return
