"""Heat maps: drawn like a loop draws them, and read to fractions of a cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainer import heat_maps
from trainer.centres import Grid


def draw_keypoints(rng, *shape, size=(24, 32)):
    """Keypoints some way inside of an image, of visibility 0, 1 or 2."""
    places = rng.uniform(3, np.array(size[::-1]) - 3, (*shape, 2))
    visibility = rng.integers(0, 3, (*shape, 1))
    return np.concatenate([places, visibility], axis=-1).astype(np.float32)


@pytest.mark.parametrize('stride', [1, 2, 4])
def test_heat_maps_equal_a_loop(stride):
    keypoints = draw_keypoints(np.random.default_rng(0), 2, 3, 3)
    grid = Grid(24, 32, 24 // stride, 32 // stride)
    maps = heat_maps.draw(grid, jnp.asarray(keypoints), 1.5)
    expected = np.zeros((2, grid.rows, grid.columns, 3))
    for image, row, column, k in np.ndindex(*expected.shape):
        for x, y, visibility in keypoints[image, :, k]:
            apart = np.hypot((column + 0.5) * stride - x, (row + 0.5) * stride - y)
            height = np.exp(-0.5 * (apart / stride / 1.5) ** 2) * (visibility > 0)
            expected[image, row, column, k] = max(
                expected[image, row, column, k], height
            )
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@pytest.mark.parametrize('sigma', [0.7, 2.0])
@pytest.mark.parametrize('stride', [1, 4])
def test_what_is_drawn_is_found_to_fractions_of_a_cell(stride, sigma):
    places = draw_keypoints(np.random.default_rng(1), 50, 1, 3, size=(64, 48))
    places[..., 2] = 2
    grid = Grid(64, 48, 64 // stride, 48 // stride)
    maps = heat_maps.draw(grid, jnp.asarray(places), sigma)
    found = jax.jit(heat_maps.Peaks((64, 48)))(maps)
    inner = np.all(
        (places[..., :2] > 1.5 * stride)
        & (places[..., :2] < np.array([48, 64]) - 1.5 * stride),
        axis=-1,
    )
    assert inner.sum() > 50 and found.shape == (50, 1, 3, 3)
    np.testing.assert_allclose(found[inner][:, :2], places[inner][:, :2], atol=0.01)
    apart = np.abs(found[..., :2] - places[..., :2]).max()
    assert apart <= stride / 2 + 0.01


def test_a_flat_or_empty_map_gives_a_cell_and_no_nan():
    maps = jnp.stack([jnp.zeros((1, 4, 4)), -jnp.ones((1, 4, 4))], axis=-1)
    found = heat_maps.Peaks((8, 8))(maps)
    np.testing.assert_array_equal(found, [[[[1, 1, 0], [1, 1, -1]]]])


def test_several_objects_are_found_each_in_its_box():
    keypoints = np.array([[[[4, 5, 2]], [[20, 12, 2]]]], np.float32)
    boxes = np.array([[[2, 0, 8, 8], [8, 16, 20, 30]]], np.float32)
    maps = heat_maps.draw(Grid(24, 32, 24, 32), jnp.asarray(keypoints), 1.0)
    found = heat_maps.Peaks((24, 32))(maps, jnp.asarray(boxes))
    np.testing.assert_allclose(found[..., :2], keypoints[..., :2], atol=1e-3)
