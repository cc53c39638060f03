"""Bash blocks of README.md and docs run as printed; console blocks have real flags."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import main

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]


def blocks(page, kind):
    return re.findall(rf'^```{kind}\n(.*?)^```', page.read_text(), re.M | re.S)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_commands_run_as_printed(page, tmp_path):
    commands = [text for text in blocks(page, 'bash') if 'pip install' not in text]
    if not commands:
        pytest.skip('the page shows no command but those of the set-up')
    ignored = shutil.ignore_patterns('.*', 'runs', '__pycache__')
    shutil.copytree(ROOT, tmp_path / 'juniper', ignore=ignored)
    path = f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
    for text in commands:
        done = subprocess.run(
            ['bash', '-e', '-c', text],
            cwd=tmp_path / 'juniper',
            env=os.environ | {'PATH': path},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f'{text}\n{done.stdout}\n{done.stderr}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_shown_flags_exist(page):
    shown = '\n'.join(blocks(page, 'console') + blocks(page, 'bash'))
    calls = re.findall(r'python main\.py (.*)', shown)
    flags = {flag for call in calls for flag in re.findall(r'--(\w+)', call)}
    assert flags <= {*main.FLAGS, 'gin'}
    words = {call.split()[0] for call in calls if call and call[0].isalpha()}
    assert words <= set(main.COMMANDS)
