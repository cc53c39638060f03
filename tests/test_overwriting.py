"""No answer is written over an input, what a run keeps, or a file of another kind."""

import os

import pytest

import main
from tests.picture_folders import write_classes
from tests.test_main import MLP, mistake, state
from trainer import divergence, evidence, files, gallery, pretrained, profiler, rundir
from trainer.answers import check_out
from trainer.errors import UserError
from trainer.overwriting import PAGES
from trainer.search.place import BEST, STUDY_FILES
from trainer.trackers import csv_file, mlflow_run, wandb_run


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A finished run."""
    directory = tmp_path_factory.mktemp('runs') / 'run'
    assert main.main(['main.py', *MLP, f'--workdir={directory}']) == 0
    return directory


@pytest.fixture
def place(run, tmp_path, monkeypatch):
    """Where commands are given: the run, photos of two classes, their labels."""
    monkeypatch.chdir(tmp_path)
    os.symlink(run, 'run')
    write_classes(tmp_path / 'photos', 3, ['cat', 'dog'])
    os.symlink('photos/cat', 'linked')
    os.symlink('photos/cat/0.jpg', 'linked.csv')
    (tmp_path / 'labels.json').write_text('{}')
    (tmp_path / 'notes.txt').write_text('years of work')
    (tmp_path / 'drawn').mkdir()
    (tmp_path / 'drawn' / '2.png').write_text('years of work')
    return tmp_path


PREDICT = ['predict', 'photos/cat', '--workdir=run']
COCO = [*PREDICT, '--format=coco']
STABLEHLO = ['export', '--workdir=run', '--format=stablehlo']


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ([*PREDICT, '--overlays=photos/cat'], 'photos/cat lies where the pictures'),
        ([*PREDICT, '--overlays=photos/cat/new'], 'cat/new lies where the pictures'),
        ([*PREDICT, '--masks=linked'], '--masks=linked lies where the pictures'),
        (['predict', 'photos/cat/0.jpg', '--workdir=run', '--masks=linked'], 'lies'),
        ([*PREDICT, '--overlays=drawn'], 'drawn holds 2.png that predict has not'),
        ([*PREDICT, '--overlays=new', '--masks=./new'], 'both name ./new'),
        ([*PREDICT, '--out=photos/cat/1.jpg'], 'is one of the files to read'),
        ([*PREDICT, '--out=linked.csv'], 'linked.csv is one of the files to read'),
        ([*PREDICT, '--out=notes.txt', '--format=csv'], 'notes.txt is there already'),
        ([*PREDICT, '--out=run/results.json', '--format=coco'], 'run keeps its own'),
        ([*PREDICT, '--out=run/checkpoints/a.csv'], 'run keeps its own'),
        ([*COCO, '--annotations=labels.json', '--out=labels.json'], 'one of the files'),
        ([*PREDICT, '--out=z.parquet'], '--out=z.parquet says no format'),
        (['compare', 'run', '--out=photos/dog/1.jpg'], '1.jpg is there already'),
        (['compare', 'run', '--out=run/report.html'], 'run keeps its own'),
        (['lr_find', *MLP, '--out=notes.txt'], 'notes.txt is there already'),
        (['export', '--workdir=run', '--out=notes.txt'], 'notes.txt is there already'),
        ([*STABLEHLO, '--out=run/results'], 'run/results.json is where the run'),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, list) else '',
)
def test_what_would_be_lost_is_refused(words, said, capsys, place, run):
    before = state(place), state(run)
    assert said in mistake(words, capsys)
    assert (state(place), state(run)) == before


def test_what_a_command_has_written_it_writes_again(capsys, place):
    for _ in range(2):
        words = [*PREDICT, 'photos/dog', '--overlays=new', '--out=run/a.csv']
        assert main.main(['main.py', *words]) == 0
        assert main.main(['main.py', 'compare', 'run', '--out=a.html']) == 0
        words = ['export', *PREDICT[2:], '--format=stablehlo', '--out=a.stablehlo']
        assert main.main(['main.py', *words]) == 0
        names = sorted(path.name for path in (place / 'new').iterdir())
        assert names == [f'{n}{end}.png' for n in range(3) for end in ('', '_2')]
    (place / 'run' / 'a.csv').unlink()


def test_an_empty_file_and_a_device_may_be_written(tmp_path):
    (tmp_path / 'made.tmp').touch()
    check_out(tmp_path / 'made.tmp')
    check_out('/dev/null', PAGES)


@pytest.mark.parametrize('name', STUDY_FILES.values())
def test_a_search_keeps_its_files(name, tmp_path):
    (tmp_path / name).touch()
    for kept in ('results.json', 'config.gin', 'log_1.txt', 'evaluation_test.json'):
        with pytest.raises(UserError, match='keeps its own'):
            check_out(tmp_path / kept)
    check_out(tmp_path / 'answers.csv')


def test_a_published_version_stays_as_it_is(tmp_path):
    files.write_json(tmp_path / rundir.PUBLISHED, {})
    with pytest.raises(UserError, match='is a published version, which stays'):
        check_out(tmp_path / 'a.csv')


def test_the_names_that_runs_keep_are_those_that_they_write(run):
    rooms = (csv_file, mlflow_run, wandb_run, pretrained)
    names = [*STUDY_FILES.values(), BEST, divergence.RECORD]
    names += [room.FOLDER for room in (evidence, gallery, profiler)]
    names += [room.FILE for room in rooms] + os.listdir(run)
    assert [name for name in names if not rundir.keeps(name)] == []
    assert not rundir.keeps('answers.csv')
