"""`lr_find`: the rates that it takes, what it suggests, and when it refuses to."""

import json

import numpy as np
import pytest

from tests.conftest import ROOT
from trainer import range_test
from trainer.errors import TrainingFailed, UserError
from trainer.experiment import load

MLP = f'--gin_file={ROOT / "configs/mlp.gin"}'


def test_the_command_suggests_a_rate_that_the_config_takes(here, tmp_path):
    done = here('lr_find', MLP, '--json', '--out=kept/curve.html')
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rates, losses = np.array(found['rates']), np.array(found['losses'])
    count = range_test.STEPS
    closed = np.geomspace(range_test.LOWEST, range_test.HIGHEST, count)[: len(rates)]
    np.testing.assert_allclose(rates, closed, rtol=1e-9)
    assert len(losses) == len(rates) > range_test.LEAST_STEPS
    assert rates[0] < found['suggested'] < found['lowest']
    assert found['lowest'] == rates[losses.argmin()]
    assert losses.min() < 0.9 * losses[0]
    flag, _, value = found['binding'].partition('=')
    assert flag == '--gin.LEARNING_RATE'
    assert float(value) == pytest.approx(found['suggested'], rel=0.05)
    assert [path.name for path in tmp_path.iterdir()] == ['kept']
    assert f'{found["suggested"]:.1e}' in (tmp_path / 'kept/curve.html').read_text()


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ((MLP, '--out=.'), '--out=. is a folder'),
        ((), 'No config: give --gin_file='),
        ((MLP, '--top=3'), 'lr_find does not look at --top'),
    ],
)
def test_mistakes_are_one_line(here, arguments, said):
    done = here('lr_find', *arguments)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_address_is_no_file():
    with pytest.raises(UserError, match=r'gs://b/a.html is an address; --out needs'):
        range_test.range_test(None, stop=None, console=None, out='gs://b/a.html')


def test_the_steepest_fall_is_found():
    rates = np.geomspace(1e-6, 1, 121)
    logs = np.log10(rates)
    losses = 2 - 1 / (1 + np.exp(-6 * (logs + 3))) + np.exp(8 * (logs + 0.5))
    suggested, lowest = range_test.steepest(list(rates), list(losses))
    assert suggested == pytest.approx(1e-3, rel=0.1)
    assert lowest == rates[losses.argmin()]


def test_smoothing_equals_a_weighted_mean():
    losses = np.random.default_rng(0).random(20)
    found = range_test.smoothed(list(losses))
    for last in (0, 4, 19):
        weights = range_test.SMOOTHING ** np.arange(last, -1, -1)
        expected = np.average(losses[: last + 1], weights=weights)
        assert found[last] == pytest.approx(expected)


@pytest.mark.parametrize('losses', [[], [1.0], [1.0] * 50, list(np.linspace(1, 3, 50))])
def test_a_loss_that_does_not_fall_suggests_nothing(losses):
    with pytest.raises(TrainingFailed, match='fell at no learning rate'):
        range_test.steepest(list(np.geomspace(1e-7, 10, 50)), losses)


def test_the_binding_names_what_the_config_has():
    named = load([str(ROOT / 'configs/mlp.gin')], [])
    assert range_test.binding(named, 1e-3) == '--gin.LEARNING_RATE=1.0e-03'
