"""Nobody is let in: no unpickling, no evaluated text, no shell, no unasked import."""

import ast
import pathlib

import pytest

import main

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = [ROOT / 'main.py']
PACKAGE += sorted(
    p for room in ('trainer', 'models') for p in (ROOT / room).rglob('*.py')
)
UNPICKLERS = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'shelve'}
FORBIDDEN = {  # calls, as they are written
    'eval',
    'exec',
    'marshal.load',
    'marshal.loads',
    'os.popen',
    'os.system',
    'tempfile.mktemp',
    'yaml.load',
    'yaml.unsafe_load',
}
MLP = '--gin_file=configs/mlp.gin'


def crimes(source):
    """What a text does that lets somebody in."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition('.')[0] for alias in node.names}
            found += sorted(names & UNPICKLERS)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += sorted({node.module.partition('.')[0]} & UNPICKLERS)
        elif isinstance(node, ast.Call):
            found += crimes_of(node)
    return found


def crimes_of(call):
    name = ast.unparse(call.func)
    values = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if name in FORBIDDEN:
        yield name
    if name == 'torch.load' and values.get('weights_only') != 'True':
        yield 'torch.load without weights_only'
    for keyword in ('allow_pickle', 'shell'):
        if values.get(keyword, 'False') != 'False':
            yield f'{keyword}=True'
    if name.endswith(('.extractall', '.extract')) and values.get('filter') != "'data'":
        yield f'{name} without a filter'


@pytest.mark.parametrize('path', PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_of_the_package_lets_anybody_in(path):
    assert crimes(path.read_text()) == []


@pytest.mark.parametrize(
    'source',
    [
        'import pickle',
        'from cloudpickle import loads',
        'import torch; torch.load("a.pth")',
        'torch.load("a.pth", weights_only=False)',
        'eval("1")',
        'exec(text)',
        'yaml.load(text)',
        'np.load("a.npy", allow_pickle=True)',
        'subprocess.run(text, shell=True)',
        'tarfile.open(path).extractall(place)',
        'os.system(text)',
    ],
)
def test_what_is_looked_for_is_found(source):
    assert crimes(source)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A config that imports a module, which leaves a trace when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'stranger.py').write_text("open('trace', 'w').close()\n")
    (tmp_path / 'stranger.gin').write_text(
        "include 'configs/mlp.gin'\nimport stranger\n"
    )
    return '--gin_file=stranger.gin', tmp_path / 'trace'


def test_an_import_that_is_not_allowed_does_not_run(module, capsys):
    config, trace = module
    for words in (['check'], ['train']):
        capsys.readouterr()
        code = main.main(['main.py', *words, config, '--gin_imports=my_models'])
        said = ''.join(capsys.readouterr())
        assert code == 2 and not trace.exists()
        assert 'stranger.gin:2: import stranger: only my_models may be imported' in said
        assert 'add --gin_imports=stranger' in said
    assert main.main(['main.py', 'check', config, '--gin_imports=strange']) == 2
    assert not trace.exists()


def test_an_allowed_import_runs_and_nothing_is_remembered(module):
    config, trace = module
    assert main.main(['main.py', 'check', MLP, '--gin_imports=other']) == 0
    assert main.main(['main.py', 'check', config, '--gin_imports=stranger']) == 0
    assert trace.exists()
    assert main.main(['main.py', 'check', config]) == 0


def test_weights_that_hold_code_are_refused(tmp_path):
    import numpy as np

    from trainer.data.images import Images
    from trainer.data.sources.arrays import Arrays

    path = tmp_path / 'data.npz'
    np.savez(path, image=np.array([{'a': 1}], dtype=object), label=np.zeros(1, int))
    with pytest.raises(ValueError):
        Images(source=Arrays(file=str(path)), split='all', batch=1).open()
