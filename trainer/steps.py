"""The train step and the evaluation step: pure functions, jitted once, and no more.

They know a network, a task and an optimizer by their contracts; never one by name.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

from trainer.gradients import global_norm
from trainer.mixing import make_key
from trainer.network import Arrays, Network
from trainer.recipe import Recipe
from trainer.resident import gather
from trainer.state import TrainState

LOOPING = ('gpu', 'tpu')  # where parts go one after the other for the memory of one
Batch = dict[str, jax.Array]


def make_train_step(
    recipe: Recipe, measured: bool = False
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """`step(state, batch) -> (state, watch)`, to be jitted with the state donated.

    All randomness is folded from (seed, step). `watch` holds scalars that stay readable
    when the state has been donated to the next step: `loss`, `grad_norm`, `bad_step`,
    `learning_rate`; where updates are measured, `update_norm`.
    """

    def step(state: TrainState, batch: Batch):
        key = jax.random.fold_in(make_key(recipe.seed), state.step)
        augment_key, model_key = jax.random.split(key)
        batch = recipe.prepare(gather(batch), augment_key)
        loss, grads, model_state, new = _gradients(recipe, state, batch, model_key)
        grad_norm = global_norm(grads)
        finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
        bad_step = jnp.where((state.bad_step < 0) & ~finite, state.step, state.bad_step)
        watch = {'loss': loss, 'grad_norm': grad_norm, 'bad_step': bad_step}
        watch['learning_rate'] = _learning_rate(recipe, state)
        moved = _descend(recipe, state, grads, model_state)
        if measured:
            watch['update_norm'] = _update_norm(recipe, state.params, moved.params)
        state = dataclasses.replace(
            moved,
            step=state.step + 1,
            interval=state.interval.merge(new),
            epoch=state.epoch.merge(new),
            bad_step=bad_step,
        )
        return state, watch

    return step


def make_train_steps(recipe: Recipe) -> Callable:
    """`steps(state, batch) -> (state, watch)`: as many steps as `rows` [K, B] says.

    The batch is as `resident.gather` takes it; `watch` is that of the last step. For
    GPU and TPU, which would wait for the host between short steps; inside a loop XLA's
    CPU convolutions are naive.
    """
    step = make_train_step(recipe, measured=True)

    def steps(state: TrainState, batch: dict):
        def one(state, rows):
            return step(state, {'rows': rows, 'held': batch['held']})

        state, watches = jax.lax.scan(one, state, batch['rows'])
        return state, jax.tree.map(lambda value: value[-1], watches)

    return steps


def _gradients(recipe: Recipe, state: TrainState, batch: Batch, key: jax.Array):
    """Loss, gradients, statistics and metrics of a batch, part by part.

    In a loop, which alone keeps XLA from holding what all parts need at once; but not
    on a CPU, whose convolutions are naive inside a loop: there they are written out.
    """
    count = jnp.maximum(jnp.sum(batch['mask']), 1)
    trained = {name: state.params[name] for name in recipe.trained}
    grad_fn = jax.value_and_grad(_part_loss, has_aux=True)

    def add(sums, part_and_key):
        loss, grads, model_state, metrics = sums
        (part_loss, (model_state, new)), part_grads = grad_fn(
            trained, recipe, state.params, model_state, *part_and_key, count
        )
        grads = part_grads if grads is None else optax.tree.add(grads, part_grads)
        return (loss + part_loss, grads, model_state, metrics.merge(new)), None

    parts, folded = recipe.accumulate, functools.partial(jax.random.fold_in, key)
    keys = [key, *map(folded, range(1, parts))]
    sums = 0.0, None, state.model_state, recipe.train_metrics.empty()
    if parts > 1 and jax.default_backend() in LOOPING:
        nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, trained)
        stacked = {name: _in_parts(value, parts) for name, value in batch.items()}
        rows = stacked, jnp.stack(keys)
        return jax.lax.scan(add, (*nothing, *sums[2:]), rows)[0]
    for part, part_key in zip(_parts(batch, parts), keys, strict=True):
        sums, _ = add(sums, (part, part_key))
    return sums


def _part_loss(trained, recipe, params, model_state, batch, key, count):
    """A part's share of the loss of the batch, of which `count` examples are valid."""
    apply = TrainingModel(recipe.network, {**params, **trained}, model_state, key)
    outputs = recipe.task.train_outputs(apply, batch)
    losses = recipe.task.loss(outputs, batch)
    loss = jnp.sum(jnp.where(batch['mask'], losses, 0)) / count
    new = recipe.train_metrics.single_from_model_output(
        outputs=outputs, losses=losses, **batch
    )
    return loss, (apply.model_state, new)


