"""Compile functions and recorded graphs: a trace becomes a program, and that becomes machine code or Python.

The way is `tracing` → `program` → `lowering` → `schedule` → `module` (of `kernels` and `vector_math`) → `native`. One
uses `function`, and for training `descent`. Without the extra `compile`, `python_source` takes the place of all after
`program`.
"""

from .function import BranchError, CompiledFunction, compile
from .program import Program
from .tracing import TraceError

__all__ = ["BranchError", "CompiledFunction", "Program", "TraceError", "compile"]
