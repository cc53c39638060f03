"""What a run is about to train, in words: its parts, their sizes and their cost."""

import collections
from collections.abc import Mapping

import jax

from trainer import imbalance, parallel
from trainer.console import Console, table
from trainer.data import Dataset
from trainer.data.unread import unread
from trainer.footprint import MIB, peak_flops
from trainer.job import Job
from trainer.judgements import step_memory


def parameter_count(job: Job) -> int:
    """How many numbers are learnt."""
    return sum(leaf.size for leaf in job.abstract_state().params.values())


def parameter_table(job: Job) -> str:
    """Parts of the model with their parameters; the whole table goes to the log."""
    parts = collections.Counter()
    for path, leaf in job.abstract_state().params.items():
        parts['/'.join(path.split('/')[:2])] += leaf.size
    rows = [[part, f'{size:,}'] for part, size in parts.items()]
    return table([*rows, ['total', f'{parameter_count(job):,}']], ['part', 'params'])


def in_full(job: Job, config: Mapping[str, object]) -> str:
    """For the log: every value of the flat config, every parameter, shape and type."""
    from clu import parameter_overview

    values = [f'{key} = {value!r}' for key, value in config.items()]
    params = job.abstract_state().params
    parameters = parameter_overview.get_parameter_overview(params, include_stats=False)
    return '\n'.join(['config', *values, 'parameters', parameters])


def tell_data(job: Job, console: Console) -> None:
    """Says what the data of a run is, and what of it is not as it should be."""
    console.say(describe_data(job))
    for line in unread(job.datasets):
        console.warn(line)
    train = job.datasets['train']
    counted = {'label', 'labels'} & {*train.source.labels_known}  # without reading
    if counted and (uneven := imbalance.uneven(train, job.task)):
        console.warn(uneven)


def describe_data(job: Job) -> str:
    """One line for the data sets of a run."""
    train = job.datasets['train']
    sizes = ', '.join(f'{len(data):,} {role}' for role, data in job.datasets.items())
    shape = 'x'.join(map(str, train.image_shape))
    return (
        f'{train.source.name}: {sizes} examples of {shape}, {_learnt(train)}; '
        f'{job.steps_per_epoch:,} steps an epoch'
    )


def _learnt(data: Dataset) -> str:
    """How many classes, targets and so on there are."""
    names = {
        'classes': data.class_names,
        'classes of pixels': data.segmentation_names,
        'keypoints': data.keypoint_names,
        'targets' if len(data.target_names) > 1 else 'target': data.target_names,
    }
    return ', '.join(f'{len(names)} {what}' for what, names in names.items() if names)


def describe_cost(known: Mapping[str, object]) -> str:
    """The devices, and what a step takes of each, of `facts`: operations and memory."""
    flops, limit = known['flops_per_step'], parallel.device_memory()
    taken = [f'{flops / 1e9:,.1f} GFLOP'] if flops else []
    of = f' of {limit / MIB:,.0f}' if limit else ''
    taken.append(f'{known["step_bytes"] / MIB:,.0f}{of} MiB')
    return f'{describe_devices()}, a step takes {" and ".join(taken)} on each'


def step_flops(job: Job, compiled) -> float | None:
    """Floating-point operations of one compiled step on one device, as XLA counts.

    Where XLA does not count, which is what a GPU's libraries do and all turns of a loop
    but the first, those of its products and convolutions as traced.
    """
    counted = job.programs.flops.get(job.experiment.train_data.batch)
    if counted is not None:
        return counted / job.mesh.size
    flops = (compiled.cost_analysis() or {}).get('flops')
    return flops if flops and flops > 0 else None


def ideal_seconds(job: Job, compiled) -> float | None:
    """Of a compiled step, were its device at its peak; None where that is not known."""
    flops, peak = step_flops(job, compiled), peak_flops(jax.devices()[0].device_kind)
    return flops / peak if flops and peak else None


def facts(job: Job, train_step) -> dict[str, object]:
    """What a report says of a run's size, as JSON."""
    devices = jax.devices()
    return {
        'device': devices[0].device_kind,
        'devices': len(devices),
        'batch': job.experiment.train_data.batch,
        'steps_per_epoch': job.steps_per_epoch,
        'total_steps': job.total_steps,
        'parameters': parameter_count(job),
        'flops_per_step': step_flops(job, train_step),
        'step_bytes': step_memory(train_step),
        'examples': {role: len(data) for role, data in job.datasets.items()},
        'data': describe_data(job),
    }


def describe_devices() -> str:
    """Such as '8 x TPU v5 lite'."""
    kinds = collections.Counter(device.device_kind for device in jax.devices())
    return ', '.join(f'{count} x {kind}' for kind, count in kinds.items())
