"""How much memory a model takes by name, as the compiler counts it; nothing is run."""

import jax
import jax.numpy as jnp
import optax

import models
from trainer.judgements import step_memory
from trainer.network import Network, make_network

Shape = jax.ShapeDtypeStruct
# Machine code that never runs need not be quick: the same bytes in 0.6 of the time.
HASTY = {'cpu': {'xla_backend_optimization_level': 0}}


def memory(
    name: str, batch: int, image: tuple[int, int, int], classes: int
) -> dict[str, int]:
    """Bytes that a device holds at most, weights and images among them.

    Args:
      name: one of `models.list_models()`.
      batch: images at once.
      image: (height, width, channels).
      classes: of the head.

    Returns:
      'forward' in evaluation, and 'step' of training with AdamW in float32.
    """
    facts = {'input_shape': image, 'num_outputs': classes}
    network = make_network(models.catalog.maker(name), **facts)
    params, model_state = network.abstract
    images = Shape((batch, *image), jnp.float32)
    forward = jax.jit(network.apply).lower(params, model_state, images)
    optimizer = optax.adamw(1e-3)
    state = params, model_state, jax.eval_shape(optimizer.init, params)
    outputs = jax.eval_shape(network.apply, params, model_state, images)
    labels = Shape(outputs.shape[:-1], jnp.int32)
    step = jax.jit(_step(network, optimizer), donate_argnums=0)
    key = jax.eval_shape(lambda: jax.random.key(0))
    lowered = {'forward': forward, 'step': step.lower(state, key, images, labels)}
    hasty = HASTY.get(jax.default_backend())
    return {
        what: step_memory(one.compile(compiler_options=hasty))
        for what, one in lowered.items()
    }


def _step(network: Network, optimizer: optax.GradientTransformation):
    """`(state, key, images, labels) -> state` after one step on cross-entropy."""

    def loss(params, model_state, key, images, labels):
        logits, model_state = network.train(params, model_state, key, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), model_state

    def step(state, key, images, labels):
        params, model_state, moments = state
        descend = jax.grad(loss, has_aux=True)
        gradient, model_state = descend(params, model_state, key, images, labels)
        updates, moments = optimizer.update(gradient, moments, params)
        return optax.apply_updates(params, updates), model_state, moments

    return step
