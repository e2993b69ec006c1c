"""placeholder"""
from .value import Value, no_grad, stop_gradient
from .ops import *
from .op import Op
