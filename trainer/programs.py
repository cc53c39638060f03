"""The programs of a run, each compiled once, in threads, ahead of its use.

Tracing shares Python's lock with the rest of the start; XLA itself does not, and so
compiles one program while the next is traced and the state is made or read. Knows
recipes and the shapes of batches; nothing of files or of the loop.
"""

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

import jax
import numpy as np
from jax.sharding import Mesh

from trainer import parallel, resident, steps
from trainer.data import Dataset
from trainer.fingerprints import compile_fingerprints
from trainer.flops import flops
from trainer.recipe import Recipe
from trainer.state import TrainState
from trainer.update_norm import UpdateNorm, is_beside

TRAIN_STEP = 'train step'
UNCOUNTED = ('gpu',)  # where XLA counts little of what a compiled program does


class Programs:
    """What has been compiled, or is being compiled.

    Args:
      recipe: what the steps need to know.
      state: abstract.
      mesh: what they are compiled for.

    Attributes:
      traced: those that XLA does not have yet, by a key.
      futures: all of them, compiled.
      flops: of a train step on all devices, by the size of its batch, where a compiled
        step does not say.
    """

    def __init__(self, recipe: Recipe, state: TrainState, mesh: Mesh):
        self.recipe, self.state, self.mesh = recipe, state, mesh
        self._tracing = ThreadPoolExecutor(1, thread_name_prefix='trace')
        # One after the other: XLA uses all cores for one, and two take longer so.
        self._compiling = ThreadPoolExecutor(1, thread_name_prefix='compile')
        self.traced: dict[Hashable, Future] = {}
        self.futures: dict[Hashable, Future] = {}
        self.flops: dict[int, int] = {}
        trained = {name: state.params[name] for name in recipe.trained}
        self.trained, self.beside = trained, is_beside(trained)

    def begin(self, datasets: Mapping[str, Dataset], stride: int = 1) -> None:
        """Begins all that a run on these data sets is going to use, in that order.

        Args:
          datasets: by role; 'train' is trained on, the others are evaluated.
          stride: steps in one dispatch.
        """
        self.begin_train_step(datasets['train'])
        if stride > 1:
            self.begin_train_step(datasets['train'], stride)
        self.update_norm()
        for role in datasets.keys() - {'train'}:
            self.begin_eval_step(datasets[role])
        if 'fingerprints' not in self.futures:
            begun = self._compiling.submit(compile_fingerprints, self.state)
            self.futures['fingerprints'] = begun

    def update_norm(self) -> Future | None:
        """The `UpdateNorm` of what is trained; None where the train step has it."""
        if not self.beside:
            return None
        return self._begin('update norm', lambda: UpdateNorm(self.trained))

    def begin_train_step(
        self, dataset: Dataset, count: int = 1, size: int | None = None
    ) -> Future:
        """The train step on batches of this data set; the state is donated.

        Args:
          dataset: its batches' shapes are compiled for.
          count: steps in one dispatch; several only where the data is resident.
          size: of a batch; None is the data set's own.
        """
        size = size or dataset.images.batch
        batch = abstract_batch(dataset, self.mesh, count, size)
        places = jax.tree.map(lambda x: x.sharding, self.state)
        places = places, parallel.replicated(self.mesh)

        def lower():
            if count == 1:
                step = steps.make_train_step(self.recipe, measured=not self.beside)
            else:
                step = steps.make_train_steps(self.recipe)
            jitted = jax.jit(step, donate_argnums=0, out_shardings=places)
            traced = jitted.trace(self.state, batch)
            if count == 1 and self._is_uncounted:
                self.flops[size] = flops(traced.jaxpr)
            return traced.lower()

        return self._begin((TRAIN_STEP, count, size), lower)

    def wait_for_train_steps(self) -> None:
        """Waits until all that were begun are traced, or failed to be."""
        begun = [*self.traced.items()]
        wait([traced for key, traced in begun if key[0] == TRAIN_STEP])

    @property
    def _is_uncounted(self) -> bool:
        """Whether XLA's count of a train step leaves much out: libraries, and loops."""
        backend = jax.default_backend()
        looped = self.recipe.accumulate > 1 and backend in steps.LOOPING
        return looped or backend in UNCOUNTED

    def begin_eval_step(self, dataset: Dataset) -> Future:
        """The evaluation step for a data set: the same for all that are alike."""
        images, batch = dataset.images, abstract_batch(dataset, self.mesh)
        everywhere = parallel.replicated(self.mesh)

        def lower():
            prepare = steps.make_prepare(images)
            step = steps.make_eval_step(self.recipe, prepare)
            metrics = jax.eval_shape(self.recipe.task.metrics(train=False).empty)
            metrics = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
                metrics,
            )
            jitted = jax.jit(step, out_shardings=(everywhere, None))
            return jitted.lower(*self.state.weights, metrics, batch)

        return self._begin(f'{images.mean} {images.std} {batch}', lower)

    def _begin(self, key: Hashable, lower: Callable) -> Future:
        if key not in self.futures:
            self.traced[key] = self._tracing.submit(lower)
            self.futures[key] = self._compiling.submit(self._compiled, key)
        return self.futures[key]

    def _compiled(self, key: Hashable):
        """What XLA makes of a program once it is traced; its trace is let go."""
        wait([self.traced[key]])
        return self.traced.pop(key).result().compile()


def abstract_batch(
    dataset: Dataset, mesh: Mesh, count: int = 1, size: int | None = None
) -> dict:
    """Shapes and types of a global batch of this data set, cut over the mesh.

    Of data that lies on the devices: of all of it, and of `count` batches of rows.
    """
    size = size or dataset.images.batch
    if resident.is_resident(dataset):
        return resident.abstract(dataset, (count, size), mesh)
    sharding = parallel.over_data(mesh)
    example = {**dataset[0], 'mask': True, 'index': np.int32(0)}
    return {
        key: jax.ShapeDtypeStruct(
            (size, *np.shape(value)),
            jax.dtypes.canonicalize_dtype(np.asarray(value).dtype),
            sharding=sharding,
        )
        for key, value in example.items()
    }
