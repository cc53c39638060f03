"""Weights of a file in a net: names recognised, shapes fitted, mistakes listed."""

import functools
import json

import jax
import numpy as np
import pytest
from flax import nnx

from models import Classifier, ConvNeXt, EfficientNet, Net, ResNet, ViT
from models.pretrained.fitting import first_kernel
from models.pretrained.loading import families, family_of, load_pretrained, weights_of
from models.pretrained.mapping import export_weights
from models.pretrained.weight_files import write_safetensors
from models.streams import make_rngs

BACKBONES = {
    'resnet': functools.partial(ResNet, depth=18, stem='imagenet'),
    'vit': functools.partial(ViT, size='Ti/16'),
    'convnext': functools.partial(ConvNeXt, size='T'),
    'efficientnet': functools.partial(EfficientNet, variant='b0'),
}
CASES = [(of, naming) for of, namings in families().items() for naming in namings]


def net(family='resnet', classes=10, shape=(64, 64, 3)):
    """Abstract: shapes without arrays."""
    make = functools.partial(Net, BACKBONES[family], Classifier, num_outputs=classes)
    return nnx.eval_shape(lambda: make(input_shape=shape, rngs=make_rngs(0)))


def drawn(model, seed=0):
    """An array for each weight of a net."""
    draw = np.random.default_rng(seed)
    return {
        path: draw.normal(size=leaf.shape).astype(np.float32)
        for path, leaf in weights_of(model).items()
    }


def write(path, family='resnet', naming='timm', arrays=None, **metadata):
    arrays = drawn(net(family)) if arrays is None else arrays
    rules = families()[family][naming]
    write_safetensors(path, export_weights(rules, arrays), metadata)
    return arrays


def test_every_table_has_a_net_here():
    assert {family for family, _ in CASES} == BACKBONES.keys()
    for family, backbone in BACKBONES.items():
        assert family_of(backbone.func) == family


@pytest.mark.parametrize(('family', 'naming'), CASES)
def test_a_table_leads_there_and_back(tmp_path, family, naming):
    arrays = write(tmp_path / 'w.safetensors', family, naming)
    loaded = load_pretrained(str(tmp_path / 'w.safetensors'), net(family))
    assert loaded.naming in (naming, 'torchvision')  # of ResNet the two agree
    assert loaded.arrays.keys() == arrays.keys()
    for path, array in arrays.items():
        np.testing.assert_array_equal(loaded.arrays[path], array)
    assert not loaded.replaced and not loaded.adapted and not loaded.left_out


def test_head_channels_and_positions_are_fitted(tmp_path):
    arrays = write(tmp_path / 'w.safetensors', 'vit')
    wanted = net('vit', classes=7, shape=(96, 32, 1))
    loaded = load_pretrained(str(tmp_path / 'w.safetensors'), wanted)
    assert set(loaded.replaced) == {'head/dense/bias', 'head/dense/kernel'}
    assert set(loaded.adapted) == {
        'backbone/stem/patches/conv/kernel',
        'backbone/stem/positions',
    }
    assert set(loaded.left_out) == {'head.weight', 'head.bias'}
    kernel = 'backbone/stem/patches/conv/kernel'
    summed = arrays[kernel].sum(2, keepdims=True)
    np.testing.assert_allclose(loaded.arrays[kernel], summed, 1e-5)
    assert loaded.arrays['backbone/stem/positions'].shape == (1 + 6 * 2, 192)


def test_a_grey_kernel_answers_as_to_three_equal_channels():
    draw = np.random.default_rng(0)
    kernel = draw.normal(size=(3, 3, 3, 5)).astype(np.float32)
    grey = draw.normal(size=(1, 8, 8, 1)).astype(np.float32)

    def answer(image, kernel):
        numbers = ('NHWC', 'HWIO', 'NHWC')
        return jax.lax.conv_general_dilated(
            image, kernel, (1, 1), 'SAME', dimension_numbers=numbers
        )

    one = first_kernel(kernel, (3, 3, 1, 5))
    expected = answer(np.repeat(grey, 3, -1), kernel)
    np.testing.assert_allclose(answer(grey, one), expected, atol=1e-5)
    six = first_kernel(kernel, (3, 3, 6, 5))
    doubled = answer(np.tile(np.repeat(grey, 3, -1), 2), six)
    np.testing.assert_allclose(doubled, expected, atol=1e-5)


