"""Scopes, macros and references mean what gin takes them to mean, in random configs."""

import gin
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.lint.config import Config
from trainer.lint.statements import parse
from trainer.resolution import resolve

DEPTH = 4
SCOPES = ('', 'a', 'b', 'a/b', 'b/a')


def node(index):
    """A registered function that calls what it was handed and returns all it saw."""

    def visit(value):
        if callable(value):
            return visit(value())
        if isinstance(value, list | tuple):
            return [visit(item) for item in value]
        if isinstance(value, dict):
            return {key: visit(item) for key, item in value.items()}
        return value

    def look(x: int = 0, y: int = 0, child=None, other=None):
        return index, *map(visit, (x, y, child, other))

    return gin.register(f'node{index}', module='resolution')(look)


NODES = [node(index) for index in range(DEPTH)]


def references(above):
    """References to nodes and macros of higher numbers, so that none are circular."""
    names = [f'@{scope}/node{i}' for scope in SCOPES[1:] for i in range(above, DEPTH)]
    names += [f'@node{i}' for i in range(above, DEPTH)]
    called = [f'{name}()' for name in names]
    macros = [f'%{scope}M{i}' for scope in ('', 'a/') for i in range(above, DEPTH)]
    return st.sampled_from([*names, *called, *macros, '1', "'text'"])


def values(above):
    """Values that a binding of a node or macro may have."""
    leaf = references(above)
    pair = st.tuples(leaf, leaf)
    return st.one_of(
        leaf,
        pair.map(lambda items: f'[{items[0]}, {items[1]}]'),
        pair.map(lambda items: f"({items[0]}, {{'key': {items[1]}}})"),
    )


@st.composite
def configs(draw):
    """A gin text in which every macro that is read has a value."""
    lines = []
    for i in range(DEPTH):
        for macro in (f'M{i}', f'a/M{i}'):
            lines.append(f'{macro} = {draw(values(i + 1))}')
        for scope in draw(st.sets(st.sampled_from(SCOPES))):
            prefix = f'{scope}/' if scope else ''
            for parameter in draw(
                st.sets(st.sampled_from(['x', 'y', 'child', 'other']))
            ):
                lines.append(f'{prefix}node{i}.{parameter} = {draw(values(i + 1))}')
    return '\n'.join(draw(st.permutations(lines)))


def by_gin(text):
    """What gin itself makes of a config."""
    try:
        gin.parse_config(text)
        return gin.get_configurable('node0')()
    finally:
        gin.clear_config()


def by_us(text):
    """What plain Python makes of it once gin is out of sight."""
    resolved = resolve(Config(parse(text, 'text')), 'resolution.node0')
    return NODES[0](**resolved.arguments)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(configs())
def test_a_resolved_config_does_what_gin_does(text):
    assert by_us(text) == by_gin(text)


def test_the_scope_of_a_reference_replaces_that_of_its_reader():
    text = 'node0.child = @a/node1()\nnode1.child = @b/node2()\na/node2.x = 5'
    found = by_us(text)
    assert found == by_gin(text)
    assert found[3][3] == [2, 0, 0, None, None]


def test_a_reference_without_a_scope_takes_that_of_its_reader():
    text = 'node0.child = @a/node1\nnode1.child = @node2\na/node2.x = 5'
    found = by_us(text)
    assert found == by_gin(text)
    assert found[3][3] == [2, 5, 0, None, None]


def test_each_use_of_a_list_has_its_own():
    text = 'node0.x = %M\nnode0.y = %M\nM = [1]'
    arguments = resolve(Config(parse(text, 'text')), 'resolution.node0').arguments
    arguments['x'].append(2)
    assert arguments['y'] == [1]
