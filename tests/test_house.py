"""How the code is built: small files, small functions, imports in one direction."""

import ast
import pathlib
import re
import statistics

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROOMS = ('trainer', 'models', 'benchmarks', 'tests')
FILES = [ROOT / 'main.py']
FILES += sorted(path for room in ROOMS for path in (ROOT / room).rglob('*.py'))
FILE_LINES, FUNCTION_LINES, MEDIAN_LINES = 250, 40, 12
# Files that serve every task, and so know none.
GENERAL = ('train', 'run', 'loop', 'steps', 'evaluate', 'job', 'programs', 'recorder')
STORIES = {'trainer/loop.py: run': 70}  # a story reads better whole


def name(path):
    """A file as one types it."""
    return str(path.relative_to(ROOT))


def functions(path):
    """Every function of a file, with the number of its lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield f'{name(path)}: {node.name}', node.end_lineno - node.lineno + 1


def imports(path):
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def below(room):
    return [path for path in FILES if path.is_relative_to(ROOT / room)]


@pytest.mark.parametrize('path', FILES, ids=name)
def test_files_and_functions_are_small(path):
    lines = len(path.read_text().splitlines())
    assert lines <= FILE_LINES
    long = {
        function: lines
        for function, lines in functions(path)
        if lines > STORIES.get(function, FUNCTION_LINES)
    }
    assert not long


@pytest.mark.parametrize('room', ['trainer', 'models'])
def test_most_functions_fit_in_the_eye(room):
    lines = [lines for path in below(room) for _, lines in functions(path)]
    assert statistics.median(lines) <= MEDIAN_LINES


@pytest.mark.parametrize('path', FILES, ids=name)
def test_a_file_opens_with_what_it_promises(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body


@pytest.mark.parametrize('path', below('models'), ids=name)
def test_models_know_nothing_of_the_trainer(path):
    foreign = {'trainer', 'main', 'grain', 'optax', 'orbax', 'tensorflow_datasets'}
    assert not {module.partition('.')[0] for module in imports(path)} & foreign


# Keys, and weight files; not a family's table of names.
OF_ALL_MODELS = (
    'models.attention_kernels',
    'models.streams',
    'models.pretrained.downloads',
    'models.pretrained.loading',
    'models.pretrained.preprocessing',
    'models.pretrained.saving',
    'models.pretrained.usual',
    'models.pretrained.weight_files',
)


@pytest.mark.parametrize('path', below('trainer'), ids=name)
def test_the_trainer_imports_no_model_by_name(path):
    named = {m for m in imports(path) if m.startswith('models.')}
    assert not {m for m in named if not m.startswith(OF_ALL_MODELS)}


@pytest.mark.parametrize('room', GENERAL)
def test_the_loop_names_no_task(room):
    words = set(re.findall(r'\w+', (ROOT / 'trainer' / f'{room}.py').read_text()))
    files = [path for path in below('trainer/tasks') if path.stem[0] != '_']
    named = {path.stem for path in files} - {'task'}
    for path in files:
        classes = ast.walk(ast.parse(path.read_text()))
        named |= {node.name for node in classes if isinstance(node, ast.ClassDef)}
    assert len(named) > 10
    assert not words & (named - {'Task'})


@pytest.mark.parametrize('path', [ROOT / 'main.py', *below('trainer')], ids=name)
def test_nothing_needs_tensorflow(path):
    modules = {module.partition('.')[0] for module in imports(path)}
    assert 'tensorflow' not in modules
