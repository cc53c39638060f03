"""The keys that a net is made from; the same as `nnx.Rngs` gives, drawn in less time.

Knows nothing of nets.
"""

import jax
from flax import nnx


class Stream(nnx.RngStream):
    """As its parent, but for the way in which it counts.

    The parent's `count[...] += 1` asks a traced value for its sharding, which it does
    not have, and JAX then writes an error message that reads through all that has been
    traced so far: building a ResNet-152 under `jit` took 3.3 s, of which 2.7 s for it.
    """

    def __call__(self) -> jax.Array:
        """A new key."""
        self.count._check_can_update()
        key = jax.random.fold_in(self.key[...], self.count[...])
        self.count.set_value(self.count[...] + 1)
        return key


def make_rngs(key: jax.Array | int) -> nnx.Rngs:
    """All streams from one key (or seed), as `nnx.Rngs(key)`."""
    rngs = nnx.Rngs(key)
    rngs.default = Stream(key, tag='default')
    return rngs
