"""Files are whole or absent, and JSON is strict."""

import os

import numpy as np
import pytest

from trainer import files
from trainer.errors import UserError


def test_json_is_strict_and_whole(tmp_path):
    path = tmp_path / 'a.json'
    value = {'nan': float('nan'), 'inf': np.float32(np.inf), 'x': np.arange(2), 3: (1,)}
    files.write_json(path, value)
    assert files.read_json(path) == {'nan': None, 'inf': None, 'x': [0, 1], '3': [1]}
    assert os.listdir(tmp_path) == ['a.json']


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.json'
    files.write_json(path, 1)

    def full_disk(file):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(files.os, 'fsync', full_disk)
    with pytest.raises(OSError, match='No space'):
        files.write_json(path, 2)
    assert files.read_json(path) == 1
    assert os.listdir(tmp_path) == ['a.json']


def test_damaged_json_is_named(tmp_path):
    path = tmp_path / 'results.json'
    path.write_text('{"a": ')
    with pytest.raises(UserError, match=r'results\.json is damaged, no JSON'):
        files.read_json(path)
