"""The same scores whatever the size of a batch, as tests of several tasks ask."""

import dataclasses

import pytest

from trainer.evaluate import evaluate
from trainer.job import make_job


def same_scores(job, size, tolerance):
    """Scores of untrained weights on the test data, the same in batches of `size`."""
    weights = job.init_state().weights
    scores = evaluate(job, 'test', *weights)
    images = dataclasses.replace(job.experiment.test_data, batch=size)
    datasets = {'train': job.datasets['train'], 'test': images.open()}
    other = evaluate(make_job(job.experiment, datasets), 'test', *weights)
    assert scores == pytest.approx(other, abs=tolerance)
    return scores
