"""docs/features.md cites files that are there, and says which of them CI leaves out."""

import re

from tests.test_configs import ROOT

HEAD, ROWS = (ROOT / 'docs/features.md').read_text().split('\n## ', 1)
# A library that a fresh environment may lack; others are in requirements-dev.txt.
SKIPS = r"""importorskip\(f?'(torch|pycocotools|playwright|mlflow|wandb)\b"""
SKIPS += r"""|from tests\.(peers|test_parity) import|skip\('needs """


def cited(text):
    """The files of tests that a text names, seen from the repository."""
    names = re.findall(r'\b(?:tests/)?(?:\w+/)*test_\w+\.py', text)
    return {name if name.startswith('tests/') else f'tests/{name}' for name in names}


def cited_with(pattern):
    """The files of tests in the rows that have the pattern."""
    return {name for name in cited(ROWS) if re.search(pattern, read(name))}


def read(name):
    return (ROOT / name).read_text()


def test_what_is_cited_is_there():
    paths = cited(ROWS) | set(re.findall(r'`((?:\w+/)+[\w./]+)`', ROWS))
    assert len(paths) > 100
    made = ('runs/', 'val/', 'test/', 'train/', 'perf/')
    known = [path for path in paths if not path.startswith(made)]
    assert [path for path in known if not (ROOT / path).exists()] == []


def test_the_head_names_what_is_slow_and_what_is_skipped():
    slow, skipped = HEAD.split('\n- ')[1:]
    assert cited(slow) == cited_with(r'mark\.slow')
    assert cited(skipped) == cited_with(SKIPS)
    whole = cited(slow.partition(';')[0])
    assert all(_all_slow(read(name)) for name in whole)
    assert not any(_all_slow(read(name)) for name in cited(slow) - whole)


def _all_slow(text):
    """Whether every test of a file is marked so."""
    tests = len(re.findall(r'^def test_', text, re.M))
    marked = len(re.findall(r'^@pytest\.mark\.slow\n(?:@.*\n)*def test_', text, re.M))
    return 'pytestmark = pytest.mark.slow' in text or marked == tests
