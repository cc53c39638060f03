"""Standard streams that are closed, or whose reader goes, stop no command."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
OPENED = """\
from trainer.screen import keep_standard_streams
keep_standard_streams()
print('lost')
with open({path!r}, 'w') as file:
    file.write(str(file.fileno()))
"""


def shell(command, **options):
    """A command for bash, with what it says."""
    command = ['bash', '-c', f'set -o pipefail; {command}']
    return subprocess.run(
        command, cwd=ROOT, text=True, capture_output=True, check=False, **options
    )


@pytest.mark.parametrize('closed', ['>&-', '<&- >&- 2>&-', '2>&-'])
def test_a_file_is_not_given_the_number_of_a_closed_stream(tmp_path, closed):
    code = OPENED.format(path=str(tmp_path / 'file'))
    done = shell(f'{sys.executable} -c "$CODE" {closed}', env={'CODE': code})
    assert (done.returncode, done.stderr) == (0, '')
    assert int((tmp_path / 'file').read_text()) > 2


@pytest.mark.parametrize('closed', ['>&-', '>&- 2>&-'])
def test_a_command_needs_no_screen(closed):
    done = shell(f'{sys.executable} main.py check --gin_file=configs/mlp.gin {closed}')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_a_reader_of_help_may_go():
    done = shell(f'{sys.executable} main.py --help | head -n 1')
    assert done.returncode == 0 and done.stdout.startswith('juniper')
    assert not done.stderr
