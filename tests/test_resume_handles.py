"""Resuming equals not stopping with every handle of training turned away from rest."""

import json
import random
import signal

import pytest

from tests.in_turn import alone
from tests.run_ends import assert_same_end, timeless
from tests.test_resume import OFTEN, stop_after
from trainer.errors import Interrupted
from trainer.experiment import load
from trainer.signals import Stop
from trainer.train import train

# Two parts a batch, an average, a rate that evaluations lower, one layer still.
HANDLES = [
    '--gin_file=configs/mlp.gin',
    '--gin.EPOCHS=20',
    '--gin.MLP.dropout=0.3',
    '--gin.Experiment.accumulate=2',
    '--gin.Experiment.average=@Average()',
    '--gin.Experiment.schedule=@plateau',
    '--gin.plateau.peak=3e-3',
    '--gin.plateau.metric=val/acc_top1',  # it has ties, which are no improvement
    '--gin.plateau.mode=max',
    '--gin.plateau.patience=1',
    '--gin.plateau.factor=0.5',
    "--gin.Experiment.freeze=['backbone/layers/0/.*']",
    "--gin.Experiment.rates={'head/.*': 2.0}",
]


class StopAfter(Stop):
    """A stop that comes when it has been asked for often enough."""

    def __init__(self, polls):
        super().__init__()
        self.polls = polls

    def __bool__(self):
        self.polls -= 1
        if self.polls < 0:
            self.name = 'SIGTERM'
        return self.name is not None


def test_sigkill_with_every_handle_turned(tmp_path):
    arguments = [*HANDLES, *OFTEN]
    alone(tmp_path / 'whole', *arguments)
    rows = map(json.loads, timeless(tmp_path / 'whole'))
    rates = {round(row['learning_rate'], 6) for row in rows if 'learning_rate' in row}
    assert {3e-3, 1.5e-3} <= rates  # the plateau has done something
    for point in sorted(random.sample(range(1, 190), 2)):
        stop_after(tmp_path / 'killed', arguments, point, signal.SIGKILL)
    alone(tmp_path / 'killed', *arguments)
    assert_same_end(tmp_path / 'whole', tmp_path / 'killed')


@pytest.mark.parametrize(
    'optimizer', ['sgd', 'adam', 'lamb', 'lion', 'rmsprop', 'muon', 'optax_optimizer']
)
def test_every_optimizer_goes_on_as_it_was(tmp_path, optimizer):
    small = ['EPOCHS = 2', 'MLP.hidden_dim = 16', 'MLP.dropout = 0.3']
    bindings = [*small, f'Experiment.optimizer = @{optimizer}']
    bindings += ["optax_optimizer.name = 'adan'"] * (optimizer == 'optax_optimizer')
    experiment = load(['configs/mlp.gin'], bindings)
    stopped, whole = tmp_path / 'stopped', tmp_path / 'whole'
    with pytest.raises(Interrupted):
        train(experiment, stopped, stop=StopAfter(random.randrange(1, 20)))
    results = train(experiment, stopped, stop=Stop())
    assert results == train(experiment, whole, stop=Stop())
    assert_same_end(whole, stopped)
