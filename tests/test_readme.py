"""Commands and Python in README.md and docs run as printed; console has real flags."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from trainer import command_line

ROOT = pathlib.Path(__file__).resolve().parents[1]
ALL = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]


def blocks(page, kind):
    return re.findall(rf'^```{kind}\n(.*?)^```', page.read_text(), re.M | re.S)


PAGES = [page for page in ALL if blocks(page, 'bash') or blocks(page, 'python')]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_commands_run_as_printed(page, tmp_path):
    shown = [text for text in blocks(page, 'bash') if 'pip install' not in text]
    commands = [['bash', '-e', '-c', text] for text in shown]
    commands += [[sys.executable, '-c', text] for text in blocks(page, 'python')]
    ignored = shutil.ignore_patterns('.*', 'runs')
    shutil.copytree(ROOT, tmp_path / 'juniper', ignore=ignored)
    path = f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
    for command in commands:
        done = subprocess.run(
            command,
            cwd=tmp_path / 'juniper',
            env=os.environ | {'PATH': path},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f'{command}\n{done.stdout}\n{done.stderr}'


SHOWING = [page for page in ALL if page in PAGES or blocks(page, 'console')]


@pytest.mark.parametrize('page', SHOWING, ids=lambda page: page.name)
def test_shown_flags_exist(page):
    shown = '\n'.join(blocks(page, 'console') + blocks(page, 'bash'))
    calls = re.findall(r'python main\.py (.*)', shown)
    flags = {flag for call in calls for flag in re.findall(r'--(\w+)', call)}
    assert flags <= {*command_line.FLAGS, 'gin'}
    words = {call.split()[0] for call in calls if call and call[0].isalpha()}
    assert words <= set(command_line.COMMANDS)
