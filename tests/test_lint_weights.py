"""Weights that a config names and that are not there: said before anything runs."""

import pathlib

from trainer import rundir
from trainer.lint.report import check_report, findings

RUN = """\
include 'configs/resnet18.gin'
Net.pretrained = 'resnett.safetensors'
"""

CONFIG = ['configs/resnet18.gin']


def test_weights_that_are_not_there_are_named_at_their_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path('run.gin').write_text(RUN)
    pathlib.Path('resnet.safetensors').write_bytes(b'')
    run = 'run.gin'
    text, ok = check_report([run])
    said = "run.gin:2: Net.pretrained = 'resnett.safetensors' is not there"
    assert not ok and said in text and text.endswith('1 mistake')
    assert "did you mean 'resnet.safetensors'?" in text
    assert findings([run]) == []  # a run goes on without the file


def test_a_file_that_is_there_and_an_address_are_taken(tmp_path):
    path = tmp_path / 'resnet.safetensors'
    path.write_bytes(b'')
    for location in (path, 'hf://a/b/c.safetensors', 'https://a.b/c.pth'):
        assert check_report(CONFIG, [f"Net.pretrained = '{location}'"])[1]


def test_a_checkpoint_of_a_run_is_taken(tmp_path):
    rundir.write_config(tmp_path, {})
    (tmp_path / 'checkpoints/10').mkdir(parents=True)
    given = "Net.pretrained = '{}/checkpoints/{}'"
    assert check_report(CONFIG, [given.format(tmp_path, 10)])[1]
    text, ok = check_report(CONFIG, [given.format(tmp_path, 11)])
    assert not ok and 'is not there' in text


def test_what_else_may_be_wrong_is_said(tmp_path):
    text, ok = check_report(CONFIG, ["W = 'no/w.pth'", 'Net.pretrained = %W'])
    assert not ok and "W = 'no/w.pth' (read by Net.pretrained) is not there" in text
    text, ok = check_report(CONFIG, [f"Net.pretrained = '{tmp_path}'"])
    assert not ok and 'is a directory, but no run' in text
