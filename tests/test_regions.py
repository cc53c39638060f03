"""RoIAlign as two products, against a loop over samples and against torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.regions import SAMPLES, crop

SHAPE = (2, 7, 9, 3)


def maps():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def boxes(count=5, seed=1):
    """Boxes within the maps, the last one of each image as large as they are."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, (4, 5), (2, count, 2))
    found = np.concatenate([low, low + rng.uniform(0.2, (3, 4), low.shape)], -1)
    found[:, -1] = 0, 0, *SHAPE[1:3]
    return found.astype(np.float32)


def bilinear(one, y, x):
    """A map [h, w, D] between the middles of its cells; borders are repeated."""
    y, x = (np.clip(p - 0.5, 0, n - 1) for p, n in zip((y, x), one.shape, strict=False))
    top, left = (min(int(p), n - 2) for p, n in zip((y, x), one.shape, strict=False))
    down, right = y - top, x - left
    upper = (1 - right) * one[top, left] + right * one[top, left + 1]
    lower = (1 - right) * one[top + 1, left] + right * one[top + 1, left + 1]
    return (1 - down) * upper + down * lower


def test_each_cell_is_the_mean_of_its_samples():
    size, found = 3, np.asarray(crop(maps(), boxes(), 3))
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    for image, row, i, j in np.ndindex(2, 5, size, size):
        y0, x0, y1, x1 = boxes()[image, row]
        samples = [
            bilinear(
                maps()[image],
                y0 + (y1 - y0) * (i + a) / size,
                x0 + (x1 - x0) * (j + b) / size,
            )
            for a in steps
            for b in steps
        ]
        expected = np.mean(samples, axis=0)
        np.testing.assert_allclose(found[image, row, i, j], expected, atol=1e-5)


def test_samples_are_those_of_torchs_grid_sample():
    torch = pytest.importorskip('torch')
    size, (height, width) = 4, SHAPE[1:3]
    given = torch.from_numpy(maps().transpose(0, 3, 1, 2))
    shares = (np.arange(size * SAMPLES) + 0.5) / (size * SAMPLES)
    for row in range(5):
        y0, x0, y1, x1 = np.moveaxis(boxes()[:, row], -1, 0)[..., None]
        y = 2 * (y0 + (y1 - y0) * shares) / height - 1
        x = 2 * (x0 + (x1 - x0) * shares) / width - 1
        grid = np.stack(np.broadcast_arrays(x[:, None], y[..., None]), axis=-1)
        options = {'padding_mode': 'border', 'align_corners': False}
        grid = torch.from_numpy(grid.astype(np.float32))
        samples = torch.nn.functional.grid_sample(given, grid, **options)
        means = torch.nn.functional.avg_pool2d(samples, SAMPLES).numpy()
        found = crop(maps(), boxes()[:, [row]], size)[:, 0]
        np.testing.assert_allclose(found, means.transpose(0, 2, 3, 1), atol=1e-5)


def test_places_come_back_and_outside_repeats_the_border():
    rows, columns = np.meshgrid(np.arange(8) + 0.5, np.arange(8) + 0.5, indexing='ij')
    ramp = np.stack([rows, columns], axis=-1)[None].astype(np.float32)
    region = np.float32([[[2, 1, 6, 7]]])
    found = crop(ramp, region, 4)[0, 0]
    np.testing.assert_allclose(found[:, 0, 0], [2.5, 3.5, 4.5, 5.5], rtol=1e-6)
    np.testing.assert_allclose(found[0, :, 1], [1.75, 3.25, 4.75, 6.25], rtol=1e-6)
    beyond = crop(ramp, np.float32([[[20, 20, 30, 30], [3, 3, 3, 3]]]), 2)[0]
    np.testing.assert_allclose(beyond[0], np.full((2, 2, 2), 7.5))
    np.testing.assert_allclose(beyond[1], np.full((2, 2, 2), 3.0))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_gradients_are_finite_and_types_are_kept(dtype):
    given = jnp.asarray(maps(), dtype)
    regions = jnp.zeros((2, 3, 4)).at[:, 0].set(jnp.array([1.0, 1, 4, 5]))
    assert crop(given, regions, 2).dtype == given.dtype
    slope = jax.grad(lambda m: crop(m, regions, 2).astype('float32').sum())(given)
    assert jnp.isfinite(slope).all() and float(slope.sum()) == pytest.approx(72, 0.02)
