"""Initial weights have the shape, the spread and the seed that were asked for."""

import math
import statistics
from random import Random

import numpy as np
import pytest

import autograd_lite as al
from nn import init
from nn.modules import MLP

ALL = [init.constant, init.normal, init.uniform, init.xavier, init.he, init.xavier_uniform, init.he_uniform]
RANDOM = ALL[1:]

# The standard deviation for n_in = 200, n_out = 50.
SPREADS = {
    init.normal: 1.0,
    init.uniform: 1 / math.sqrt(3),
    init.xavier: math.sqrt(2 / 250),
    init.he: math.sqrt(2 / 200),
    init.xavier_uniform: math.sqrt(2 / 250),
    init.he_uniform: math.sqrt(2 / 200),
}


@pytest.mark.parametrize("draw", ALL)
def test_there_is_a_row_of_floats_per_unit(draw):
    rows = draw(3, 2, 0)
    assert [len(row) for row in rows] == [3, 3]
    assert {type(weight) for row in rows for weight in row} == {float}


@pytest.mark.parametrize("draw", RANDOM)
def test_same_seed_same_bits(draw):
    assert draw(5, 4, 1) == draw(5, 4, 1) == draw(np.int64(5), 4, np.int64(1)) == draw(5, 4, Random(1))
    assert draw(5, 4, 1) != draw(5, 4, 2)


def test_a_generator_goes_on():
    rng = Random(0)
    assert init.normal(3, 3, rng) != init.normal(3, 3, rng)


@pytest.mark.parametrize(("draw", "spread"), SPREADS.items())
def test_mean_is_0_and_spread_is_the_papers(draw, spread):
    weights = [weight for row in draw(200, 50, 0) for weight in row]
    assert statistics.fmean(weights) == pytest.approx(0, abs=4 * spread / math.sqrt(len(weights)))
    assert statistics.pstdev(weights) == pytest.approx(spread, rel=0.03)


@pytest.mark.parametrize(
    ("draw", "bound"),
    [
        (init.uniform, 1.0),
        (init.xavier_uniform, math.sqrt(6 / 250)),
        (init.he_uniform, math.sqrt(6 / 200)),
    ],
)
def test_uniform_weights_fill_their_interval(draw, bound):
    sizes = [abs(weight) for row in draw(200, 50, 0) for weight in row]
    assert 0.99 * bound < max(sizes) <= bound


def test_normal_weights_have_the_normal_distributions_tails():
    weights = [weight for row in init.normal(200, 50, 0, sigma=2.0) for weight in row]
    for sigmas, share in ((1, 0.3173), (2, 0.0455), (3, 0.0027)):
        assert statistics.fmean(abs(weight) > 2 * sigmas for weight in weights) == pytest.approx(share, abs=0.01)


def test_equal_weights_stay_equal_in_training():
    # The lecture: "What if we initialize all to a constant c? All neurons will stay the same!"
    model = MLP(2, [3, 1], activation=al.tanh, init=lambda n_in, n_out, rng: init.constant(n_in, n_out, rng, 0.5))
    for _ in range(5):
        model.zero_grad()
        model([1.0, -2.0])[0].backward()
        for value in model.parameters():
            value.data -= 0.1 * value.grad
    rows = [[w.data for w in neuron.w] for neuron in model.layers[0].neurons]
    assert rows[0] == rows[1] == rows[2] != [0.5, 0.5]


@pytest.mark.parametrize("draw", ALL)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 2, 0), ValueError, "n_in must be at least 1, got 0"),
        ((2, -1, 0), ValueError, "n_out must be at least 1, got -1"),
        ((2.5, 2, 0), TypeError, "n_in must be an integer, got 2.5"),
        ((2, "2", 0), TypeError, "n_out must be an integer, got '2'"),
    ],
)
def test_wrong_numbers_of_units_are_told(draw, arguments, error, message):
    with pytest.raises(error, match=message):
        draw(*arguments)


@pytest.mark.parametrize("draw", RANDOM)
@pytest.mark.parametrize("rng", [None, "seed", 1.5])
def test_wrong_seeds_are_told(draw, rng):
    with pytest.raises(TypeError, match=r"a seed must be an integer or a random.Random, got "):
        draw(2, 2, rng)


def test_wrong_spreads_are_told():
    with pytest.raises(ValueError, match="sigma must be at least 0 and finite, got -1"):
        init.normal(2, 2, 0, sigma=-1)
    with pytest.raises(ValueError, match="bound must be at least 0 and finite, got nan"):
        init.uniform(2, 2, 0, bound=math.nan)
    with pytest.raises(TypeError, match="value must be a real number, but 'x' is of type str"):
        init.constant(2, 2, 0, value="x")
