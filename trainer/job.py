"""One run, built from its Experiment: data, network, optimizer and compiled steps.

The only room that knows all the others by their contracts; it takes no step itself.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import jax
from clu.metrics import Collection
from jax.sharding import Mesh

from models.pretrained.loading import Pretrained
from trainer import augment, descent, feeding, layers, parallel, pretrained, steps
from trainer.data import Dataset
from trainer.experiment import Experiment
from trainer.network import make_network
from trainer.plateau import Plateau
from trainer.programs import Programs
from trainer.recipe import Recipe
from trainer.sharding import ruled, spread
from trainer.state import TrainState, abstract_state, init_state
from trainer.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a run works with; `open_job` makes it.

    Attributes:
      experiment: as the config says.
      datasets: the opened data by role: 'train', 'eval', 'test', and the names of
        `Experiment.evaluations`, as far as the config has them.
      recipe: what the steps need to know.
      mesh: all devices.
      total_steps: the length of the run.
    """

    experiment: Experiment
    datasets: dict[str, Dataset]
    recipe: Recipe
    mesh: Mesh
    total_steps: int

    @property
    def task(self) -> Task:
        """Prepared with the classes and weights of the training data."""
        return self.recipe.task

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training data; the remainder is dropped each epoch."""
        return self.datasets['train'].steps_per_epoch

    def evaluated_at(self, step: int) -> tuple[str, ...]:
        """The roles that are to be scored at a step; all are at the last."""
        often, last = self._evaluated_every.items(), self.total_steps
        return tuple(role for role, every in often if due(step, every, last))

    @functools.cached_property
    def _evaluated_every(self) -> dict[str, int]:
        """Steps between two evaluations of each role."""
        experiment = self.experiment
        often = {'eval': experiment.eval_every}
        for name, further in experiment.evaluations.items():
            often[name] = further.every or experiment.eval_every
        return {role: self.every(epochs) for role, epochs in often.items()}

    def every(self, epochs: float) -> int:
        """A number of epochs as a number of steps, at least one."""
        return max(1, round(epochs * self.steps_per_epoch))

    def init_state(self) -> TrainState:
        """The state before the first step, on the mesh."""
        given = self.pretrained.arrays if self.pretrained else None
        return init_state(self.recipe, self.abstract_state(), given)

    @functools.cached_property
    def pretrained(self) -> Pretrained | None:
        """The weights that the run begins with; None where they are drawn.

        Raises:
          UserError: they cannot be read, or do not fit.
        """
        return pretrained.load(self.recipe.network)

    def abstract_state(self) -> TrainState:
        """Its shapes, types and places, with nothing computed."""
        return self._abstract_state

    @functools.cached_property
    def _abstract_state(self) -> TrainState:
        return abstract_state(self.recipe, self.mesh, self.experiment.parallel)

    def fresh_metrics(self, train: bool):
        """The metrics of no example at all, on the mesh."""
        return spread(self.no_examples[train], self.mesh)

    @functools.cached_property
    def no_examples(self) -> dict[bool, Collection]:
        """Empty metrics on the host; to make them anew would wait for the device."""
        made = {train: self.task.metrics(train).empty for train in (True, False)}
        return jax.device_get(jax.jit(lambda: {k: v() for k, v in made.items()})())

    @functools.cached_property
    def programs(self) -> Programs:
        """What is compiled for this job."""
        return Programs(self.recipe, self.abstract_state(), self.mesh)

    def compile_ahead(self) -> None:
        """Begins to trace and to compile, in threads, what a whole run uses."""
        self.programs.begin(self.datasets, self.longest_stride)
        self.fresh_metrics(train=True)

    def wait_for_trace(self) -> None:
        """Waits until what trains is traced: XLA compiles it without Python's lock."""
        self.programs.wait_for_train_steps()

    def read_ahead(self) -> None:
        """Begins to read, in a thread, the training data that memory is to hold."""
        if (train := self.datasets['train']).holds:
            train.reading  # noqa: B018

    def compile_train_step(self):
        """The train step, compiled for this mesh ahead of its first use."""
        return self.programs.begin_train_step(self.datasets['train']).result()

    def compile_train_steps(self):
        """As many steps in one dispatch as `longest_stride` says, or None for one."""
        if self.longest_stride == 1:
            return None
        train = self.datasets['train']
        return self.programs.begin_train_step(train, self.longest_stride).result()

    @functools.cached_property
    def longest_stride(self) -> int:
        """How many steps one dispatch may take."""
        log_every = self.experiment.log_every
        return feeding.longest_stride(self.datasets['train'], log_every)

    def stride(self, step: int) -> int:
        """Steps to take at once from a step: nothing is due in the midst of them."""
        many, experiment = self.longest_stride, self.experiment
        if many == 1:
            return 1
        between = range(step + 1, step + many)
        save = self.every(experiment.save_every)
        busy = any(
            due(s, experiment.log_every, self.total_steps)
            or due(s, save, self.total_steps)
            or self.evaluated_at(s)
            for s in between
        )
        return 1 if busy or step + many > self.total_steps else many

    def train_batches(
        self, step: int = 0, skipped: Sequence[int] = ()
    ) -> Iterator[tuple[dict, int]]:
        """Global batches from a step on, with the number of steps that each is for."""
        train, position = self.datasets['train'], (self.experiment.seed, step)
        return feeding.train_batches(train, self.mesh, position, self.stride, skipped)

    def eval_step(self, split: str):
        """The evaluation step for one of the data sets, compiled once."""
        return self.programs.begin_eval_step(self.datasets[split]).result()


