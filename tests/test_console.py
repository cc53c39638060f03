"""People see whole lines and never silence, and the log has them all."""

import io
import logging
import re
import sys
import time
import warnings

import pytest
from absl import logging as absl_logging

from trainer import logfile, phases
from trainer.console import Console, table
from trainer.screen import format_seconds, put, say, warn


@pytest.fixture(autouse=True)
def quiet_afterwards():
    """No log outlives a test."""
    level = logging.root.level
    yield
    logfile.close_log()
    logging.root.setLevel(level)


def test_a_phase_takes_one_line(capsys):
    console = Console()
    with console.phases('compile'):
        assert capsys.readouterr().out == 'compile ...'
    assert re.fullmatch(r' [\d.]+ s\n', capsys.readouterr().out)
    assert 0 <= console.phases.seconds['compile'] < 5


def test_a_phase_that_comes_twice_is_summed():
    timed = phases.Phases(quiet=True)
    for _ in range(2):
        with timed('data'):
            time.sleep(0.01)
    timed.add('import', 1.5)
    assert 0.02 <= timed.seconds['data'] < 5
    assert timed.seconds['import'] == 1.5


def test_the_total_counts_from_the_start(capsys):
    console = Console(started=time.perf_counter() - 100)
    assert 100 <= console.phases.total < 105
    console.phases.say_total()
    assert capsys.readouterr().out.startswith('ready in 1 min 4')


def test_a_long_phase_shows_that_it_lives(capsys, monkeypatch):
    monkeypatch.setattr(phases, 'HEARTBEAT_SECONDS', 0.02)
    with Console().phases('compile'):
        time.sleep(0.2)
    out = capsys.readouterr().out
    assert re.fullmatch(r'compile \.\.\.( \d s \.\.\.){2,} [\d.]+ s\n', out)


def test_a_line_within_a_phase_does_not_tear_it(capsys):
    with Console().phases('data'):
        say('hello')
        with Console().phases('inner'):
            pass
    out = re.sub(r'[\d.]+ s', 'T', capsys.readouterr().out)
    assert out == 'data ...\nhello\ninner ... T\ndata ... T\n'


def test_a_phase_that_fails_says_so_and_lets_the_error_through(capsys):
    with pytest.raises(KeyError), Console().phases('init'):
        raise KeyError('a')
    assert 'init ... failed after ' in capsys.readouterr().out


def test_only_the_first_process_speaks(capsys, tmp_path):
    console = Console(quiet=True)
    with console.log_to(tmp_path), console.phases('data'):
        console.say('a')
        console.warn('b')
        with console.bar(10) as bar:
            bar.update(1, {'train/loss': 1.0})
            bar.advance(2)
            bar.evaluated(2, {'val/loss': 1.0})
    assert capsys.readouterr() == ('', '')
    assert list(tmp_path.iterdir()) == []
    assert 'data' in console.phases.seconds


def test_a_warning_is_one_line_on_stderr(capsys):
    warn('one\n  two')
    assert capsys.readouterr() == ('', 'warning: one two\n')


def test_a_screen_that_has_gone_stops_nothing():
    class Gone(io.StringIO):
        encoding = 'ascii'

        def flush(self):
            raise BrokenPipeError

    stream = Gone()
    put('naïve \udcff', stream)
    assert stream.getvalue() == 'na\\xefve \\udcff'


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        *((0.123, '0.12 s'), (3.21, '3.2 s'), (20, '20 s'), (125, '2 min 05 s')),
        *((3725.9, '1 h 02 min'), (0, '0 s'), (90000, '25 h 00 min')),
    ],
)
def test_seconds_read_well(seconds, text):
    assert format_seconds(seconds) == text


ROWS = [('a digit', 0.5, 10), ('another', None, 2000)]


def test_a_table_is_aligned():
    assert table(ROWS, ('class', 'accuracy', 'n'), width=80) == (
        'class    accuracy     n\na digit    0.5000    10\nanother         -  2000'
    )


