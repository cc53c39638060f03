"""All faults in full: `python -m tests.faults` (hours on two cores)."""

import os
import pathlib
import sys

import pytest

if __name__ == '__main__':
    os.environ['JUNIPER_FAULTS'] = 'whole'
    here = str(pathlib.Path(__file__).parent)
    sys.exit(pytest.main([here, '-rs', *sys.argv[1:]]))