def test_all_that_differs_stands_in_one_error(tmp_path):
    path, arrays = tmp_path / 'w.safetensors', drawn(net())
    theirs = export_weights(families()['resnet']['timm'], arrays)
    del theirs['bn1.weight']
    theirs['layer1.0.conv9.weight'] = np.zeros((2, 2), np.float32)
    theirs['layer2.0.conv1.weight'] = np.zeros((2, 2, 3, 3), np.float32)
    write_safetensors(path, theirs, {})
    with pytest.raises(ValueError, match='3 of them differ') as raised:
        load_pretrained(str(path), net())
    for name in ('bn1.weight', 'layer1.0.conv9', 'stages/1/0/conv1/conv/kernel'):
        assert name in str(raised.value)
    assert '\n' not in str(raised.value)


def test_weights_of_another_family_are_named(tmp_path):
    write(tmp_path / 'w.safetensors', 'vit', 'torchvision')
    with pytest.raises(ValueError, match=r'of a vit \(torchvision names\).* is resnet'):
        load_pretrained(str(tmp_path / 'w.safetensors'), net())


def test_names_that_nobody_has_are_refused(tmp_path):
    path = tmp_path / 'w.safetensors'
    write_safetensors(path, {'a.b': np.zeros(3, np.float32)}, {})
    with pytest.raises(
        ValueError, match=r'known \(a\.b, \.\.\.\).*efficientnet \(torchvision, timm\);'
    ):
        load_pretrained(str(path), net())


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('w.safetensors', None, 'There is no weight file'),
        ('w.safetensors', b'', 'is damaged'),
        ('w.safetensors', b'\x10' * 64, 'is damaged'),
        ('w.npz', b'', r'no kind of weight file that is known; give \.safetensors'),
    ],
)
def test_files_that_are_none(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_pretrained(str(path), net())


def test_a_truncated_file_is_damaged(tmp_path):
    path = tmp_path / 'w.safetensors'
    write(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match='is damaged'):
        load_pretrained(str(path), net())


def test_half_precision_is_read_as_float32(tmp_path):
    import ml_dtypes

    path, arrays = tmp_path / 'w.safetensors', drawn(net())
    half = {k: v.astype(ml_dtypes.bfloat16) for k, v in arrays.items()}
    write_safetensors(path, half, {})
    loaded = load_pretrained(str(path), net())
    assert loaded.naming == 'juniper'
    for name, array in half.items():
        assert loaded.arrays[name].dtype == np.float32
        np.testing.assert_array_equal(loaded.arrays[name], array.astype(np.float32))


def test_what_pictures_are_expected_comes_along(tmp_path):
    path = tmp_path / 'w.safetensors'
    timm = {'pretrained_cfg': {'mean': [0.5] * 3, 'std': [0.4] * 3, 'crop_pct': 0.9}}
    (tmp_path / 'config.json').write_text(json.dumps(timm))
    write(path, 'vit', 'timm')
    expected = load_pretrained(str(path), net('vit')).preprocessing
    assert expected == {'mean': [0.5] * 3, 'std': [0.4] * 3, 'crop': 0.9}
    (tmp_path / 'config.json').unlink()
    write(path, 'vit', 'torchvision')
    assert load_pretrained(str(path), net('vit')).preprocessing['mean'][0] == 0.485
    write(path, 'vit', 'timm', preprocessing='{"mean": [0.1]}')
    assert load_pretrained(str(path), net('vit')).preprocessing == {'mean': [0.1]}


def test_weights_are_fetched_once_with_what_stands_beside_them(hub):
    folder = hub('owner/net')
    arrays = write(folder / 'w.safetensors')
    told = {'image_mean': [0.5] * 3, 'image_std': [0.5] * 3, 'resample': 3}
    (folder / 'preprocessor_config.json').write_text(json.dumps(told))
    for _ in range(2):
        loaded = load_pretrained('hf://owner/net/w.safetensors', net())
        assert loaded.arrays.keys() == arrays.keys()
        assert loaded.preprocessing['interpolation'] == 'bicubic'
        (folder / 'w.safetensors').unlink(missing_ok=True)


@pytest.mark.parametrize(
    ('location', 'message'),
    [
        ('hf://owner/net/none.safetensors', 'cannot be fetched: .*404'),
        ('hf://owner/net', 'names no file; say hf://owner/repository/file'),
        ('http://example.com/w.safetensors', 'is not encrypted'),
    ],
)
def test_addresses_that_lead_nowhere(hub, location, message):
    with pytest.raises(ValueError, match=message):
        load_pretrained(location, net())
