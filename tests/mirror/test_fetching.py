"""A run with an address: what is published is fetched again, by whom and what of it."""

import fsspec
import pytest

from tests.mirror.machines import (
    collect,
    content,
    index_of,
    objects,
    save,
    steps,
    write,
    write_run,
)
from trainer import mirror, rundir, which_run
from trainer.errors import UserError
from trainer.mirror.index import INDEX, OWNER


def test_a_new_disk_goes_on_from_what_was_published(address, machines):
    one, two = machines
    there = one.run(address, 10, 20)
    keeper = two.keeper(address)
    keeper.begin()
    here = keeper.sides.place
    assert content(here) == content(there) and steps(here) == [10, 20]
    keeper.end(None)
    assert objects(address) == {*content(there), INDEX, OWNER}


def named(address):
    """The steps whose checkpoints the bucket names."""
    names = index_of(address)['checkpoints']
    return sorted(int(name.rpartition('/')[2]) for name in names)


def test_what_is_older_than_the_newest_few_stays_until_the_next_save(address, machines):
    one, two = machines
    one.run(address, 10, 20, 30, 40, 50, best=20)
    place = two.run(address)  # which is killed before it saves
    assert steps(place) == [20, 40, 50] and named(address) == [10, 20, 30, 40, 50]
    two.run(address, 60, best=20)
    assert steps(place) == named(address) == [20, 40, 50, 60]
    collect(place, 40)
    assert steps(two.run(address)) == named(address) == [20, 50, 60]
    assert not [name for name in objects(address) if name.startswith('checkpoints/40')]


def test_damage_here_is_no_new_save(address, machines):
    one, two = machines
    one.run(address, 10, 20, 30, 40, 50, best=20)
    place = two.run(address)
    (place / 'checkpoints' / '50' / 'd' / 'data50').write_bytes(b'torn')
    two.run(address)
    assert named(address) == [10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ('kept', 'left'), [([30], [30, 40, 50, 60]), (None, [10, 20, 30, 40, 50, 60])]
)
def test_what_is_kept_for_ever_stays_in_the_bucket_alone(address, machines, kept, left):
    one, two = machines
    one.run(address, 10, 20, 30, 40, 50)
    place = two.run(address, 60, kept=kept)
    assert steps(place) == [40, 50, 60] and named(address) == left
    two.fetched(address, 'all')
    assert steps(place) == left


def test_without_news_nothing_is_named_anew(address, machines):
    one, two = machines
    one.run(address, 10, finished=True)
    before = index_of(address)
    for machine in (one, two, one):
        keeper = machine.keeper(address)
        keeper.begin()
        keeper.end(None)
    assert index_of(address) == before


def test_what_was_not_published_before_the_end_wins(address, machines):
    one = machines[0]
    place = one.run(address, 10)
    save(place, 20)  # and the process was killed
    assert steps(one.run(address)) == [10, 20]
    assert 'checkpoints/20' in index_of(address)['checkpoints']


def test_a_directory_that_was_left_behind_follows_the_bucket(address, machines):
    one, two = machines
    old = one.run(address, 10, 20, finished=True)
    place = two.run(address, 30)
    collect(place, 10)
    (place / rundir.RESULTS).unlink()
    two.run(address)
    with (old / rundir.LOG).open('a') as log:
        log.write('a word that was never published\n')
    assert content(one.run(address)) | {'log.txt': b''} == content(place) | {
        'log.txt': b''
    }


def test_two_that_went_different_ways_are_both_named(address, machines):
    one, two = machines
    old = one.run(address, 10)
    two.run(address, 30)
    save(old, 20)
    before = content(old), index_of(address)
    for ask in (one.keeper(address).begin, lambda: one.fetched(address)):
        with pytest.raises(UserError) as error:
            ask()
        assert '\n' not in str(error.value)
        for said in (f'{old} has checkpoints/20', address, 'checkpoints/30', 'delete'):
            assert said in str(error.value)
    assert (content(old), index_of(address)) == before
    assert two.run(address, 40)  # and the address is free


