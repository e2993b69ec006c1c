"""The digits in scikit-learn: its MLPClassifier, which starts from its own weights; its Adam has ε elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from sklearn.neural_network import MLPClassifier

from .steps import ADAM, BATCH, Array, Digits, Trained


def trainings(task: Digits) -> Iterator[tuple[str, Callable[[], Trained]]]:
    def train() -> Trained:
        rate, beta1, beta2, eps = ADAM
        classifier = MLPClassifier(
            [len(b) for _, b in task.layers[:-1]], batch_size=BATCH, alpha=0.0, learning_rate_init=rate,
            beta_1=beta1, beta_2=beta2, epsilon=eps, random_state=0,
        )  # fmt: skip

        def learn(batches: list[Array]) -> Array:  # it shuffles by itself
            classifier.partial_fit(task.X, task.y, classes=range(len(task.layers[-1][1])))
            return classifier.predict_proba(task.held_out[0])

        return Trained(task.train(learn), np.empty(0))

    yield "scikit-learn", train
