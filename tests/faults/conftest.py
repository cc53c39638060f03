"""Counts the faults of a session, and shows them in a table at its end."""

import collections

import pytest

tallies = collections.defaultdict(collections.Counter)


@pytest.fixture
def tally():
    """`tally(fault, survived=1)`; `silent` ones were neither survived nor noticed."""

    def count(fault, survived=0, silent=0, harmless=0):
        tried = survived + silent + harmless
        tallies[fault].update(
            tried=tried, survived=survived, harmless=harmless, silent=silent
        )

    return count


def pytest_terminal_summary(terminalreporter):
    """The table."""
    if not tallies:
        return
    columns = ('tried', 'survived', 'harmless', 'silent')
    terminalreporter.section('faults')
    terminalreporter.line(f'{"":<34}' + ''.join(f'{name:>10}' for name in columns))
    for fault, counts in sorted(tallies.items()):
        numbers = ''.join(f'{counts[name]:>10}' for name in columns)
        terminalreporter.line(f'{fault:<34}{numbers}')
    total = sum(tallies.values(), collections.Counter())
    numbers = ''.join(f'{total[name]:>10}' for name in columns)
    terminalreporter.line(f'{"all":<34}{numbers}')
