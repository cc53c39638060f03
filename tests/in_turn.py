"""Runs of one process: in this one, or several in one start on more devices."""

import json
import os
import subprocess
import sys

import main
from tests.several import DEVICES, ROOT

PROGRAM = """
import json, sys
import main
for words in json.loads(sys.argv[1]):
    if code := main.main(['main.py', *words]):
        sys.exit(code)
"""


def alone(workdir, *arguments):
    """Does a command in this process, on its one device; it must end well."""
    assert main.main(['main.py', *arguments, f'--workdir={workdir}']) == 0


def on_devices(count, *commands, cwd=ROOT):
    """What commands say to stdout, one after the other; all must end well."""
    words = json.dumps([list(map(str, command)) for command in commands])
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, words],
        cwd=cwd,
        env=os.environ | {'XLA_FLAGS': f'{DEVICES}{count}', 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300 * len(commands),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