def test_a_fetch_that_was_cut_short_is_ended_by_the_next(
    address, machines, monkeypatch
):
    one, two = machines
    place = one.run(address, 10, 20)

    def cut(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr('trainer.mirror.record.Record.write', cut)
        with pytest.raises(KeyboardInterrupt):
            two.fetched(address, 'last')
    assert steps(two.place(address)) == [20]
    assert content(two.fetched(address, 'all')) == content(place)


def test_a_checkpoint_that_the_index_does_not_name_is_not_there(address, machines):
    one, two = machines
    one.run(address, 10)
    write(address, 'checkpoints/20/d/data20', b'half of it')
    place = two.run(address)
    assert steps(place) == [10]
    assert not [name for name in objects(address) if 'checkpoints/20' in name]


@pytest.mark.parametrize('damage', ['missing', 'altered'])
def test_of_a_stale_index_the_one_before_is_used(address, machines, damage, capsys):
    one, two = machines
    one.run(address, 10, 20)
    if damage == 'missing':
        fsspec.filesystem('memory').rm(f'{address}/checkpoints/20/d/data20')
    else:
        write(address, 'checkpoints/20/d/data20', b'weightz' * 20)
    assert steps(two.run(address)) == [10]
    said = capsys.readouterr().err
    assert 'checkpoints/20 is not what was published (d/data20' in said
    assert index_of(address)['checkpoints'].keys() == {'checkpoints/10'}


def test_where_none_is_whole_nothing_is_begun_anew(address, machines):
    one, two = machines
    one.run(address, 10)
    fsspec.filesystem('memory').rm(f'{address}/checkpoints/10/d/data10')
    with pytest.raises(UserError, match=r'No checkpoint of .* is whole.*from a copy'):
        two.keeper(address).begin()


def test_a_step_that_is_trained_again_replaces_the_other(address, machines):
    one, two = machines
    one.run(address, 10, 20)
    place = two.run(address)
    collect(place, 20)
    save(place, 20, content=b'other weights')
    two.run(address)
    one.fetched(address, 'last')
    assert content(one.place(address)) == content(place)


@pytest.mark.parametrize(
    ('which', 'found'),
    [
        (None, []),
        ('last', [40]),
        ('best', [20, 40]),
        ('30', [30]),
        ('all', [10, 20, 30, 40]),
    ],
)
def test_a_reader_fetches_what_it_needs(address, machines, which, found):
    one, two = machines
    one.run(address, 10, 20, 30, 40, best=20)
    place = two.fetched(address, which)
    assert steps(place) == found and rundir.is_run(place)
    assert which_run.find(address, which) == place
    before = index_of(address)
    (place / 'evaluation_test.json').write_text('{}')
    mirror.give_back(place)
    assert 'evaluation_test.json' in objects(address)
    assert index_of(address)['checkpoints'] == before['checkpoints']


def test_a_checkpoint_that_is_not_there(address, machines):
    one, two = machines
    one.run(address, 10, 20)
    with pytest.raises(UserError, match=r"no checkpoint '15' at .*; choose .* 10, 20"):
        two.fetched(address, '15')


def test_where_nothing_was_published_there_is_nothing_to_read(address, machines):
    with pytest.raises(UserError, match=rf'^{address} holds no run; train one there'):
        machines[0].fetched(address)
    assert not objects(address) and not machines[0].place(address).exists()


def test_a_start_that_fails_leaves_nothing_on_either_side(address, machines):
    keeper = machines[0].keeper(address)
    keeper.begin()
    keeper.end(UserError('a mistake'))
    assert not objects(address) and not keeper.sides.place.exists()


def test_what_is_not_ours_is_left_alone(address, machines):
    write(address, 'thesis.tex', b'mine')
    with pytest.raises(UserError, match=r'holds thesis\.tex and no run that was pub'):
        machines[0].keeper(address).begin()
    assert objects(address) == {'thesis.tex'}


def test_seeds_are_published_below_their_run(address, machines):
    one, two = machines
    keeper = one.keeper(address)
    keeper.begin()
    for place in (keeper.sides.place, keeper.sides.place / 'seed_1'):
        place.mkdir(exist_ok=True)
        write_run(place)
    save(place, 10)
    keeper.end(None)
    assert (
        content(two.run(address))['seed_1/checkpoints/10/d/data10'] == b'weights' * 10
    )
