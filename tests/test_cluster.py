"""Which processes there are: told by flags, or found where jax finds a cluster."""

import pathlib
import re

import pytest

import main
from trainer import cluster, command_line
from trainer.cluster import MARKS, Cluster, cluster_of, takes_part
from trainer.command_flags import FLAGS
from trainer.command_table import COMMANDS, PROCESSES
from trainer.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOGETHER = {'train', 'evaluate', 'fast', 'bench', 'profile', 'lr_find', 'overfit'}
ALONE = [name for name, command in COMMANDS.items() if command.together != 'always']
SLURM = {
    'SLURM_JOB_ID': '4097',
    'SLURM_STEP_NODELIST': 'node[07-10]',
    'SLURM_NTASKS': '4',
    'SLURM_PROCID': '2',
    'SLURM_LOCALID': '0',
}
OPEN_MPI = {
    'OMPI_MCA_orte_hnp_uri': '1531576320.0;tcp://10.96.0.1,10.148.0.1:34911',
    'OMPI_COMM_WORLD_SIZE': '2',
    'OMPI_COMM_WORLD_RANK': '1',
    'OMPI_COMM_WORLD_LOCAL_RANK': '1',
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No cluster around the tests themselves."""
    for mark in MARKS:
        monkeypatch.delenv(mark, raising=False)


def slurm(monkeypatch, **changed):
    for name, value in {**SLURM, **changed}.items():
        monkeypatch.setenv(name, str(value))


def found(*flags):
    command_line.parse(['main.py', *flags])
    return cluster_of(FLAGS)


def test_one_process_is_no_cluster():
    assert found() is None
    assert found('--num_processes=1') is None


def test_flags_say_which_of_how_many():
    three = ['--coordinator=[::1]:99', '--process_id=1', '--num_processes=3']
    assert found(*three, '--join_seconds=4') == Cluster('::1', 99, 1, 3, 4)


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--process_id=1'], 'all three of --coordinator=HOST:PORT'),
        (['--num_processes=2'], 'all three of --coordinator=HOST:PORT'),
        (['--coordinator=a:1', '--process_id=2', '--num_processes=2'], 'at most 1'),
        (['--process_id=3', '--num_processes=1'], 'at most 0'),
        (['--coordinator=a', '--process_id=1', '--num_processes=2'], "not 'a'"),
        (['--coordinator=a:0', '--process_id=1', '--num_processes=2'], 'HOST:PORT'),
        (['--coordinator=:80', '--process_id=1', '--num_processes=2'], 'HOST:PORT'),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        found(*flags)


@pytest.mark.parametrize('command', ALONE)
def test_what_one_process_does_takes_no_others(command):
    words = command_line.parse(['main.py', command, '--process_id=1'])
    expected = f'^{command} is done by one process.* without --process_id; several '
    expected += 'processes do train, check --memory, evaluate, fast, bench, profile, '
    with pytest.raises(UserError, match=expected + 'lr_find and overfit.$'):
        command_line.check(words[0], words[1:])


@pytest.mark.parametrize('command', COMMANDS)
def test_any_command_may_be_a_process_of_its_own(command, monkeypatch):
    slurm(monkeypatch)
    words = command_line.parse(['main.py', command, '--num_processes=1'])
    command_line.check(words[0], words[1:])
    assert takes_part(command, FLAGS)


@pytest.mark.parametrize('command', COMMANDS)
@pytest.mark.parametrize(('process', 'local'), [(0, 0), (1, 1), (2, 0)])
def test_who_has_a_part_in_a_command_on_slurm(command, process, local, monkeypatch):
    slurm(monkeypatch, SLURM_PROCID=process, SLURM_LOCALID=local)
    used = {}
    monkeypatch.setattr(cluster, '_use', used.__setitem__)
    command_line.parse(['main.py'])
    first, machine = process == 0, local == 0
    expected = {'search': True, 'doctor': machine} | dict.fromkeys(TOGETHER, True)
    assert takes_part(command, FLAGS) == expected.get(command, first)
    assert used.get('jax_cuda_visible_devices') == (
        str(local) if command == 'search' else None
    )


@pytest.mark.parametrize('command', sorted({*ALONE} - {'search', 'doctor'}))
def test_who_has_no_part_ends_at_once_and_says_nothing(command, monkeypatch, capfd):
    slurm(monkeypatch)
    assert main.main(['main.py', command]) == 0
    assert capfd.readouterr() == ('', '')


def test_a_machine_of_a_slice_computes_alone_on_its_cpu(monkeypatch):
    used = {}
    monkeypatch.setattr(cluster, '_use', used.__setitem__)
    monkeypatch.setattr(cluster, '_has_tpu', lambda: True)
    monkeypatch.setattr(cluster, 'cluster_of', lambda _: Cluster('a', 1, 0, 4, 300))
    assert takes_part('predict', FLAGS)
    assert used == {'jax_platforms': 'cpu'}
    with pytest.raises(UserError, match=r'^search .* of a TPU slice computes nothing'):
        takes_part('search', FLAGS)


def test_memory_is_told_of_the_devices_of_all_processes(monkeypatch):
    slurm(monkeypatch)
    words = command_line.parse(['main.py', 'check', '--memory', '--process_id=1'])
    command_line.check(words[0], words[1:])
    assert COMMANDS['check'].is_joint(FLAGS) and takes_part('check', FLAGS)


def test_the_flags_of_several_are_those_of_what_they_do_together():
    for command in COMMANDS.values():
        several = command.together != 'never'
        assert {*PROCESSES} & {*command.flags} == ({*PROCESSES} if several else set())


def test_the_page_says_of_every_command_who_does_it():
    table = (ROOT / 'docs/tpu.md').read_text().split('## Every command')[1]
    rows = re.findall(r'^\| (`.*?) \|', table, re.MULTILINE)
    told = [set(re.findall(r'`(\w+)`', row)) for row in rows]
    rest = {*ALONE} - {'search', 'doctor'}
    assert told == [TOGETHER, {'search'}, {'doctor'}, rest]


def test_slurm_is_found(monkeypatch):
    slurm(monkeypatch)
    assert found() == Cluster('node07', 61441, 2, 4, 300, (0,))
    assert found('--num_processes=1') is None
    monkeypatch.setenv('SLURM_NTASKS', '1')
    assert found() is None


def test_open_mpi_is_found(monkeypatch):
    for name, value in OPEN_MPI.items():
        monkeypatch.setenv(name, value)
    one = found()
    assert (one.host, one.index, one.count, one.devices) == ('10.96.0.1', 1, 2, (1,))


def test_what_is_half_there_is_said(monkeypatch):
    monkeypatch.setenv('OMPI_MCA_orte_hnp_uri', 'nonsense')
    with pytest.raises(UserError, match=r'jax cannot read which .* --num_processes=1'):
        found()


@pytest.mark.parametrize(
    ('host', 'interface'),
    [('localhost', '127.0.0.1'), ('10.0.0.1', '10.0.0.1'), ('::1', '::1')],
)
def test_process_0_listens_where_it_is_told(host, interface):
    assert Cluster(host, 99, 0, 2, 1).interface == interface


def test_a_name_may_mean_any_interface():
    assert Cluster('node07', 99, 0, 2, 1).interface in ('::', '0.0.0.0')


def test_the_line_is_next_to_the_coordinator():
    assert Cluster('a', 65535, 0, 2, 1).line_port == 65534
    assert Cluster('a', 8476, 0, 2, 1).line_port == 8477
