"""Writers off the step's way, CSV to the byte, and what is said of missing packages."""

import csv
import functools
import importlib.util
import threading
import time

import pytest

from trainer import trackers, writers
from trainer.errors import Interrupted
from trainer.experiment import load
from trainer.lint.report import check_report
from trainer.trackers import CsvWriter, MultiWriter, Trackers, worker
from trainer.trackers.start import Held
from trainer.writers import JsonlWriter, MetricWriter

CONFIG = ['configs/mlp.gin']
LINES = [
    (1, {'train/loss': 0.1, 'rate': float('nan')}),
    (2, {'train/loss': 1 / 3}),
    (2, {'epoch': 1, 'val/loss': None, 'val/acc, "top"': 1.0}),
    (3, {'train/loss': 0.25}),
    (3, {'test/loss': 2.0}),
]


def run(directory, lines, resumed_from=None):
    """A start of a run that writes lines with JSONL and CSV."""
    path = directory / 'metrics.jsonl'
    writers.truncate(path, -1 if resumed_from is None else resumed_from)
    with (
        Trackers(directory, [CsvWriter]) as made,
        made.opened('a', {}, resumed_from or 0) as writer,
    ):
        for step, scalars in lines:
            writer.write_scalars(step, scalars)
    return (directory / 'metrics.csv').read_bytes()


