"""Split expressions that no data could have: said when the config is read."""

import pathlib

import pytest

from trainer.lint.report import findings

RUN = """\
include 'configs/mlp.gin'
train/Images.split = 'train'
eval/Images.split = 'test'
"""
OWN_SOURCE = """
import dataclasses
import gin
from trainer.data.source import Source

@gin.register
@dataclasses.dataclass(frozen=True)
class Weeks(Source):
    def open(self, split):
        raise AssertionError('checking a config opens no data')
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def wrong(text, bindings=()):
    """The lines of all mistakes in a config."""
    pathlib.Path('run.gin').write_text(text)
    return list(map(str, findings(['run.gin'], bindings)))


@pytest.mark.parametrize(
    ('split', 'words'),
    [
        ('train[:50%', "; did you mean 'train[:50%]'?"),
        ('train(:50%)+test', " at 'train(:50%)'; did you mean 'train[:50%]+test'?"),
        ('train 50%', "; write 'train', 'train[:90%]', 'train[10:-20]' or "),
        ('', "; write 'train', 'train[:90%]', "),
        ('train+', " at ''; write 'train', 'train[:90%]', "),
    ],
)
def test_a_malformed_split_is_named_at_its_line(split, words):
    (found,) = wrong(RUN.replace("'train'", repr(split)))
    start = f'run.gin:2: train/Images.split = {split!r} is no split expression'
    assert found.startswith(start + words)


@pytest.mark.parametrize(
    ('split', 'bindings'),
    [
        ('train[:90%]', []),
        (' train[10:-20] + test ', []),
        ('all', []),
        ('train[:2shard]', []),
        ('train[:1_000]+labels-v2[:0.5%]', []),
        ('train[:2shard]', ['Images.source = @Tfds()', "Tfds.name = 'mnist'"]),
        ('week 3, monday', ['Images.source = @Weeks()']),
    ],
)
def test_a_split_is_as_its_source_writes_it(split, bindings):
    """And a source of one's own may write it as it likes."""
    pathlib.Path('source_of_weeks.py').write_text(OWN_SOURCE)
    text = 'import source_of_weeks\n' + RUN.replace("'train'", repr(split))
    assert wrong(text, bindings) == []
    only_others = 'shard' in split or 'v2' in split or 'week' in split
    assert bool(wrong(text, ["Images.folder = 'photos'"])) == only_others


def test_a_macro_with_a_bad_split_is_named_once():
    text = RUN.replace("'train'", '%S').replace("'test'", '%S')
    (found,) = wrong(text, ["S = 'train[:50%'"])
    assert found.startswith("command line: S = 'train[:50%' (read by train/Images.spl")