def test_a_table_fits_a_narrow_terminal():
    rows = [('a very long name of a class', 'short', 0.25)]
    lines = table(rows, ('class', 'kind', 'score'), width=32).splitlines()
    assert max(map(len, lines)) == 32
    assert lines[1] == 'a very long nam..  short  0.2500'
    assert len(table(rows, ('class', 'kind', 'score'), width=5).splitlines()) == 2
    assert table([], ('class', 'n'), width=80) == 'class  n'


def test_names_of_rows_are_not_cut_until_they_read_alike():
    rows = [(f'runs/resnet18_a_long_name_{n}', 'a remark', 0.25) for n in (1, 2)]
    lines = table(rows, ('run', 'remark', 'score'), width=30).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [row[0] for row in rows]
    rows[1] = ('runs/resnet50_a_long_name_2', 'a remark', 0.25)
    lines = table(rows, ('run', 'remark', 'score'), width=37).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        'runs/resnet18_a_l..',
        'runs/resnet50_a_l..',
    ]
    lines = table(rows, ('run', 'remark', 'score'), width=5).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        'runs/resnet1..',
        'runs/resnet5..',
    ]


def test_without_a_terminal_nothing_is_cut(monkeypatch):
    monkeypatch.delenv('COLUMNS', raising=False)
    monkeypatch.setattr(sys, '__stdout__', io.StringIO())  # no terminal
    rows = [('a' * 300, 'b' * 300)]
    assert table(rows, ('one', 'two')).splitlines()[1] == f'{"a" * 300}  {"b" * 300}'
    monkeypatch.setenv('COLUMNS', '40')
    assert max(map(len, table(rows, ('one', 'two')).splitlines())) == 40


def read_log(path):
    """The lines of a log without their times."""
    return [line.split(' ', 2)[2] for line in path.read_text().splitlines()]


def test_the_log_has_what_was_said_and_what_libraries_say(tmp_path, capsys):
    with Console().log_to(tmp_path):
        say('hello')
        warn('careful')
        logging.getLogger('jax._src.xla').warning('chatter')
        logging.getLogger('orbax').debug('too much')
        absl_logging.info('saved %d', 3)
    assert capsys.readouterr() == ('hello\n', 'warning: careful\n')
    assert read_log(tmp_path / 'log.txt') == [
        'INFO    juniper: hello',
        'WARNING juniper: careful',
        'WARNING jax._src.xla: chatter',
        'INFO    absl: saved 3',
    ]
    assert re.match(r'\d{4}-\d\d-\d\d \d\d:', (tmp_path / 'log.txt').read_text())


def test_the_log_has_the_traceback_of_what_ended_the_run(tmp_path):
    with pytest.raises(ZeroDivisionError), Console().log_to(tmp_path):
        _ = 1 / 0
    text = (tmp_path / 'log.txt').read_text()
    assert 'Traceback' in text
    assert 'ZeroDivisionError' in text


def test_the_log_is_appended_to_and_moved(tmp_path, capsys):
    first, second = tmp_path / 'a.txt', tmp_path / 'b.txt'
    logfile.setup_log(first)
    say('one')
    logfile.setup_log(second)
    say('two')
    logfile.setup_log(first)
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        logging.captureWarnings(True)
        warnings.warn('odd', stacklevel=1)
    logfile.close_log()
    say('nowhere')
    assert read_log(second) == ['INFO    juniper: two']
    assert first.read_text().splitlines()[0].endswith('juniper: one')
    assert 'odd' in first.read_text()
    assert 'nowhere' not in first.read_text()
    assert capsys.readouterr().err == ''


def test_control_characters_are_written_out(capsys, caplog):
    shown = 'a class called \\x1b[2J\\r, and\\u2028 an \\udc80 é'
    with caplog.at_level('INFO'):
        say('a class called \x1b[2J\r, and\u2028 an \udc80 é')
    assert capsys.readouterr().out == f'{shown}\n'
    assert caplog.messages == [shown]
