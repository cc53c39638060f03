"""Which processes there are: told by flags, or found where jax finds a cluster."""

import pytest

from trainer import command_line
from trainer.cluster import MARKS, Cluster, cluster_of
from trainer.command_flags import FLAGS
from trainer.errors import UserError

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


@pytest.mark.parametrize(
    'command', ['search', 'bench', 'profile', 'lr_find', 'fast', 'overfit', 'predict']
)
def test_what_one_process_does_takes_no_others(command):
    words = command_line.parse(['main.py', command, '--process_id=1'])
    expected = f'^{command} is done by one process.* without --process_id; several '
    with pytest.raises(UserError, match=expected + 'processes do train and evaluate.$'):
        command_line.check(words[0], words[1:])


def test_slurm_is_found(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert found() == Cluster('node07', 61441, 2, 4, 300, (0,))
    assert found('--num_processes=1') is None
    monkeypatch.setenv('SLURM_NTASKS', '1')
    assert found() is None


def test_open_mpi_is_found(monkeypatch):
    for name, value in OPEN_MPI.items():
        monkeypatch.setenv(name, value)
    cluster = found()
    assert (cluster.host, cluster.index, cluster.count) == ('10.96.0.1', 1, 2)
    assert cluster.devices == (1,)


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
