"""Semantic versions: the order of the specification, and what ranges mean."""

import itertools
import re

import pytest

from trainer.errors import UserError
from trainer.registry import semantic

# The chain of precedence that semver.org gives as its example (point 11), and ours.
ASCENDING = [
    '0.0.1',
    '0.0.2',
    '0.1.0',
    '0.9.9',
    '0.10.0',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.1',
    '1.2.0',
    '1.10.0',
    '2.0.0-0.x',
    '2.0.0',
    '2.1.1',
    '10.0.0',
]


def test_versions_are_ordered_as_the_specification_says():
    for older, newer in itertools.pairwise(ASCENDING):
        assert semantic.order(older) < semantic.order(newer)
    assert sorted(reversed(ASCENDING), key=semantic.order) == ASCENDING


@pytest.mark.parametrize('version', ASCENDING)
def test_a_version_means_itself_alone(version):
    assert semantic.check(version) == version
    assert semantic.newest(version, ASCENDING) == version
    others = [other for other in ASCENDING if other != version]
    assert semantic.newest(version, others) is None


@pytest.mark.parametrize(
    'version',
    [
        '1',
        '1.0',
        'v1.0.0',
        '01.0.0',
        '1.0.0.0',
        '1.0.0-',
        '1.0.0-01',
        '1.0.0+build',
        '',
        'latest',
        '^1',
        '1.0.0-a..b',
        '1.0.0 ',
        '١.0.0',
        '../../1.0.0',
        '1.0.x',
    ],
)
def test_what_is_no_version_is_refused(version):
    expected = f'{version!r} is no version to publish; say MAJOR.MINOR.PATCH, as in'
    with pytest.raises(UserError, match=re.escape(expected)):
        semantic.check(version)


@pytest.mark.parametrize(
    ('wanted', 'found'),
    [
        ('latest', '10.0.0'),
        ('^1', '1.10.0'),
        ('^1.2', '1.10.0'),
        ('^1.2.0', '1.10.0'),
        ('^1.11', None),
        ('^2', '2.1.1'),
        ('^2.1.2', None),
        ('^0', '0.10.0'),
        ('^0.9', '0.9.9'),
        ('^0.9.1', '0.9.9'),
        ('^0.0', '0.0.2'),
        ('^0.0.1', '0.0.1'),
        ('^0.0.3', None),
        ('^3', None),
    ],
)
def test_ranges_end_where_something_may_break(wanted, found):
    for versions in (ASCENDING, ASCENDING[::-1]):
        assert semantic.newest(wanted, versions) == found


def test_a_pre_release_is_the_latest_only_where_nothing_else_is():
    assert semantic.newest('latest', ['1.0.0', '2.0.0-rc.1']) == '1.0.0'
    assert semantic.newest('latest', ['1.0.0-rc.2', '1.0.0-rc.10']) == '1.0.0-rc.10'
    assert semantic.newest('^1', ['1.0.0-rc.1']) is None
    assert semantic.newest('latest', []) is None


@pytest.mark.parametrize('wanted', ['1', '~1.0', '>=1.0.0', '*', '', '^', '^1.x'])
def test_what_cannot_be_wanted_is_refused(wanted):
    expected = f'{wanted!r} is no version; say one as in 1.0.0, latest, or a range'
    with pytest.raises(UserError, match=re.escape(expected)):
        semantic.newest(wanted, ASCENDING)