def test_the_table_says_what_the_record_says(tmp_path):
    run(tmp_path, LINES)
    with open(tmp_path / 'metrics.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    for row, line in zip(rows, writers.read(tmp_path / 'metrics.jsonl'), strict=True):
        full = {name: line.get(name) for name in row}
        assert {k: float(v) if v else None for k, v in row.items()} == full
    assert rows[1]['train/loss'] == repr(1 / 3)


@pytest.mark.parametrize('killed', [b'', b'2,0.33', b'9,9,9,9,9,9\n9'])
def test_a_table_that_is_gone_on_with_has_the_same_bytes(tmp_path, killed):
    whole = run(tmp_path, LINES)
    assert run(tmp_path, LINES[1:], resumed_from=1) == whole
    with open(tmp_path / 'metrics.csv', 'ab') as file:
        file.write(killed)
    assert run(tmp_path, LINES[3:], resumed_from=2) == whole
    assert run(tmp_path, LINES) == whole


class Slow(MetricWriter):
    """A server that answers when it is let go."""

    go, asked = threading.Event(), threading.Event()

    def __init__(self, start):
        self.seen = Slow.seen = []

    def write_scalars(self, step, scalars):
        """Waits."""
        self.asked.set()
        self.go.wait(20)
        self.seen.append(step)

    def end(self, ending):
        """Keeps it."""
        self.seen.append(ending)


def test_a_slow_server_is_waited_for_by_nothing_but_the_end(tmp_path):
    Slow.go.clear()
    with Trackers(tmp_path, [Slow]) as made:
        with made.opened('a', {}, 0) as writer:
            began = time.monotonic()
            for step in range(100):
                writer.write_scalars(step, {'a': 1.0})
            writer.flush()
            assert time.monotonic() - began < 10
        assert len(writers.read(tmp_path / 'metrics.jsonl')) == 100
        Slow.go.set()
    assert Slow.seen == [*range(100), 'finished']


def test_a_server_that_never_answers_ends_with_a_line(tmp_path, capsys, monkeypatch):
    Slow.go.clear()
    monkeypatch.setattr('trainer.trackers.opened.AT_THE_END', 0.2)
    with Trackers(tmp_path, [Slow]) as made, made.opened('a', {}, 0) as writer:
        writer.write_scalars(1, {'a': 1.0})
    assert 'Slow has not taken everything' in capsys.readouterr().err
    Slow.go.set()


def test_a_queue_that_is_full_drops_for_servers_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(worker, 'ITEMS', 3)
    Slow.go.clear()
    Slow.asked.clear()
    with Trackers(tmp_path, [Slow]) as made:
        with made.opened('a', {}, 0) as writer:
            for step in range(20):
                writer.write_scalars(step, {'a': 1.0})
                assert Slow.asked.wait(20)
        Slow.go.set()
    assert len(writers.read(tmp_path / 'metrics.jsonl')) == 20
    said = capsys.readouterr().err
    assert said.count('calls wait already') == 1 and 'not taken' not in said
    assert 3 <= len(Slow.seen) - 1 < 20 and Slow.seen[-1] == 'finished'


@pytest.mark.parametrize(
    'error, ending',
    [(Interrupted('x'), 'interrupted'), (ValueError('x'), 'failed')],
)
def test_writers_hear_how_the_run_ended(tmp_path, error, ending):
    Slow.go.set()
    with (
        pytest.raises(type(error)),
        Trackers(tmp_path, [Slow]) as made,
        made.opened('a', {}, 0),
    ):
        raise error
    assert Slow.seen == [ending]


def test_a_disk_that_is_full_loses_no_later_line(tmp_path, capsys):
    class Full(JsonlWriter):
        """Has no room for step 2."""

        def write_scalars(self, step, scalars):
            if step == 2:
                raise OSError(28, 'No space left on device')
            super().write_scalars(step, scalars)

    path = tmp_path / 'metrics.jsonl'
    writer = MultiWriter([functools.partial(Full, path)])
    for step in (1, 2, 3):
        writer.write_scalars(step, {'a': 1.0})
    writer.close()
    assert [row['step'] for row in writers.read(path)] == [1, 3]
    assert 'Full failed and may miss some metrics' in capsys.readouterr().err


def test_what_a_server_has_is_not_sent_again():
    held = Held({'a': 3})
    assert held.fresh(3, {'a': 1.0, 'b': 2.0, 'c': None}) == {'b': 2.0}
    held.add(2, ['a'])
    assert held.steps == {'a': 3}
    held.add(4, ['a'])
    assert held.fresh(4, {'a': 1.0}) == {} and held.fresh(5, {'a': 1.0}) == {'a': 1.0}


class Lacking(MetricWriter):
    """A writer whose package nobody has."""

    needs = ('juniper_tracker', 'juniper-tracker')


def test_a_missing_package_is_a_warning_of_one_line(tmp_path, capsys):
    with Trackers(tmp_path, [Lacking]) as made, made.opened('a', {}, 0) as writer:
        writer.write_scalars(1, {'a': 1.0})
    said = capsys.readouterr().err
    assert said == (
        'warning: Lacking needs juniper_tracker, which is not installed: '
        'pip install juniper-tracker; the run goes on without it\n'
    )
    assert len(writers.read(tmp_path / 'metrics.jsonl')) == 1


@pytest.mark.parametrize('name', ['MlflowWriter', 'WandbWriter'])
def test_check_names_the_missing_package(name, monkeypatch):
    package, find = getattr(trackers, name).needs[1], importlib.util.find_spec
    gone = {'mlflow', 'wandb'}
    there = lambda module: None if module in gone else find(module)  # noqa: E731
    monkeypatch.setattr('importlib.util.find_spec', there)
    text, good = check_report(CONFIG, [f'Experiment.writers = [@{name}]'])
    assert not good and f'{name} needs' in text
    assert f'pip install {package}' in text


def test_names_that_are_wrong_are_refused_with_the_nearest():
    text, good = check_report(CONFIG, ['Experiment.writers = [@CvsWriter]'])
    assert not good and "did you mean 'CsvWriter'" in text
    text, good = check_report(CONFIG, ['Experiment.writers = [@CsvWriter()]'])
    assert not good and "did you mean '@CsvWriter'" in text


def test_writers_are_bound_in_a_config():
    chosen = '[@CsvWriter, @MlflowWriter]'
    bindings = [f'Experiment.writers = {chosen}', 'MlflowWriter.tags = {"a": "b"}']
    made = load(CONFIG, bindings).writers
    assert made[0].func is CsvWriter and made[1].keywords == {'tags': {'a': 'b'}}


def test_lines_are_written_together_and_at_once_where_somebody_waits(monkeypatch):
    monkeypatch.setattr(worker, 'GATHERING', 3600)
    written = []

    class Kept(MetricWriter):
        durable = True

        def write_scalars(self, step, scalars):
            written.append(step)

    writer = MultiWriter([Kept])
    writer.write_scalars(1, {})
    time.sleep(0.2)
    assert not written
    writer.write_scalars(2, {})
    writer.flush()
    assert written == [1, 2]
    writer.write_scalars(3, {'epoch': 1, 'val/loss': 0.5})
    until = time.monotonic() + 60
    while written != [1, 2, 3] and time.monotonic() < until:
        time.sleep(0.01)
    writer.write_scalars(4, {})
    writer.close()
    assert written == [1, 2, 3, 4]
