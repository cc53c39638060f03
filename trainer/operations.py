"""Where the time of a config's train step goes, operation by operation.

Trains a few steps on the config's own data under JAX's profiler, and keeps nothing but
the trace, where one is asked for.
"""

import collections
import contextlib
import dataclasses
import itertools
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator

import jax

from trainer import bench, feeding, files, processes, program_text, roll_call
from trainer.console import Console, table
from trainer.errors import TrainingFailed
from trainer.experiment import Experiment
from trainer.guard import guarded
from trainer.job import Job
from trainer.program_text import KINDS, Operation
from trainer.screen import tell
from trainer.state import TrainState
from trainer.stopwatch import Stopwatch

STEPS, COSTLIEST = 10, 10
WHOLE = 1000  # columns of the table: the names are there to be looked for


def profile(experiment: Experiment, *, stop, console: Console, out: str | None) -> dict:
    """Compiles the train step, traces some steps, and gives figures by name, as JSON.

    Args:
      experiment: as `load` gives it.
      stop: ends the trace after the step that is going on.
      console: says what it is busy with.
      out: a folder for the trace; None keeps none.

    Raises:
      UserError: `out` cannot be written, or as training itself would.
      TrainingFailed: the profiler saw no operation of the step.
    """
    # A program kept from before lines were moved would name the old lines.
    jax.config.update('jax_compilation_cache_include_metadata_in_key', True)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if out is not None and processes.is_main():
            folder = files.make_folder('out', out)
        with console.phases('data'):
            job = roll_call.opened(experiment, ())
        stack.enter_context(guarded(job, stop))
        with console.phases('compile'):
            step = job.compile_train_step()
        with console.phases('init'):
            state = jax.block_until_ready(job.init_state())
        processes.meet()
        with console.phases('steps'):
            steps, trace = traced(job, step, state, stop, pathlib.Path(folder))
        found = costs(list(events(trace)), step.as_text(), steps)
    if out is not None and processes.is_main():
        tell(f'a trace of {steps} steps: {trace}')
    return {'name': experiment.name, 'steps': steps, **found}


def traced(
    job: Job, step: Callable, state: TrainState, stop, folder: pathlib.Path
) -> tuple[int, pathlib.Path]:
    """Warms up, and traces; the steps in the trace, and its file."""
    data, seed = job.datasets['train'], job.experiment.seed
    batches = feeding.single_batches(data, job.mesh, seed)
    numbers = itertools.count(bench.WARM_STEPS + 1)

    def named(state, batch):
        with jax.profiler.StepTraceAnnotation('train', step_num=next(numbers)):
            return step(state, batch)

    def done(steps: int) -> bool:
        stopped = bool(stop)  # asked by all processes equally often
        return steps == STEPS or (steps > 0 and stopped)

    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # else each call of Python is traced and slower
    with contextlib.closing(batches), contextlib.closing(Stopwatch()) as clock:
        warm = bench.WARM_STEPS
        state, _ = bench.take(
            step, None, state, batches, clock, lambda steps: steps == warm
        )
        with jax.profiler.trace(str(folder), profiler_options=options):
            _, steps = bench.take(named, None, state, batches, clock, done)
    return steps, max(folder.rglob('*.xplane.pb'), key=lambda p: p.stat().st_mtime)


def events(trace: pathlib.Path) -> Iterator[tuple[str, str, float]]:
    """(program, operation, own nanoseconds) of each event; a loop's without its body's.

    From the devices where they have a timeline of their own, else from the host.
    """
    planes = list(jax.profiler.ProfileData.from_file(str(trace)).planes)
    devices = [p for p in planes if p.name.startswith('/device:')]
    own = [one for plane in devices for one in of_lines(plane.lines)]
    yield from own or (one for plane in planes for one in of_lines(plane.lines))


def of_lines(lines: Iterable) -> Iterator[tuple[str, str, float]]:
    """As `events`, of these timelines."""
    for line in lines:
        found = []
        for event in line.events:
            stats = dict(event.stats)
            if 'hlo_op' in stats and not event.name.startswith('end: '):
                key = stats.get('hlo_module', ''), stats['hlo_op']
                found.append((event.start_ns, event.duration_ns, key))
        yield from ((*key, own) for key, own in own_times(found))


def own_times(spans: Iterable[tuple]) -> Iterator[tuple[object, float]]:
    """(key, its duration without that of what it encloses) of each span.

    Args:
      spans: (start, duration, key) on one timeline, in any order.
    """
    open_spans = []
    for start, duration, key in sorted(spans, key=lambda s: (s[0], -s[1])):
        while open_spans and open_spans[-1][0] <= start:
            yield tuple(open_spans.pop()[1:])
        if open_spans:
            open_spans[-1][2] -= duration
        open_spans.append([start + duration, key, duration])
    yield from (tuple(span[1:]) for span in open_spans)


def costs(seen: list[tuple[str, str, float]], text: str, steps: int) -> dict:
    """Time by operation and by kind, of the program in this text alone.

    Raises:
      TrainingFailed: nothing of it was seen.
    """
    program, known = program_text.module_name(text), program_text.operations(text)
    spent, calls = collections.Counter(), collections.Counter()
    for module, name, nanoseconds in seen:
        if module in (program, ''):
            spent[name] += max(nanoseconds, 0)
            calls[name] += 1
    total = sum(spent.values())
    if not total:
        raise TrainingFailed(
            f'The profiler saw no operation of {program} on {jax.default_backend()}; '
            f'expected some in each step: see that jax is the version in '
            f'requirements.txt (python main.py doctor).'
        )
    rows = [
        {
            'operation': name,
            **dataclasses.asdict(known.get(name, Operation())),
            'share': time / total,
            'ms_per_step': time / steps / 1e6,
            'calls': calls[name],
        }
        for name, time in spent.most_common()
    ]
    shares = dict.fromkeys(KINDS, 0.0)
    for row in rows:
        shares[row['kind']] += row['share']
    return {
        'operations_ms_per_step': total / steps / 1e6,
        'shares': shares,
        'operations': len(rows),
        'costliest': rows[:COSTLIEST],
    }


def text(found: dict) -> str:
    """The figures as a table, and the shares below it."""
    header = ('share', 'ms a step', 'calls', 'kind', 'operation', 'from')
    rows = [
        (
            f'{row["share"]:.1%}',
            f'{row["ms_per_step"]:.3f}',
            row['calls'],
            row['kind'],
            row['operation'],
            f'{row["path"]} {row["source"]}'.strip() or 'not known',
        )
        for row in found['costliest']
    ]
    shares = ', '.join(f'{kind} {part:.1%}' for kind, part in found['shares'].items())
    return (
        f'{found["name"]}: {found["operations_ms_per_step"]:,.2f} ms a step in '
        f'{found["operations"]} operations, summed over threads and devices, '
        f'of {found["steps"]} steps\n{table(rows, header, width=WHOLE)}\n{shares}'
    )
