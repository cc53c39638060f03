"""Every kind of mistake in a config: its place, its name, and what should be there."""

import pathlib

import pytest

from trainer.lint.report import check_report, findings

RUN = """\
# A run that has nothing wrong with it.
include 'configs/base.gin'
include 'configs/models/resnet18.gin'
EPOCHS = 2
BATCH = 8
Experiment:
  task = @Classification()
  train_data = @train/Images()
  eval_data = @eval/Images()
  epochs = %EPOCHS
Images.batch = %BATCH
train/Images.split = 'train'
train/Images.augment = [@PadCrop()]
eval/Images.split = 'test'
PadCrop.pad = 1
Classification.label_smoothing = 0.1
warmup_cosine.peak = %LEARNING_RATE
adamw.weight_decay = %WEIGHT_DECAY
# end
"""

# What to write instead of what, and what must be said of the line that it is in.
MISTAKES = [
    # names
    ('Experiment:', 'Experimnt:', "'Experimnt'", "'Experiment'"),
    ('Images.batch', 'Image.batch', "'Image'", "'Images'"),
    ('PadCrop.pad', 'PadCorp.pad', "'PadCorp'", "'PadCrop'"),
    ('Images.batch', 'Images.bach', 'Images.bach', "'batch'"),
    ('  epochs =', '  epoch =', 'Experiment.epoch', "'epochs'"),
    ('warmup_cosine.peak', 'warmup_cosine.peek', '.peek', "'peak'"),
    ('warmup_cosine.peak', 'warmupcosine.peak', "'warmupcosine'", "'warmup_cosine'"),
    ('@Classification()', '@Clasification()', 'task', "'Classification'"),
    ('[@PadCrop()]', '[@padcrop()]', 'train/Images.augment', "'PadCrop'"),
    ('%BATCH', '%BATHC', 'Images.batch', "'BATCH'"),
    ('EPOCHS = 2', 'EPOCH = 2', '', ''),
    ('# end', 'EPOCHZ = 3', 'EPOCHZ', "'EPOCHS'"),
    ('# end', 'depth = 34', 'depth', "'ResNet.depth'"),
    ('# end', 'Experiment.batch = 8', 'Experiment.batch', "'Images.batch'"),
    ('# end', 'Experiment.source = None', 'Experiment.source', ''),
    ('# end', 'trian/Images.workers = 2', 'trian/Images.workers', "'train'"),
    # types, ranges and choices
    ('EPOCHS = 2', "EPOCHS = 'two'", "EPOCHS = 'two'", 'a number > 0'),
    ('EPOCHS = 2', "EPOCHS = '2'", 'EPOCHS', 'did you mean 2?'),
    ('EPOCHS = 2', 'EPOCHS = 0', 'Experiment.epochs', 'a number > 0'),
    ('EPOCHS = 2', 'EPOCHS = True', 'EPOCHS = True', 'a number'),
    ('EPOCHS = 2', 'EPOCHS = 1e999', 'inf', 'a number'),
    ('BATCH = 8', 'BATCH = 8.0', 'Images.batch', 'an integer >= 1'),
    ('BATCH = 8', 'BATCH = [8]', 'Images.batch', 'an integer >= 1'),
    ('smoothing = 0.1', 'smoothing = 1', '.label_smoothing', '>= 0 and < 1'),
    ('# end', "ResNet.stem = 'smal'", 'ResNet.stem', "'small'"),
    ('# end', 'ResNet.depth = 20', 'ResNet.depth', '18, 34, 50, 101, 152'),
    ('# end', 'Experiment.log_every = 0', 'log_every', 'an integer >= 1'),
    ('# end', "adamw.clip_norm = 'None'", 'clip_norm', 'did you mean None?'),
    ('# end', "Best.mode = 'mxa'", 'Best.mode', "'max'"),
    ('# end', "Classification.class_weights = 'balance'", '', "'balanced'"),
    ('# end', 'Classification.class_weights = [1, "a"]', '[1]', 'a number'),
    ('# end', 'Experiment.name = None', 'Experiment.name', 'a string'),
    # references: which are called now, which in the run
    ('@Classification()', '@Classification', 'task', "'@Classification()'"),
    ('@Classification()', "'Classification'", 'task', "'@Classification()'"),
    ('@train/Images()', '@train/Images', 'train_data', "'@train/Images()'"),
    ('[@PadCrop()]', '[@PadCrop]', '[0]', "'@PadCrop()'"),
    ('[@PadCrop()]', '@PadCrop()', 'train/Images.augment', 'a list'),
    ('# end', 'Experiment.model = @Net()', 'rngs', "'@Net'"),
    ('# end', 'Experiment.model = "Net"', 'Experiment.model', "'@Net'"),
    ('# end', 'Experiment.schedule = @warmup_cosine()', '', "'@warmup_cosine'"),
    ('# end', 'Net.head = @PadCrop', 'Net.head', 'Module'),
    ('# end', 'Net.backbone = @Net', 'Net.backbone', 'leads back to itself'),
    ('# end', 'adamw.learning_rate = 1', 'learning_rate', "'warmup_cosine.peak'"),
    ('# end', "ResNet.dtype = 'bfloat16'", 'ResNet.dtype', "'Net.dtype'"),
    # gin's grammar
    ('# end', 'Experiment.seed = true', 'Experiment.seed', "'True'"),
    ('BATCH = 8', 'BATCH = 4*2', 'BATCH', 'no arithmetic'),
    ('BATCH = 8', 'BATCH =', 'BATCH', 'no value'),
    ('[@PadCrop()]', '[@PadCrop()', 'train/Images.augment', 'never closed'),
    ("'train'", "'train", 'train/Images.split', 'never closed'),
    ("'train'", 'train', 'train/Images.split', 'string'),
    ('@Classification()', 'Classification()', 'task', "'@Classification()'"),
    ('[@PadCrop()]', '[@PadCrop(pad=1)]', 'PadCrop', 'no arguments'),
    ('# end', 'ResNet.depth 34', 'ResNet.depth', 'Name.parameter = value'),
    ('# end', 'include configs/base.gin', 'include', 'quotes'),
    ('# end', 'import 5', 'import', "module's name"),
    # files and modules
    ("'configs/base.gin'", "'configs/bose.gin'", "'configs/bose.gin'", 'base.gin'),
    ("'configs/models/resnet18.gin'", "'run.gin'", 'run.gin', 'circle'),
    ('# end', 'import modles', 'modles', "'models'"),
    ('# end', 'import models.resnte', 'models.resnte', "'resnet'"),
    # what stands twice, is not read, or is not there
    ('# end', 'Images.batch = 16', 'Images.batch', 'run.gin:11'),
    ('# end', 'KNOB = 16', '%KNOB', 'nothing reads'),
    ('# end', 'MLP.dropout = 0.5', 'MLP.dropout', 'never used'),
    ('# end', "Images.split = 'test'", 'Images.split', 'train/Images.split'),
    ("train/Images.split = 'train'", '# none', '', ''),
    ('# end', "Experiment.name = 'base'", 'Experiment.name', 'says nothing'),
    ('# end', "Experiment.name = 'a/b'", 'Experiment.name', 'directory'),
    ('# end', "Images.name = 'CHANGE_ME'", 'Images.name', 'CHANGE_ME'),
    ('# end', 'Net.head = @CHANGE_ME', 'Net.head', 'CHANGE_ME'),
    ('# end', 'Experiment.seed = %gin.REQUIRED', 'Experiment.seed', 'waits'),
]
# Those whose finding is in another line than the change.
ELSEWHERE = {
    'EPOCH = 2': (10, "'EPOCHS'", "'EPOCH'"),
    '# none': (8, 'train/Images.split', 'no value'),
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Tests write their configs where they stand, not in the repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def errors(*files, bindings=()):
    """The lines of all errors."""
    found = findings(files, bindings)
    return [str(finding) for finding in found if finding.severity == 'error']


def infos(*files, bindings=()):
    """The lines that are only said."""
    found = findings(files, bindings)
    return [str(finding) for finding in found if finding.severity == 'info']


def write(text, path='run.gin'):
    """A config in a file."""
    pathlib.Path(path).write_text(text)
    return path


def test_the_run_that_is_then_broken_has_nothing_to_report():
    assert findings([write(RUN)]) == []


@pytest.mark.parametrize(
    ('old', 'new', 'name', 'advice'), MISTAKES, ids=[new for _, new, *_ in MISTAKES]
)
def test_a_mistake_is_one_line_with_its_place_and_name(old, new, name, advice):
    assert old in RUN
    line = RUN[: RUN.index(old)].count('\n') + 1
    line, name, advice = ELSEWHERE.get(new, (line, name, advice))
    (found,) = errors(write(RUN.replace(old, new, 1)))
    assert found.startswith(f'run.gin:{line}: ')
    assert name in found
    assert advice in found
    assert len(found.splitlines()) == 1
    assert 'Error' not in found


@pytest.mark.parametrize(
    ('binding', 'name', 'advice'),
    [
        ('EPOCHS = true', 'EPOCHS', "'True'"),
        ('EPOCHS', 'EPOCHS', 'MACRO = value'),
        ('ResNet.dept = 34', 'ResNet.dept', "'depth'"),
        ('Net.backbone = MLP', 'Net.backbone', '@MLP'),
        ('ResNet.depth = 34 50', 'ResNet.depth', 'more than one value'),
    ],
)
def test_a_mistake_on_the_command_line(binding, name, advice):
    (found,) = errors(write(RUN), bindings=[binding])
    assert found.startswith('command line: ')
    assert name in found
    assert advice in found


def test_all_mistakes_come_at_once_in_the_order_of_the_lines():
    text = RUN.replace('EPOCHS = 2', "EPOCHS = '2'").replace('peak', 'peek')
    text = text.replace("'train'", 'train').replace('# end', 'KNOB = 1\n# end')
    found = errors(write(text), bindings=['ResNet.depth = 20'])
    places = [line.split(': ')[0] for line in found]
    assert places == [f'run.gin:{n}' for n in (4, 12, 17, 19)] + ['command line']


def test_several_bad_lines_of_one_block_are_all_found():
    text = RUN.replace('%EPOCHS', '2*%EPOCHS').replace('Images()', 'Images(1)', 1)
    places = [line.split(': ')[0] for line in errors(write(text))]
    assert places == ['run.gin:8', 'run.gin:10']


def test_replacing_an_included_or_an_earlier_file_is_no_mistake():
    write('ResNet.depth = 34\nEPOCHS = 3\n', 'more.gin')
    assert (
        findings([write(RUN.replace('# end', 'ResNet.depth = 34')), 'more.gin']) == []
    )


def test_what_a_later_file_has_made_idle_is_one_info_line():
    (line,) = infos(write(RUN), 'configs/models/mlp.gin')
    assert errors('run.gin', 'configs/models/mlp.gin') == []
    assert line.startswith('configs/models/resnet18.gin:')
    assert 'ResNet.depth, ResNet.stem' in line
    assert 'Net.backbone' in line


def test_what_the_command_line_has_made_idle_is_info_but_its_own_is_not():
    bindings = ['Experiment.epochs = 3', 'MLP.dropout = 0.5']
    assert 'EPOCHS' in infos(write(RUN), bindings=bindings)[0]
    (found,) = errors('run.gin', bindings=bindings)
    assert 'MLP.dropout' in found


def test_a_missing_file_names_where_was_searched_and_what_there_is(here):
    (found,) = errors('configs/resnt18.gin')
    assert str(here) in found
    assert "did you mean 'configs/resnet18.gin'?" in found
    assert "'configs/resnet18.gin'" in errors('resnet18.gin')[0]


def test_nothing_is_guessed_about_what_a_missing_file_may_hold():
    (found,) = errors(write(RUN.replace('models/resnet18', 'models/none_such')))
    assert found.startswith('run.gin:3: ')


def test_a_module_that_fails_is_one_line_with_its_reason():
    write('def broken(:\n', 'failing_module.py')
    write('import none_such_at_all\n', 'needing_module.py')
    text = RUN.replace('# end', 'import failing_module\nimport needing_module')
    first, second = errors(write(text))
    assert 'failing_module' in first and 'SyntaxError' in first
    assert 'none_such_at_all' in second


def test_a_file_that_is_no_text_is_one_line():
    pathlib.Path('run.gin').write_bytes(b'\xff\xfe\x00binary')
    (found,) = errors('run.gin')
    assert 'cannot be read as text' in found


def test_the_report_counts_and_says_whether_the_config_may_run():
    text, ok = check_report([write(RUN)])
    assert ok and text.startswith('resnet18: no mistakes in ')
    text, ok = check_report(['run.gin'], ['EPOCHS = 0', 'KNOB = 1'])
    assert not ok and text.endswith('2 mistakes')
