"""The train step and the evaluation step: pure functions, jitted once, and no more.

They know a network, a task and an optimizer by their contracts; never one by name.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

from trainer.network import Network
from trainer.state import TrainState

Batch = dict[str, jax.Array]


def make_train_step(
    network: Network,
    task,
    optimizer: optax.GradientTransformation,
    prepare: Callable[[Batch, jax.Array], Batch],
    seed: int,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """`step(state, batch) -> (state, watch)`, to be jitted with the state donated.

    All randomness is folded from (seed, step). `watch` holds two scalars that stay
    readable when the state has been donated to the next step: `loss` and `bad_step`.
    """
    collection = task.metrics(train=True)

    def step(state: TrainState, batch: Batch):
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        augment_key, model_key = jax.random.split(key)
        batch = prepare(batch, augment_key)

        def loss_fn(params):
            outputs, model_state = network.train(
                params, state.model_state, model_key, batch['image']
            )
            losses = task.loss(outputs, batch)
            loss = masked_mean(losses, batch['mask'])
            return loss, (outputs, losses, model_state)

        grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
        (loss, (outputs, losses, model_state)), grads = grad_fn(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        new = collection.single_from_model_output(
            outputs=outputs, losses=losses, **batch
        )
        finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
        bad_step = jnp.where((state.bad_step < 0) & ~finite, state.step, state.bad_step)
        state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=model_state,
            opt_state=opt_state,
            interval=state.interval.merge(new),
            epoch=state.epoch.merge(new),
            bad_step=bad_step,
        )
        return state, {'loss': loss, 'bad_step': bad_step}

    return step


def make_eval_step(
    network: Network, task, prepare: Callable[[Batch], Batch]
) -> Callable:
    """`step(params, model_state, metrics, batch) -> metrics`, every valid example once.

    Args:
      network: applied in evaluation mode.
      task: its losses and metrics.
      prepare: turns the host's batch into what the model takes.
    """
    collection = task.metrics(train=False)

    def step(params, model_state, metrics, batch: Batch):
        batch = prepare(batch)
        outputs = network.apply(params, model_state, batch['image'])
        losses = task.loss(outputs, batch)
        new = collection.single_from_model_output(
            outputs=outputs, losses=losses, **batch
        )
        return metrics.merge(new)

    return step


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """The mean over the examples that are no padding: [B], [B] -> []."""
    total = jnp.sum(jnp.where(mask, values, 0))
    return total / jnp.maximum(jnp.sum(mask), 1)


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
        mean = jnp.asarray(images.mean, jnp.float32)
        std = jnp.asarray(images.std, jnp.float32)
        return {**batch, 'image': (batch['image'] - mean) / std}

    return prepare
