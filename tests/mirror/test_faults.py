"""A bucket that fails now and then, or for good."""

import errno
import threading

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.mirror.machines import (
    collect,
    content,
    index_of,
    objects,
    save,
    steps,
    until,
    write_run,
)
from trainer.errors import Interrupted, SaveFailed
from trainer.mirror.index import INDEX
from trainer.step_directories import StepDirectories

FAILED = OSError(errno.EIO, 'Input/output error')
pytestmark = pytest.mark.usefixtures('quick')


@pytest.fixture
def broken(monkeypatch):
    """Uploads fail as often as `broken[0]` says, and count `broken[1]` up."""
    upload, counts = MemoryFileSystem.put_file, [0, 0]

    def put_file(self, *arguments, **keywords):
        counts[1] += 1
        if counts[0] > 0:
            counts[0] -= 1
            raise FAILED
        return upload(self, *arguments, **keywords)

    monkeypatch.setattr(MemoryFileSystem, 'put_file', put_file)
    return counts


def test_what_is_new_is_published_while_the_run_goes_on(address, machines):
    keeper = machines[0].keeper(address)
    keeper.begin()
    write_run(keeper.sides.place)
    until(lambda: 'config.json' in objects(address))
    save(keeper.sides.place, 10)
    until(lambda: 'checkpoints/10' in index_of(address)['checkpoints'])
    (keeper.sides.place / 'log.txt').write_text('more')
    until(lambda: index_of(address)['files']['log.txt']['bytes'] == 4)
    keeper.end(None)


def test_uploads_that_fail_are_tried_again_and_said_once(
    address, machines, broken, capsys
):
    broken[0] = 3
    keeper = machines[0].keeper(address)
    keeper.begin()
    write_run(keeper.sides.place)
    save(keeper.sides.place, 10)
    until(lambda: INDEX in objects(address))
    until(lambda: keeper.failures and not broken[0])
    keeper.end(None)
    assert 'checkpoints/10' in index_of(address)['checkpoints']
    out, err = capsys.readouterr()
    said = f'{address} cannot be published: input/output error; trying again'
    assert err.count(said) == 1 and out.count(f'{address} is published again') == 1


def test_what_was_sent_is_not_sent_again(address, machines, broken):
    keeper = machines[0].keeper(address)
    keeper.begin()
    place = keeper.sides.place
    write_run(place)
    save(place, 10)
    until(lambda: index_of(address)['checkpoints'] if broken[1] > 4 else False)
    files, sent = len(content(place)), broken[1]
    save(place, 20)
    until(lambda: 'checkpoints/20' in index_of(address)['checkpoints'])
    keeper.end(None)
    assert files <= sent and broken[1] - sent <= 4  # two of it, metrics, perhaps twice


def test_a_run_that_cannot_be_published_fails_and_is_published_later(
    address, machines, broken, capsys
):
    one, two = machines
    broken[0] = 10**9
    with pytest.raises(SaveFailed) as error:
        one.run(address, 10, finished=True)
    said = str(error.value)
    assert error.value.exit_code == 3 and '\n' not in said
    assert f'{address} is not what {one.place(address)} is: input/output error' in said
    assert 'the same command publishes it and trains nothing again' in said
    assert INDEX not in objects(address)
    broken[0] = 0
    keeper = one.keeper(address)
    keeper.begin()
    keeper.end(None)
    assert content(two.fetched(address, 'all')) == content(one.place(address))


def test_an_interrupted_run_that_cannot_be_published_stays_interrupted(
    address, machines, broken, capsys
):
    broken[0] = 10**9
    machines[0].run(address, 10, error=Interrupted('SIGTERM, saved'))
    assert 'the same command publishes it' in capsys.readouterr().err


def test_an_index_is_written_after_all_that_it_names(address, machines, broken):
    place = machines[0].run(address, 10)
    before = index_of(address)
    save(place, 20)
    broken[0] = 10**9
    with pytest.raises(SaveFailed):
        machines[0].run(address)
    assert index_of(address) == before
    broken[0] = 0
    assert steps(machines[1].run(address)) == [10]


def test_where_saves_are_quicker_than_uploads_the_newest_is_sent(address, machines):
    keeper = machines[0].keeper(address)
    keeper.begin()
    keeper.closing.set()
    place, publisher = keeper.sides.place, keeper.publisher
    write_run(place)
    for saved, gone, named in (
        ([10], [], [10]),
        ([20, 30], [10], [10, 30]),  # 20 would come too late: 10 stays in its place
        ([40], [20], [30, 40]),
        ([50, 60], [30, 40], [40, 60]),
    ):
        for step in saved:
            save(place, step)
        for step in gone:
            collect(place, step)
        publisher.publish()
        checkpoints = index_of(address)['checkpoints']
        assert sorted(checkpoints) == [f'checkpoints/{step}' for step in named]
    publisher.publish(everything=True)
    checkpoints = index_of(address)['checkpoints']
    assert sorted(checkpoints) == ['checkpoints/50', 'checkpoints/60']


def test_the_best_is_sent_before_the_newest_is_named(address, machines):
    keeper = machines[0].keeper(address)
    keeper.begin()
    keeper.closing.set()
    place = keeper.sides.place
    write_run(place)
    for step in (10, 20):
        save(place, step, best=10)
    keeper.publisher.publish()
    assert len(index_of(address)['checkpoints']) == 2


def test_a_checkpoint_that_is_sent_is_not_collected(address, machines, monkeypatch):
    sending, go_on = threading.Event(), threading.Event()
    upload = MemoryFileSystem.put_file

    def put_file(self, source, target, **keywords):
        if 'data10' in target:
            sending.set()
            assert go_on.wait(10)
        return upload(self, source, target, **keywords)

    monkeypatch.setattr(MemoryFileSystem, 'put_file', put_file)
    keeper = machines[0].keeper(address)
    keeper.begin()
    place = keeper.sides.place
    write_run(place)
    save(place, 10)
    assert sending.wait(10)
    for step in (20, 30):
        save(place, step)
    directories = StepDirectories(place / 'checkpoints')
    directories.keep(2)
    assert directories.steps() == [10, 20, 30]
    go_on.set()
    until(lambda: 'checkpoints/30' in index_of(address)['checkpoints'])
    directories.keep(2)
    assert directories.steps() == [20, 30]
    keeper.end(None)
    assert index_of(address)['checkpoints'].keys() == {
        'checkpoints/20',
        'checkpoints/30',
    }
