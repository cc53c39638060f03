"""Every tensor that is wrong stands in one line, which stays short enough to read."""

import itertools

import numpy as np
import pytest
from flax import nnx

import models
from models.pretrained.complaints import folded
from models.pretrained.loading import families, weights_of
from models.pretrained.mapping import export_weights, import_weights


def zeros(name):
    net = nnx.eval_shape(lambda: models.create_model(name))
    return {k: np.zeros(v.shape, np.float32) for k, v in weights_of(net).items()}


def written_out(name):
    """Every name that one with braces stands for, as a shell has it."""
    before, brace, rest = name.partition('{')
    if not brace:
        return [name]
    choices, _, after = rest.partition('}')
    first, dots, last = choices.partition('..')
    numbers = map(str, range(int(first), int(last) + 1)) if dots else ()
    return [
        before + choice + end
        for choice in numbers or choices.split(',')
        for end in written_out(after)
    ]


def test_a_list_of_names_is_short_and_leaves_none_out():
    names = list(export_weights(families()['resnet']['timm'], zeros('resnet18')))
    said = folded(names)
    again = itertools.chain.from_iterable(map(written_out, said))
    assert sorted(again) == sorted(names)
    assert len(said) < len(names) / 5
    assert folded(['a.0.b', 'a.1.b', 'a.2.b', 'a.4.c']) == ['a.{0..2}.b', 'a.4.c']
    assert folded([]) == []


def test_weights_of_another_depth_are_listed_in_one_readable_line():
    rules = families()['resnet']['timm']
    theirs = export_weights(rules, zeros('resnet34'))
    with pytest.raises(ValueError, match='differ') as raised:
        import_weights(rules, theirs, zeros('resnet18'))
    said = str(raised.value)
    assert said.startswith('The weights do not fit this model; 80 of them differ: ')
    assert 'stages/1/{2,3}/conv{1,2}/conv/kernel (3, 3, 128, 128) has no place' in said
    assert '\n' not in said and len(said) < 1000
