"""A glass-box reverse-mode automatic differentiation engine for scalars.

>>> from autograd_lite import Value
>>> x, w, b = Value(2.0, "x"), Value(0.5, "w"), Value(0.1, "b")
>>> y = (w * x + b).tanh()
>>> y.backward()
>>> f"{y:.4f} {w.grad:.4f}"
'0.8005 0.7184'

Every operation of the table is a function here, on numbers and on Values: `exp`, `tanh`, `atan2`, `logsumexp`, ….
The engine is four short files, best read in this order: `op`, `ops`, `value`, `graph`.
"""

import builtins
from typing import TYPE_CHECKING

from .anomaly import AnomalyError, detect_anomaly
from .checking import Partial, Report, Verdict, gradcheck
from .compiler import BranchError, CompiledFunction, TraceError
from .compiler import compile as compile
from .derivatives import derivative, grad, gradients, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .graph import topological_order
from .op import CONSTANT, REAL, REALS, Domain, Op
from .ops import TABLE, softmax
from .steps import Backward, Event, Forward, Steps, events
from .value import Scope, Value, no_grad, scope, stop_gradient

if TYPE_CHECKING:
    from .ops import *  # noqa: F403 (what the next line does, for type checkers)
globals().update(TABLE)

custom = Op  # an operation of your own is declared as the table's are

__all__ = [
    "CONSTANT", "REAL", "REALS", "TABLE", "AnomalyError", "Backward", "BranchError", "CompiledFunction", "Domain",
    "Event", "Forward", "Op", "Partial", "Report", "Scope", "Steps", "TraceError", "Value", "Verdict", "custom",
    "derivative", "detect_anomaly", "events", "grad", "gradcheck", "gradients", "hessian", "hvp", "jacobian", "jvp",
    "no_grad", "scope", "softmax", "stop_gradient", "topological_order", "value_and_grad", "vjp",
]  # fmt: skip
# `from autograd_lite import *` leaves Python's own abs, pow and sum alone.
__all__ += [name for name in TABLE if not hasattr(builtins, name)]
