"""Configs of any words: checked, or refused in a line; never a traceback or a hang."""

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.endings import FUZZ, VALUES, damaged, run
from tests.test_lint_properties import WORDS

MLP = '--gin_file=configs/mlp.gin'
SHIPPED = pathlib.Path(__file__).parents[2] / 'configs'
KEYS = (
    'BATCH',
    'EPOCHS',
    'LEARNING_RATE',
    'MLP.hidden_dim',
    'MLP.dropout',
    'Experiment.seed',
    'Experiment.model',
    'Experiment.watchdog',
    'Checkpoints.seconds',
    'Divergence.policy',
    'Images.split',
    'train/Images.augment',
)
LINES = st.lists(st.sampled_from(WORDS), max_size=8).map(' '.join)


@pytest.mark.timeout(0)
@FUZZ
@given(st.sampled_from(KEYS), VALUES | st.text(max_size=20))
def test_values(tally, key, value):
    text = value if isinstance(value, str) else repr(value)
    run('check', MLP, f'--gin_bindings={key} = {text}')
    tally('fuzz, gin values', survived=1)


@pytest.mark.timeout(0)
@FUZZ
@given(st.lists(LINES | st.text(max_size=30), min_size=1, max_size=3))
def test_bindings(tally, texts):
    run('check', MLP, *(f'--gin_bindings={text}' for text in texts))
    tally('fuzz, gin bindings', survived=1)


@pytest.mark.timeout(0)
@FUZZ
@given(damaged((SHIPPED / 'resnet18.gin').read_bytes()))
def test_files(tmp_path, tally, content):
    path = tmp_path / 'damaged.gin'
    path.write_bytes(content)
    run('check', f'--gin_file={path}')
    tally('fuzz, gin files', survived=1)
