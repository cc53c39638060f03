"""The registry by commands: published, listed, used, begun from; each mistake told."""

import dataclasses
import json
import pathlib

import pytest

import main
from tests.registry.conftest import trained
from trainer import registry, rundir
from trainer.errors import UserError
from trainer.export import export
from trainer.registry import catalogue
from trainer.report.write import write_report


@pytest.fixture
def here(root, tmp_path, monkeypatch):
    """An empty directory; the registry is that of the environment."""
    monkeypatch.setenv('JUNIPER_REGISTRY', str(root))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(*words):
    return main.main(['main.py', *map(str, words)])


def told(capsys, *words):
    """What a command that is refused says."""
    assert called(*words) == 2
    _, error, said = capsys.readouterr().err.rpartition('error: ')
    assert error and said.count('\n') == 1
    return said


def test_commands_take_a_published_model(here, digits, capsys):
    folder, _ = digits
    assert called('predict', folder, '--model', 'digits@1.0.0', '--top=1') == 0
    rows = capsys.readouterr().out.splitlines()
    assert [json.loads(row)['file'] for row in rows] == [
        str(folder / f'{index}.png') for index in range(10)
    ]
    assert called('export', '--model=digits@^1', '--format=stablehlo') == 0
    assert (here / 'digits-1.10.0.stablehlo').exists()
    assert called('predict', folder, '--model=digits', '--features') == 0
    assert called('models', '--published', '--verify') == 0  # nothing was changed


def test_it_is_listed(here, root, capsys):
    assert called('models', '--published') == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ['digits', '1.10.0'] and len(lines) == 5
    assert 'sealed' in lines[1]
    assert called('models', '--published', '--verify', 'letters*', '--json') == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row['version'], row['health']) == ('2.0.0-rc.1', 'verified')
    assert called('models', '--published', f'--registry={here}') == 0
    assert f'Nothing is published in {here}.' in capsys.readouterr().err


def test_a_strangers_note_does_nothing_to_the_terminal(root):
    (row,), _ = catalogue.listing(['letters*'], root)
    row = dataclasses.replace(row, note='\x1b[2Jcleared\nnew line')
    lines = catalogue.table_of([row], 0).splitlines()
    assert len(lines) == 2 and '\x1b' not in lines[1]


def test_publishing_by_command_says_where_it_is(run, tmp_path, capsys):
    words = ['publish', run, '--as', 'mine', '--version', '0.1.0']
    assert called(*words, f'--registry={tmp_path}', '--note=of mine') == 0
    said = capsys.readouterr().err
    assert said.startswith(f'published mine 0.1.0: {tmp_path}/mine/0.1.0, ')
    assert registry.find('mine', tmp_path).note == 'of mine'


def test_a_run_begins_with_published_weights(here, root, run):
    trained('tuned', "Net.pretrained = 'digits@^1'")
    kept = json.loads(pathlib.Path('tuned/pretrained.json').read_text())
    assert kept['path'] == str(root / 'digits/1.10.0/checkpoints/20')
    assert not kept['replaced'] and not kept['left_out']
    first = json.loads(pathlib.Path('tuned/training_history.json').read_text())[0]
    assert first['val/loss'] < rundir.results(run)['val/loss']
    trained('direct', f"Net.pretrained = '{root}/digits/1.9.0'", 'EPOCHS = 1')
    kept = json.loads(pathlib.Path('direct/pretrained.json').read_text())
    assert kept['path'].endswith('1.9.0/checkpoints/10')


def test_check_names_weights_that_are_not_published(here, root, capsys):
    config = ['check', '--gin_file=configs/mlp.gin']
    assert called(*config, '--gin.Net.pretrained=digits@1.0.0') == 0
    assert called(*config, '--gin.Net.pretrained=digit@1.0.0') == 2
    said = capsys.readouterr().out
    assert "Net.pretrained = 'digit@1.0.0' is not published: There is no model" in said
    assert "did you mean 'digits'?" in said


def test_mistakes_are_told_in_one_line(here, root, run, capsys, tmp_path):
    wrong = {
        '--model=digit': f"There is no model 'digit' in {root}; did you mean 'digits'?",
        '--model=digits@3.0.0': f'digits has no version 3.0.0 in {root}; it has 1.0.0, '
        '1.9.0, 1.10.0.',
        '--model=digits@^2': f'digits has no version ^2 in {root}; it has',
        '--model=digits@one': "'one' is no version; say one as in 1.0.0, latest",
        '--model=zebra': 'zebra',
        '--model=../digits': "There is no model '../digits' in",
    }
    for flag, said in wrong.items():
        assert said in told(capsys, 'predict', 'a.png', flag)
    said = told(capsys, 'predict', 'a.png', '--model=zebra')
    assert 'it has digits, letters.v2.' in said
    said = told(capsys, 'predict', 'a.png', '--model=digits', '--registry=none')
    assert 'none, which holds none: publish a run' in said
    said = told(capsys, 'predict', 'a.png', '--model=digits', f'--workdir={run}')
    assert said == '--model says which net, and so does --workdir: give one.\n'
    said = told(
        capsys, 'predict', 'a.png', '--registry=gs://bucket/models', '--model=a'
    )
    assert 'gs://bucket/models is an address; a registry needs a file system' in said
    assert 'add --model' in told(capsys, 'export', '--registry=a', f'--workdir={run}')
    assert 'add --published' in told(capsys, 'models', '--verify')
    assert '--flops says nothing' in told(capsys, 'models', '--published', '--flops')
    assert 'it has digits' in told(capsys, 'models', '--published', 'zebra')


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--as=a'], 'publish needs one run, a name and a version: python main.py'),
        (['--version=1.0.0'], 'publish needs one run, a name and a version'),
        (['--as=a', '--version=1'], "'1' is no version to publish; say MAJOR.MINOR"),
        (['--as=a/b', '--version=1.0.0'], "'a/b' is no name to publish under; take"),
        (['--as=a', '--version=1.0.0', '--checkpoint=7'], "no checkpoint '7'"),
        (['--as=a', '--version=1.0.0', '--note=a\nb'], '--note takes one line of text'),
        (['--as=digits', '--version=1.9.0'], 'digits 1.9.0 is published already, in'),
        (['--as=digits', '--version'], '--version has no value; say --version=VALUE.'),
    ],
)
def test_what_cannot_be_published_is_refused(here, root, run, capsys, words, said):
    before = sorted(root.rglob('*'))
    assert said in told(capsys, 'publish', run, *words)
    assert sorted(root.rglob('*')) == before


def test_version_alone_is_the_programs(capsys):
    assert called('train', '--version') == 0
    assert capsys.readouterr().out.startswith('juniper ')
    assert 'does not look at --version' in told(capsys, 'train', '--version=1.0.0')


def test_nothing_is_written_into_a_version(here, root, capsys):
    version = registry.find('digits', root).path
    for words in (
        ['evaluate', f'--workdir={version}'],
        ['--gin_file=configs/mlp.gin', f'--workdir={version}'],
        ['train', f'--resume={version}'],
    ):
        assert 'is a published version, which stays as it is' in told(capsys, *words)
    for function in (export, write_report):
        with pytest.raises(UserError, match='is a published version'):
            function(version)
    assert called('models', '--published', '--verify') == 0