def open_job(experiment: Experiment, splits: Sequence[str] | None = None) -> Job:
    """Opens the data and builds what the config describes.

    Args:
      experiment: as `load` gives it.
      splits: which of its data sets are opened, None for all; 'train' always is, for
        its classes.

    Raises:
      UserError: data that cannot be opened, a batch that does not divide over the
        devices, a model or task that contradicts the data.
    """
    return make_job(experiment, feeding.open_datasets(experiment, splits))


def make_job(experiment: Experiment, datasets: dict[str, Dataset]) -> Job:
    """What the config describes, on data that is open, or only remembered.

    Raises:
      UserError: a model or task that contradicts the data.
    """
    train = datasets['train']
    total_steps = max(1, round(experiment.epochs * train.steps_per_epoch))
    schedule = experiment.schedule(
        total_steps=total_steps, steps_per_epoch=train.steps_per_epoch
    )
    recipe = make_recipe(experiment, train, schedule)
    ruled(recipe.network.parameter_shapes, experiment.parallel)
    return Job(
        experiment=experiment,
        datasets=datasets,
        recipe=recipe,
        mesh=parallel.make_mesh(experiment.parallel),
        total_steps=total_steps,
    )


def make_recipe(experiment: Experiment, train: Dataset, schedule) -> Recipe:
    """What the steps need to know, from the config and the training data."""
    task = experiment.task.prepare(train)
    network = make_network(
        experiment.model,
        input_shape=train.image_shape,
        num_outputs=task.num_outputs,
        freeze=descent.checked(experiment.freeze),
    )
    names = descent.trained(network.parameter_names, experiment.freeze)
    rates = layers.rates_of(experiment, network.parameter_names, names)
    optimizer = experiment.optimizer(schedule)
    images = experiment.train_data
    return Recipe(
        network=network,
        task=task.with_stride(network.stride),
        optimizer=descent.scaled(optimizer, rates),
        schedule=schedule,
        trained=names,
        prepare=steps.make_prepare(images, augment.prepared(images.augment, train)),
        seed=experiment.seed,
        accumulate=experiment.accumulate,
        average=experiment.average,
        scaled=isinstance(schedule, Plateau),
    )


def due(step: int, every: int, last: int) -> bool:
    """True at every `every`th step and at the last."""
    return step > 0 and (step % every == 0 or step == last)
