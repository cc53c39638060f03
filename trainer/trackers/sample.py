"""A part of the weights that shows how all are distributed, for histograms."""

import jax
import numpy as np

from trainer.state import TrainState

MOST = 20_000  # numbers of one parameter


def weights_sample(state: TrainState) -> dict[str, np.ndarray]:
    """Each parameter's numbers, evenly left out where they are many, by name.

    Parameters of which other processes hold a part are left out.
    """
    return {
        f'weights/{name}': _sample(np.asarray(value).ravel())
        for name, value in state.weights[0].items()
        if isinstance(value, jax.Array) and value.is_fully_addressable
    }


def _sample(values: np.ndarray) -> np.ndarray:
    return values[:: -(-values.size // MOST)] if values.size else values
