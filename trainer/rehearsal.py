"""A run's whole life in seconds: data, step, evaluation, save, restore, predict.

Finds what no reading of the config can find, says it in one line each with what to do,
and foretells time, memory and disk. Trains a few steps and keeps nothing.
"""

import dataclasses
import math
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from trainer import feeding, files, overview, parallel, pretrained, resume, rundir
from trainer.checkpoints import CheckpointStore
from trainer.errors import Ending
from trainer.evaluate import evaluate
from trainer.experiment import Experiment, describe
from trainer.fingerprints import fingerprints
from trainer.job import Job, open_job
from trainer.judgements import (
    judge_classes,
    judge_disk,
    judge_images,
    judge_memory,
    judge_motion,
    judge_overlap,
    judge_rate,
    judge_steps,
    some,
    step_memory,
)
from trainer.lock import check_writable
from trainer.probing import make_outputs, some_images, without_effect
from trainer.remedies import advised, remedies
from trainer.screen import format_seconds
from trainer.trials import Excerpt
from trainer.verdicts import make_plateau, make_tracker
from trainer.watchdog import enter

STEPS = 4
BATCHES = 2  # of each data set
LOOKED_AT = 20  # parameters that have not moved
NEEDED = ('directory', 'data', 'compile', 'steps')  # nothing goes on without these


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a rehearsal has to say: 'ok', 'warning' or 'mistake', where, and what."""

    status: str
    part: str
    message: str


@dataclasses.dataclass
class Rehearsal:
    """The findings so far, and what they foretell.

    Attributes:
      experiment: what is rehearsed.
      directory: where the run would lie; its disk is what is looked at.
      findings: in order.
      figures: seconds, bytes and counts by name.
      job: once it is open.
    """

    experiment: Experiment
    directory: pathlib.Path
    findings: list[Finding] = dataclasses.field(default_factory=list)
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    job: Job | None = dataclasses.field(default=None, init=False)

    @property
    def good(self) -> bool:
        """True while nothing is a mistake."""
        return not any(finding.status == 'mistake' for finding in self.findings)

    @property
    def place(self) -> pathlib.Path:
        """The directory of the run, or what there is already of its parents."""
        return files.existing(self.directory)

    def part(self, name: str, function: Callable[[], Iterator[Finding] | None]) -> bool:
        """Does one part of the run's life; false if the run could not go on."""
        began, before = time.perf_counter(), len(self.findings)
        enter(name)
        try:
            with advised(self.job):
                for status, message in function() or ():
                    self.findings.append(Finding(status, name, message))
        except Ending as ending:
            if str(ending) not in [finding.message for finding in self.findings]:
                self.findings.append(Finding('mistake', name, str(ending)))
            return False
        self.figures[f'{name}/seconds'] = time.perf_counter() - began
        found = self.findings[before:]
        if not found:
            seconds = self.figures[f'{name}/seconds']
            self.findings.append(Finding('ok', name, f'{seconds:.1f} s'))
        return not any(finding.status == 'mistake' for finding in found)

    def go(self) -> 'Rehearsal':
        """Lives through the parts, as far as they let the run go on."""
        parts = {
            'directory': self.look_at_directory,
            'data': self.open,
            'examples': self.look_at_examples,
            'compile': self.compile,
            'steps': self.take_steps,
            'evaluation': self.evaluate,
            'save and restore': self.save_and_restore,
            'predict': self.predict,
            'foretold': self.foretell,
        }
        for name, function in parts.items():
            if not self.part(name, function) and name in NEEDED:
                break
        return self

    def kept_checkpoints(self) -> int:
        """How many there may be at once: with the best, and one in the making."""
        kept, epochs = self.experiment.checkpoints, self.experiment.epochs
        return kept.keep + 2 + (int(epochs // kept.every) if kept.every else 0)

    def text(self) -> str:
        """The findings, one a line, and what they foretell."""
        rows = [f'{f.status:<8} {f.part}: {f.message}' for f in self.findings]
        figures = self.figures
        if 'run/seconds' in figures:
            rows.append(
                f'foretold: {format_seconds(figures["run/seconds"])} of steps, '
                f'{figures.get("memory/bytes", 0) / 2**20:,.0f} MiB of memory, '
                f'{figures["run/bytes"] / 2**20:,.0f} MiB of checkpoints '
                f'({figures["checkpoint/bytes"] / 2**20:,.1f} each)'
            )
        return '\n'.join(rows)

    def as_json(self) -> dict:
        """The same, as JSON."""
        findings = [dataclasses.asdict(finding) for finding in self.findings]
        return {'good': self.good, 'findings': findings, 'figures': self.figures}

    def look_at_directory(self):
        """Whether a run could lie there and write."""
        rundir.check_workdir(self.directory)
        check_writable(self.place)

    def open(self):
        """Opens data and builds what the config describes."""
        experiment = pretrained.expecting(self.experiment, self.directory)
        if rundir.is_run(self.directory):
            resume.check_config(rundir.config(self.directory), describe(experiment))
        self.job = open_job(experiment)
        make_tracker(self.job), make_plateau(self.job)

    def look_at_examples(self):
        """The labels of all examples, and the pixels of some."""
        for role, dataset in self.job.datasets.items():
            yield from judge_classes(role, dataset, self.job.task)
            yield from judge_images(role, dataset, some(dataset, BATCHES))
        yield from judge_overlap(self.job.datasets)

    def compile(self):
        """Compiles the train step and looks at learning rate and memory."""
        rates = jax.vmap(self.job.recipe.schedule)(np.arange(self.job.total_steps))
        yield from judge_rate(np.asarray(rates))
        self.step = self.job.compile_train_step()
        self.figures['parameters'] = overview.parameter_count(self.job)
        self.figures['memory/bytes'] = step_memory(self.step)
        needed, limit = self.figures['memory/bytes'], parallel.device_memory()
        yield from judge_memory(needed, limit, remedies(self.job))

    def take_steps(self):
        """Trains a few steps, and sees that they change what they should."""
        job = self.job
        self.state = job.init_state()
        before = jax.device_get(self.state.params)
        data, seed = job.datasets['train'], job.experiment.seed
        batches = feeding.single_batches(data, job.mesh, seed)
        losses, norms = [], []
        for _ in range(STEPS):
            began = time.perf_counter()
            batch, _ = next(batches)
            self.state, watch = self.step(self.state, batch)
            losses.append(float(watch['loss']))
            norms.append(float(watch['grad_norm']))
            self.figures['step/seconds'] = time.perf_counter() - began
        batches.close()
        yield from judge_steps(job, losses, norms)
        if all(map(math.isfinite, losses)):
            still = [n for n in job.recipe.trained if not self.moved(n, before)]
            few = still[:LOOKED_AT]
            none_moved = still == [*job.recipe.trained]
            deaf = [] if none_moved else without_effect(job, self.state, few)
            yield from judge_motion(job, still, deaf)

    def moved(self, name: str, before: dict) -> bool:
        """Whether a parameter is no longer what it was."""
        return bool(np.any(np.asarray(self.state.params[name]) != before[name]))

    def evaluate(self):
        """Scores the first batches of each data set that a run scores."""
        datasets = self.job.datasets
        for role in (role for role in datasets if role != 'train'):
            part = datasets | {role: Excerpt(datasets[role], BATCHES)}
            job = dataclasses.replace(self.job, datasets=part)
            began = time.perf_counter()
            scores = evaluate(job, role, *self.state.weights)
            self.figures[f'{role}/seconds'] = time.perf_counter() - began
            broken = [k for k, v in scores.items() if v is not None and math.isnan(v)]
            if broken:
                yield 'mistake', f'{", ".join(broken)} is NaN on untrained weights'

    def save_and_restore(self):
        """Saves a checkpoint, restores it and compares every bit."""
        with tempfile.TemporaryDirectory(
            dir=self.place, prefix='.rehearsal'
        ) as directory:
            store = CheckpointStore(directory)
            store.save(STEPS, self.state, {})
            store.wait()
            found = pathlib.Path(directory).rglob('*')
            size = sum(path.stat().st_size for path in found if path.is_file())
            self.figures['checkpoint/bytes'] = size
            restored, _ = store.load(STEPS, self.job.abstract_state())
        if fingerprints(restored) != fingerprints(self.state):
            yield 'mistake', 'a restored checkpoint is not what was saved'

    def predict(self):
        """Decodes the outputs of one batch."""
        predict = make_outputs(self.job, decode=True)
        images = some_images(self.job)
        for name, value in predict(self.state.weights, images).items():
            if not np.isfinite(np.asarray(value, np.float64)).all():
                yield 'mistake', f'predicted {name} are not finite'

    def foretell(self):
        """Time to the end, and room on the disk; of all seeds."""
        figures, runs = self.figures, max(1, len(self.experiment.seeds))
        steps = runs * self.job.total_steps
        figures['run/seconds'] = steps * figures['step/seconds']
        kept = runs * self.kept_checkpoints()
        needed = figures['run/bytes'] = kept * figures['checkpoint/bytes']
        yield from judge_disk(kept, needed, shutil.disk_usage(self.place).free)
