"""The table of models: counted without weights, kept until their code changes."""

import json

import jax
import pytest

import main
import models
from trainer import model_table
from trainer.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache in which nothing has been counted yet."""
    monkeypatch.setenv('JUNIPER_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / model_table.CACHE


def test_parameters_are_those_of_the_papers():
    found = {size.name: size for size in model_table.sizes(['resnet18', 'resnet34'])}
    assert found['resnet18'].params == 11_689_512
    assert found['resnet34'].params == 21_797_672
    assert found['resnet18'].gflops is None


def test_flops_are_counted_as_two_for_each_product():
    (size,) = model_table.sizes(['resnet18'], flops=True)
    # He et al. (2015) count 1.8e9 products; XLA leaves out those with the padding.
    assert 2 * 1.8 * 0.9 < size.gflops < 2 * 1.8 * 1.05


def test_where_xla_does_not_count_it_is_counted_all_the_same(monkeypatch):
    """As on GPU and TPU: their plugins cost no program that is not compiled."""
    (known,) = model_table.sizes(['resnet18'], flops=True)
    monkeypatch.setattr(jax.stages.Lowered, 'cost_analysis', lambda lowered: None)
    found = model_table._measure('resnet18', True)
    assert found['gflops'] == pytest.approx(known.gflops, rel=0.02)


def test_nothing_is_counted_twice(cache, monkeypatch):
    list(model_table.sizes(['resnet18']))
    known = json.loads(cache.read_text())
    monkeypatch.setattr(model_table, '_measure', None)
    assert [size.name for size in model_table.sizes(['resnet18'])] == ['resnet18']
    known['fingerprint'] = 'of other code'
    cache.write_text(json.dumps(known))
    with pytest.raises(TypeError):
        list(model_table.sizes(['resnet18']))
    cache.write_text('{"torn')
    with pytest.raises(TypeError):
        list(model_table.sizes(['resnet18']))


def test_what_was_counted_without_flops_is_counted_again_for_them(monkeypatch):
    list(model_table.sizes(['resnet18']))
    counted = {'params': 1, 'gflops': 2.0}
    monkeypatch.setattr(model_table, '_measure', lambda name, flops: counted)
    (size,) = model_table.sizes(['resnet18'], flops=True)
    assert (size.params, size.gflops) == (1, 2.0)


def test_a_cache_that_cannot_be_written_is_no_matter(monkeypatch):
    monkeypatch.setenv('JUNIPER_CACHE', '/proc/none')
    counted = {'params': 1}
    monkeypatch.setattr(model_table, '_measure', lambda name, flops: counted)
    assert [size.params for size in model_table.sizes(['resnet18'])] == [1]


def test_patterns_keep_the_order_of_the_table():
    assert model_table.matching([]) == models.list_models()
    small = model_table.matching(['resnet34', 'resnet1?'])
    assert small == ['resnet18', 'resnet34']
    with pytest.raises(UserError, match="No model matches 'resnte18'; nearest: resnet"):
        model_table.matching(['resnte18'])


def test_the_command(capsys):
    assert main.main(['main.py', 'models', 'resnet18']) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ['model', 'params', 'GFLOPs']
    assert row.split()[:2] == ['resnet18', '11,689,512']
    assert header.rindex('s') == len(row) - 1
    assert main.main(['main.py', 'models', 'resnet18', '--noflops', '--json']) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    counted = {'name': 'resnet18', 'params': 11_689_512, 'gflops': None}
    assert listed == counted | {'forward': None, 'step': None}


def test_a_profile_counts_what_must_be_held(capsys, monkeypatch):
    monkeypatch.setattr(model_table, 'IMAGE', (32, 32, 3))
    found = {batch: next(model_table.sizes(['mlp'], True, batch)) for batch in (1, 4)}
    weights, image = 4 * found[1].params, 4 * 32 * 32 * 3
    assert weights + image < found[1].forward < 1.1 * weights
    assert 3 * weights < found[1].step < 6 * weights  # two moments, and the gradient
    assert found[4].forward >= found[1].forward + 3 * image
    monkeypatch.setattr(model_table.model_profiles, 'memory', None)
    assert main.main(['main.py', 'models', 'mlp', '--profile', '--batch=4']) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[-4:] == ['forward', 'MiB', 'step', 'MiB']
    assert row.split()[-1] == f'{found[4].step / 2**20:.0f}'


def test_a_batch_without_a_profile_is_refused(capsys):
    assert main.main(['main.py', 'models', 'mlp', '--batch=4']) == 2
    assert 'add --profile' in capsys.readouterr().err
