"""Which processes a run is made of: by flags, or by what started them. Imports no jax
where one process is all there is."""

import dataclasses
import importlib.util
import ipaddress
import os

from trainer.command_table import COMMANDS
from trainer.errors import UserError

# What is in the environment where jax knows a cluster: Slurm's srun, Open MPI's mpirun,
# GKE with TPUs, an indexed job of Kubernetes.
MARKS = (
    'SLURM_STEP_NODELIST',
    'OMPI_MCA_orte_hnp_uri',
    'TPU_WORKER_HOSTNAMES',
    'TPU_PROCESS_ADDRESSES',
    'JOB_COMPLETION_INDEX',
)
OF_NO_TPU = ('SLURM_STEP_NODELIST', 'OMPI_MCA_orte_hnp_uri')
LAST_PORT = 65535


@dataclasses.dataclass(frozen=True)
class Cluster:
    """One process among those of a run.

    Attributes:
      host, port: where jax's coordinator in process 0 listens.
      index, count: which process this is, of how many.
      seconds: how long processes wait for each other at the start.
      devices: ids of the local devices that this process may use; None is all.
    """

    host: str
    port: int
    index: int
    count: int
    seconds: float
    devices: tuple[int, ...] | None = None

    @property
    def line_port(self) -> int:
        """Where process 0 listens for the others: next to jax's own port."""
        return self.port + 1 if self.port < LAST_PORT else self.port - 1

    @property
    def interface(self) -> str:
        """What process 0 binds to: the address that was given; of a name, any.

        A machine's own name often means its loopback, where nobody else reaches it.
        """
        if self.host == 'localhost':
            return '127.0.0.1'
        try:
            return str(ipaddress.ip_address(self.host))
        except ValueError:
            return '::' if _has_ipv6() else '0.0.0.0'


def cluster_of(flags) -> Cluster | None:
    """The processes that flags or the environment speak of; None for one alone.

    Raises:
      UserError: the flags do not make sense together, or what is found cannot be read.
    """
    given = flags.coordinator, flags.process_id, flags.num_processes
    if flags.num_processes == 1 and not flags.process_id:
        return None
    if given == (None, None, None):
        return _detected(flags.join_seconds)
    if None in given and flags.num_processes != 1:
        raise UserError(
            'Several processes need all three of --coordinator=HOST:PORT, '
            '--process_id=I and --num_processes=N, the first and last alike for all.'
        )
    if flags.process_id >= flags.num_processes:
        raise UserError(
            f'--process_id={flags.process_id} of --num_processes='
            f'{flags.num_processes}: processes count from 0, so give at most '
            f'{flags.num_processes - 1}.'
        )
    host, port = _split(flags.coordinator)
    return Cluster(
        host, port, flags.process_id, flags.num_processes, flags.join_seconds
    )


def takes_part(command: str, flags) -> bool:
    """Whether this process has a part in a command, where it is one of several.

    Where they do not do it together, those that have none end at once, in silence.

    Raises:
      UserError: as `cluster_of`, or each would need devices that it has not alone.
    """
    who = COMMANDS[command]
    cluster = None if who.is_joint(flags) else cluster_of(flags)
    if cluster is None:
        return True
    if who.alone == 'machine':
        return cluster.devices is None or 0 in cluster.devices
    if who.alone == 'each':
        _take_own(command, cluster)
        return True
    if _on_slice():
        _use('jax_platforms', 'cpu')  # the TPU of a machine waits for all the others
    return cluster.index == 0


def _take_own(command: str, cluster: Cluster) -> None:
    """Leaves the devices of the machine's other processes to them."""
    if _on_slice():
        raise UserError(
            f'{command} has a process of its own on each machine, but one machine of a '
            f'TPU slice computes nothing alone; start it on a TPU of one machine.'
        )
    if cluster.devices is not None:
        own = ','.join(map(str, cluster.devices))
        _use('jax_cuda_visible_devices', own)
        _use('jax_rocm_visible_devices', own)


def _use(option: str, value: str) -> None:
    import jax

    jax.config.update(option, value)


def _on_slice() -> bool:
    return _has_tpu() and not any(mark in os.environ for mark in OF_NO_TPU)


def _has_tpu() -> bool:
    return importlib.util.find_spec('libtpu') is not None


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(':')
    if not host or not port.isdecimal() or not 0 < int(port) <= LAST_PORT:
        raise UserError(
            f'--coordinator takes HOST:PORT of process 0, such as 10.0.0.1:8476, not '
            f'{address!r}.'
        )
    return host.strip('[]'), int(port)


def _detected(seconds: float) -> Cluster | None:
    """What jax's own detection finds, without starting anything."""
    if not _has_tpu() and not any(mark in os.environ for mark in MARKS):
        return None
    # No public call says what `jax.distributed.initialize()` would detect, and it
    # ends the process where a peer is missing, naming none.
    from jax._src.clusters import ClusterEnv

    detect = ClusterEnv.auto_detect_unset_distributed_params
    try:
        address, count, index, devices = detect(*[None] * 5, round(seconds))
    except Exception as error:
        raise UserError(
            f'This looks like one process of several, but jax cannot read which '
            f'({type(error).__name__}: {error}); give --coordinator, --process_id and '
            f'--num_processes, or --num_processes=1 for a run of its own.'
        ) from error
    if address is None or count in (None, 1):
        return None
    host, port = _split(address)
    return Cluster(host, port, index, count, seconds, devices and tuple(devices))


def _has_ipv6() -> bool:
    return os.path.exists('/proc/net/if_inet6')
