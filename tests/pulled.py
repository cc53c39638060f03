"""What a function gives and what its gradients are, to compare two of a kind."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def draw(*shape, seed=0):
    """Normal numbers, float32."""
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return jnp.asarray(numbers, jnp.float32)


def values_and_gradients(function, *arrays, **options):
    """The outputs, and the gradient of a random sum of them to each array, jitted.

    The weights of the sum are the same in bfloat16 and in float32.
    """

    @jax.jit
    def values(*arrays):
        outputs, pull = jax.vjp(functools.partial(function, **options), *arrays)
        weights = draw(*outputs.shape, seed=2).astype('bfloat16')
        return outputs, *pull(weights.astype(outputs.dtype))

    return values(*arrays)


def assert_rounded_once(function, reference, *arrays, **options):
    """In bfloat16 values and gradients err no more than the reference's, rounded."""
    narrow = [array.astype('bfloat16') for array in arrays]
    exact = [array.astype('float32') for array in narrow]
    ours = values_and_gradients(function, *narrow, **options)
    for our, wanted in zip(
        ours, values_and_gradients(reference, *exact, **options), strict=True
    ):
        assert our.dtype == jnp.bfloat16
        allowed = 1.02 * rms(wanted.astype('bfloat16') - wanted)
        assert rms(our - wanted) <= allowed


def rms(errors):
    return np.sqrt(np.square(np.asarray(errors, np.float64)).mean())