def _parts(batch: Batch, count: int) -> list[Batch]:
    """The batch in `count` parts, each spread over the devices as the batch is."""
    if count == 1:
        return [batch]
    split = {name: _in_parts(value, count) for name, value in batch.items()}
    return [{k: v[index] for k, v in split.items()} for index in range(count)]


def _in_parts(value: jax.Array, count: int) -> jax.Array:
    """[B, ...] -> [count, B / count, ...], every `count`th row in a part."""
    rows = value.reshape(len(value) // count, count, *value.shape[1:])
    return jnp.moveaxis(rows, 1, 0)


def _learning_rate(recipe: Recipe, state: TrainState) -> jax.Array:
    """Of the next step, as what evaluations say has scaled it; float32 []."""
    rate = jnp.asarray(recipe.schedule(state.step), jnp.float32)
    return rate * state.rate_scale if recipe.scaled else rate


def _update_norm(recipe: Recipe, before: Arrays, after: Arrays) -> jax.Array:
    """The length of the change; the optimizer's update is rounded when it is added."""
    return global_norm([after[name] - before[name] for name in recipe.trained])


def _descend(recipe: Recipe, state: TrainState, grads, model_state) -> TrainState:
    """The state after the optimizer's update of what is not frozen."""
    trained = {name: state.params[name] for name in recipe.trained}
    updates, opt_state = recipe.optimizer.update(grads, state.opt_state, trained)
    if recipe.scaled:
        updates = optax.tree.scale(state.rate_scale, updates)
    params = {**state.params, **optax.apply_updates(trained, updates)}
    average = state.average
    if recipe.average:
        weights = (params, model_state)
        average = recipe.average.update(average, weights, state.step)
    return dataclasses.replace(
        state,
        params=params,
        model_state=model_state,
        opt_state=opt_state,
        average=average,
    )


class TrainingModel:
    """The network in training mode, for a task to call, once or several times.

    Attributes:
      model_state: the statistics after the last call.
    """

    def __init__(
        self, network: Network, params: Arrays, model_state: Arrays, key: jax.Array
    ):
        self.network, self.params, self.key = network, params, key
        self.model_state, self.calls = model_state, 0

    def __call__(self, images: jax.Array, **asked):
        """Images [B, H, W, C] -> outputs; each call draws masks of its own.

        The model is given what else is asked.
        """
        key = jax.random.fold_in(self.key, self.calls)
        self.calls += 1
        outputs, self.model_state = self.network.train(
            self.params, self.model_state, key, images, **asked
        )
        return outputs


def make_eval_step(recipe: Recipe, prepare: Callable[[Batch], Batch]) -> Callable:
    """`step(params, model_state, metrics, batch) -> (metrics, (losses, found))`.

    Metrics count each valid example once. Losses [B] and what is found, as the task
    decodes it, are there for who looks at examples: another program would cost a
    second compilation of the net.

    Args:
      recipe: its network is applied in evaluation mode.
      prepare: turns the host's batch into what the model takes.
    """
    task = recipe.task
    collection = task.metrics(train=False)

    def step(params, model_state, metrics, batch: Batch):
        batch = prepare(gather(batch))

        apply = functools.partial(recipe.network.apply, params, model_state)
        outputs = task.eval_outputs(apply, batch)
        losses = task.loss(outputs, batch)
        new = collection.single_from_model_output(
            outputs=outputs, losses=losses, **batch
        )
        return metrics.merge(new), (losses, task.decode(outputs))

    return step


def make_prepare(images, augment: Sequence[Callable] = ()) -> Callable:
    """`prepare(batch, key=None)`: to [0, 1], augmented where asked, normalised.

    Args:
      images: the description of the data; its `mean` and `std` are used.
      augment: functions `(key, batch) -> batch`, each with a key of its own.
    """

    def prepare(batch: Batch, key: jax.Array | None = None) -> Batch:
        image = batch['image']
        if jnp.issubdtype(image.dtype, jnp.integer):
            image = image.astype(jnp.float32) / 255
        batch = {**batch, 'image': image}
        for position, function in enumerate(augment):
            batch = function(jax.random.fold_in(key, position), batch)
        normalisation = images.normalisation(pixels=image.ndim == 4)
        mean, std = (jnp.asarray(value, jnp.float32) for value in normalisation)
        return {**batch, 'image': (batch['image'] - mean) / std}

    return prepare
