"""A state that stays what it is while it is saved, though the loop has donated it.

Knows arrays and what XLA does with their memory; nothing of files or of steps.
"""

import jax

from trainer import host_words


def hold(tree) -> list | None:
    """What keeps the arrays of a tree as they are, for as long as it is kept.

    A program that is given such an array takes a copy and leaves it alone: XLA on CPU
    donates no memory that somebody else refers to. So nothing is copied here, a caller
    that donates nothing pays nothing, and there is never more than one copy more. Were
    that to change, the array would be deleted, and reading it would raise.

    Args:
      tree: a pytree of arrays.

    Returns:
      None where XLA promises no such thing: of arrays on accelerators, on several
      devices, or of a type that nobody else can refer to.
    """
    leaves = jax.tree.leaves(tree)
    if not all(map(host_words.in_memory, leaves)):
        return None
    try:
        return [leaf.__dlpack__() for leaf in leaves]
    except (BufferError, jax.errors.JaxRuntimeError):
        return None
