"""Neural networks on autograd_lite: modules, losses, optimisers, training, data, and pictures of all of it.

>>> import autograd_lite as al
>>> import nn
>>> X, y = nn.data.same_value()
>>> model = nn.MLP(2, [4, 1], activation=al.tanh, seed=0)
>>> history = nn.fit(model, X, y, optimizer=nn.Adam(model.parameters(), lr=0.1), epochs=100, progress=False)
>>> nn.evaluate(model, X, y)["accuracy"]
1.0
"""

from . import data, init, losses, optim
from .animation import Animation, animate
from .compiling import CompiledModel
from .compiling import compile as compile
from .drawing import Drawing, draw
from .explanations import Deltas, Explanation, deltas, explain
from .exports import graph_json, mermaid, read_graph, save_graph, tree
from .modules import MLP, Layer, Module, Neuron
from .notation import Formulas, latex
from .optim import SGD, Adam, AdamW, RMSprop
from .persistence import load, save
from .plotting import plot_boundary, plot_history
from .replaying import Replay, replay
from .stepping import Stepper, stepper
from .training import DivergenceError, History, classify, evaluate, fit, predict

__all__ = [
    "MLP", "SGD", "Adam", "AdamW", "Animation", "CompiledModel", "Deltas", "DivergenceError", "Drawing",
    "Explanation", "Formulas", "History", "Layer", "Module", "Neuron", "RMSprop", "Replay", "Stepper", "animate",
    "classify", "data", "deltas", "draw", "evaluate", "explain", "fit", "graph_json", "init", "latex", "load",
    "losses", "mermaid", "optim", "plot_boundary", "plot_history", "predict", "read_graph", "replay", "save",
    "save_graph", "stepper", "tree",
]  # fmt: skip
