"""The run that a path, a glob or what lies inside it means; nothing typed is lost."""

import os

import pytest

from tests.test_rundir import make_run
from trainer import which_run
from trainer.errors import UserError


def test_find_takes_the_newest_match(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    times = ('20260101_000000', '20260301_000000', '20260301_000000_2')
    runs = [make_run(tmp_path / 'runs' / f'unet_{t}') for t in times]
    make_run(tmp_path / 'runs' / 'vit_20270101_000000')
    os.utime(runs[0] / 'config.json')  # a resumed run does not become the newest
    assert which_run.find('runs/unet_*').resolve() == runs[2]
    assert which_run.find('runs/unet_20260101*').resolve() == runs[0]
    assert which_run.find(str(runs[1])) == runs[1]
    assert which_run.list_runs()[0].name == runs[0].name


def test_find_orders_unnamed_times_by_the_config(tmp_path):
    first, second = make_run(tmp_path / 'b'), make_run(tmp_path / 'a')
    os.utime(first / 'config.json', (1e9, 1e9))
    assert which_run.find(f'{tmp_path}/*') == second


@pytest.mark.parametrize(
    'inside',
    [
        'checkpoints/120',
        'checkpoints/*',
        'best_model',
        'best_model.pth',
        'metrics.jsonl',
    ],
)
def test_find_climbs_from_what_lies_in_a_run(tmp_path, inside):
    run = make_run(tmp_path / 'unet_20260101_000000')
    (run / 'checkpoints' / '120').mkdir(parents=True)
    (run / 'metrics.jsonl').write_text('')
    assert which_run.find(f'{tmp_path}/unet_*/{inside}') == run


def test_find_refuses_a_step_that_is_not_there(tmp_path):
    run = make_run(tmp_path / 'unet_20260101_000000')
    with pytest.raises(UserError, match='matches no run'):
        which_run.find(f'{run}/checkpoints/999')


def test_find_names_the_pattern_and_what_there_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"'runs/unet_\*' .* there are no runs in runs"):
        which_run.find('runs/unet_*')
    make_run(tmp_path / 'runs' / 'unet_20260101_000000')
    with pytest.raises(UserError, match=r"'runs/unte_\*' .*runs/unet_20260101_000000"):
        which_run.find('runs/unte_*')


def test_an_address_of_no_known_kind_is_refused():
    with pytest.raises(UserError, match='zz://bucket/run is no address that is known'):
        which_run.find('zz://bucket/run')


def test_a_run_goes_on_from_its_newest_checkpoint_or_says_why_not(tmp_path):
    run = make_run(tmp_path / 'unet_20260101_000000')
    for step in (10, 30):
        (run / 'checkpoints' / str(step)).mkdir(parents=True)
    for pattern in (run, f'{run}/best_model', f'{run}/checkpoints/30/'):
        which_run.check_newest(str(pattern), run)
    older = f'{run}/checkpoints/10'
    with pytest.raises(UserError) as error:
        which_run.check_newest(older, run)
    for said in ('of step 30', f'--resume={run}', f"Net.pretrained = '{older}'"):
        assert said in str(error.value)


def test_a_path_and_a_flag_that_name_two_checkpoints_are_refused(tmp_path):
    run = make_run(tmp_path / 'unet_20260101_000000')
    which_run.check_asked(f'{run}/checkpoints/10', run, '10')
    which_run.check_asked(str(run), run, 'best')
    with pytest.raises(UserError, match=f'--workdir={run} --checkpoint=10'):
        which_run.check_asked(f'{run}/checkpoints/10', run, 'best')


def test_an_epoch_in_a_name_is_no_run(tmp_path):
    """It would be dropped in silence: checkpoints are named by steps."""
    run = make_run(tmp_path / 'unet_20260101_000000')
    with pytest.raises(UserError, match='matches no run directory'):
        which_run.find(f'{run}/checkpoint_epoch_10')
