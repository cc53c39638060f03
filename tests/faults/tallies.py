"""Counts the faults of a session over all its processes, for a table at its end."""

import collections

import pytest

tallies = collections.defaultdict(collections.Counter)
COLUMNS = ('tried', 'survived', 'harmless', 'silent')


@pytest.fixture
def tally():
    """`tally(fault, survived=1)`; `silent` ones were neither survived nor noticed."""

    def count(fault, survived=0, silent=0, harmless=0):
        tried = survived + silent + harmless
        tallies[fault].update(
            tried=tried, survived=survived, harmless=harmless, silent=silent
        )

    return count


def pytest_sessionfinish(session):
    """A process that runs tests for another hands over what it has counted."""
    if hasattr(session.config, 'workeroutput'):
        counts = {fault: dict(counted) for fault, counted in tallies.items()}
        session.config.workeroutput['faults'] = counts


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """The other takes it."""
    for fault, counted in getattr(node, 'workeroutput', {}).get('faults', {}).items():
        tallies[fault].update(counted)


def pytest_terminal_summary(terminalreporter):
    """The table."""
    if not tallies:
        return
    terminalreporter.section('faults')
    terminalreporter.line(f'{"":<34}' + ''.join(f'{name:>10}' for name in COLUMNS))
    total = sum(tallies.values(), collections.Counter())
    for fault, counts in [*sorted(tallies.items()), ('all', total)]:
        numbers = ''.join(f'{counts[name]:>10}' for name in COLUMNS)
        terminalreporter.line(f'{fault:<34}{numbers}')
