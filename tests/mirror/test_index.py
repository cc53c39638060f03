"""An index that is damaged or lies is refused, in one line."""

import json

import pytest

from tests.mirror.machines import (
    index_of,
    write,
)
from trainer.errors import UserError
from trainer.mirror.index import INDEX


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (b'{}', 'is damaged, no index of a run'),
        (b'\xff', 'is damaged, no index of a run'),
        (b'{"juniper.mirror_format": 2}', 'has format 2, but this Juniper reads 1'),
        (b'["juniper"]', 'is damaged, no index of a run'),
    ],
)
def test_an_index_that_is_none(address, machines, text, said):
    write(address, INDEX, text)
    with pytest.raises(UserError) as error:
        machines[0].fetched(address)
    assert f'{INDEX} {said}' in str(error.value)


@pytest.mark.parametrize('name', ['../stolen', '/etc/stolen', 'a/../../b', '.bashrc'])
def test_an_index_cannot_name_files_elsewhere(address, machines, name):
    one, two = machines
    one.run(address, 10)
    index = index_of(address)
    index['files'][name] = index['files']['config.json']
    write(address, INDEX, json.dumps(index).encode())
    with pytest.raises(UserError, match='which is no file of a run'):
        two.fetched(address)
