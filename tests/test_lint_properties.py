"""The linter over many texts: never a traceback, and the right name for a slip."""

import pathlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.lint import documents, names
from trainer.lint.finding import COMMAND_LINE
from trainer.lint.nearest import nearest
from trainer.lint.report import findings
from trainer.lint.rooms import import_rooms
from trainer.lint.sugar import sugar_binding

RUN = str(documents.find('configs/resnet18.gin'))
FEW = settings(max_examples=100, deadline=None, derandomize=True)
MANY = settings(max_examples=2000, deadline=None)
NAMES = 'Experiment Images Net ResNet train/Images adamw epochs batch depth EPOCHS'
SIGNS = "# [ ] { } ( ) = : . / , ; @ % $ é \x00 \t \n \\ ' \" ''' include import from"
VALUES = "'a' @Net @ResNet() %EPOCHS %gin.REQUIRED True true None 1 -1 1e999 1*2 1_0 0x"
WORDS = [word for part in (NAMES, SIGNS, VALUES) for word in part.split(' ')]


def check(texts):
    """Every finding is one line with a place; nothing is raised."""
    for finding in findings([RUN], texts):
        assert len(str(finding).splitlines()) == 1
        assert finding.where.document == COMMAND_LINE or finding.where.line > 0


lines = st.lists(st.sampled_from(WORDS), max_size=8).map(' '.join)
bindings = st.lists(st.one_of(lines, st.text(max_size=30)), min_size=1, max_size=3)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)
KEYS = ('Experiment.seed', 'Images.transforms', 'Net.backbone', 'ResNet.stem', 'EPOCHS')


@FEW
@given(bindings)
def test_no_binding_is_a_traceback(texts):
    check(texts)


@FEW
@given(st.sampled_from(KEYS), values)
def test_no_value_is_a_traceback(key, value):
    check([f'{key} = {value!r}'])


@settings(FEW, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9))
def test_no_changed_file_is_a_traceback(tmp_path, seed):
    check_mutation(tmp_path, random.Random(seed))


@pytest.mark.slow
@settings(MANY, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9), bindings)
def test_no_text_at_all_is_a_traceback(tmp_path, seed, texts):
    check(texts)
    check_mutation(tmp_path, random.Random(seed))


def check_mutation(directory, chance):
    """A shipped config with text lost, doubled or put in, or its end cut off."""
    text = list(pathlib.Path(RUN).read_text())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) or 1)
        kind = chance.choice(['lose', 'double', 'put', 'cut'])
        if kind == 'lose':
            del text[at : at + chance.randint(1, 20)]
        elif kind == 'double':
            text[at:at] = text[at : at + chance.randint(1, 20)]
        elif kind == 'cut':
            text = text[: max(at, 2)]
        else:
            text.insert(at, chance.choice(WORDS))
    file = directory / 'mutated.gin'
    file.write_text(''.join(text), encoding='utf-8')
    for finding in findings([str(file)]):
        assert len(str(finding).splitlines()) == 1


def slips(name):
    """The name with one letter lost, doubled, changed, or exchanged with the next."""
    for i in range(len(name)):
        yield name[:i] + name[i + 1 :]
        yield name[:i] + name[i] + name[i:]
        yield name[:i] + 'q' + name[i + 1 :]
        yield name[:i] + name[i : i + 2][::-1] + name[i + 2 :]


def is_one_slip(written, meant):
    """Whether two names are one slip apart."""
    return written == meant or written in slips(meant) or meant in slips(written)


def registered():
    import_rooms()
    return [name for name in names.known() if len(name) > 2]


def test_a_slip_in_a_name_is_seen_for_what_it_is():
    known = registered()
    for name in known:
        for written in slips(name):
            assert is_one_slip(written, nearest(written, known)), (written, name)


def test_a_slip_in_a_parameter_is_seen_for_what_it_is():
    for name in registered():
        (full,) = names.matching(name)
        parameters = list(names.signature(full).parameters)
        for parameter in (p for p in parameters if len(p) > 2):
            for written in slips(parameter):
                found = nearest(written, parameters)
                assert is_one_slip(written, found), (written, parameter, found)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('50', '50'),
        ('-1e-3', '-1e-3'),
        ('None', 'None'),
        ('@train/Images()', '@train/Images()'),
        ('%EPOCHS', '%EPOCHS'),
        ("'quoted'", "'quoted'"),
        ('[1, (2, @Net)]', '[1, (2, @Net)]'),
        ('small', "'small'"),
        ('train[:80%]', "'train[:80%]'"),
        ('true', "'true'"),
        ('', "''"),
        ('a\nb = 3', "'a\\nb = 3'"),
        ("it's", '"it\'s"'),
    ],
)
def test_a_bare_word_in_a_shell_is_a_string(text, expected):
    assert sugar_binding('ResNet.stem', text) == f'ResNet.stem = {expected}'


def test_sugar_with_the_wrong_kind_of_word_says_what_to_write():
    binding = sugar_binding('Net.backbone', 'MLP')
    errors = [f for f in findings([RUN], [binding]) if f.severity == 'error']
    assert "did you mean '@MLP'?" in errors[0].message


@pytest.mark.parametrize(
    ('written', 'known', 'meant'),
    [
        ('nod1e', ['node0', 'node1'], 'node1'),
        ('mpl', ['MLP', 'Map'], 'MLP'),
        ('resnet', ['ResNet', 'RegNet'], 'ResNet'),
        ('learning', ['batch', 'seed'], None),
        ('x', [], None),
    ],
)
def test_the_nearest_name(written, known, meant):
    assert nearest(written, known) == meant


def test_a_function_that_does_not_say_what_it_makes_is_believed(tmp_path, monkeypatch):
    module = 'import gin\n@gin.register\ndef unsaid(rate): return rate\n'
    (tmp_path / 'unsaid_module.py').write_text(module)
    text = 'import unsaid_module\nExperiment.optimizer = @unsaid\n'
    (tmp_path / 'unsaid.gin').write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = findings(['configs/mlp.gin', 'unsaid.gin'])
    assert [f for f in found if f.severity == 'error'] == []
