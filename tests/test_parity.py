"""Random PyTorch weights give the same logits here, and go back as they came."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from models import Classifier, ConvNeXt, Net, ResNet, ViT
from models.pretrained import convnext, resnet, vit
from models.pretrained.mapping import export_weights, import_weights
from models.streams import make_rngs
from tests.peers import peer, randomise

CLASSES = 7


def torchvision_model(name):
    return lambda size: peer('torchvision').models.get_model(name, num_classes=CLASSES)


def timm_model(name, **options):
    return lambda size: peer('timm').create_model(name, num_classes=CLASSES, **options)


def timm_vit(name, **options):
    """Positions for 64x64 images, resampled by timm itself for other sizes."""
    return timm_model(name, img_size=64, dynamic_img_size=True, **options)


def torchvision_vit(patch, layers, heads, width):
    """A net of its own for each size: torchvision takes no other."""
    return lambda size: peer('torchvision').models.VisionTransformer(
        size[0], patch, layers, heads, width, 4 * width, num_classes=CLASSES
    )


# name -> (their net, our backbone, rules); the sizes are those below.
CASES = {
    'torchvision-resnet18': (
        torchvision_model('resnet18'),
        functools.partial(ResNet, depth=18),
        resnet.NAMINGS['torchvision'],
    ),
    'timm-resnet50': (
        timm_model('resnet50'),
        functools.partial(ResNet, depth=50),
        resnet.NAMINGS['timm'],
    ),
    'torchvision-wide_resnet50_2': (
        torchvision_model('wide_resnet50_2'),
        functools.partial(ResNet, depth=50, width='2x'),
        resnet.NAMINGS['torchvision'],
    ),
    'timm-resnext50_32x4d': (
        timm_model('resnext50_32x4d'),
        functools.partial(ResNet, depth=50, width='32x4d'),
        resnet.NAMINGS['timm'],
    ),
    'timm-vit_tiny_patch16': (
        timm_vit('vit_tiny_patch16_224'),
        functools.partial(ViT, size='Ti/16'),
        vit.NAMINGS['timm'],
    ),
    'timm-vit_small_patch32-mean': (
        timm_vit(
            'vit_small_patch32_224', global_pool='avg', class_token=False, fc_norm=False
        ),
        functools.partial(ViT, size='S/32', pooling='mean'),
        vit.NAMINGS['timm'],
    ),
    'torchvision-vit_tiny_patch4': (
        torchvision_vit(4, 12, 3, 192),
        functools.partial(ViT, size='Ti/4'),
        vit.NAMINGS['torchvision'],
    ),
    'torchvision-vit_b_32': (
        torchvision_vit(32, 12, 12, 768),
        functools.partial(ViT, size='B/32'),
        vit.NAMINGS['torchvision'],
    ),
    'torchvision-convnext_tiny': (
        torchvision_model('convnext_tiny'),
        functools.partial(ConvNeXt, size='T'),
        convnext.NAMINGS['torchvision'],
    ),
    'timm-convnext_small': (
        timm_model('convnext_small'),
        functools.partial(ConvNeXt, size='S'),
        convnext.NAMINGS['timm'],
    ),
    'timm-convnext_base': (
        timm_model('convnext_base'),
        functools.partial(ConvNeXt, size='B'),
        convnext.NAMINGS['timm'],
    ),
}
# Positions of a ViT are resampled to more rows and fewer columns.
SIZES = (64, 64), (96, 32)
SQUARES = (64, 64), (96, 96)


def weights_of(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def arrays_of(model):
    state = nnx.to_flat_state(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat)))
    return {'/'.join(map(str, path)): leaf for path, leaf in state}


def abstract_net(backbone, size):
    make = functools.partial(Net, backbone, Classifier, num_outputs=CLASSES)
    return nnx.eval_shape(lambda: make(input_shape=(*size, 3), rngs=make_rngs(0)))


def filled(model, arrays):
    """The abstract model around the arrays, in evaluation mode."""
    for path, leaf in arrays_of(model).items():
        leaf.set_value(jax.numpy.asarray(arrays[path]))
    return nnx.view(
        model, deterministic=True, use_running_average=True, raise_if_not_found=False
    )


# Programs that run once: compiled in a fifth of the time that single operations take.
@functools.partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})
def apply(model, images):
    return model(images)


def logits_of(module, images):
    torch = peer('torch')
    with torch.no_grad():
        return module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()


def normal_images(size):
    return np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)


def assert_same_logits(theirs, ours, sizes):
    """Within 1e-4 of the largest; `theirs` takes images and gives logits."""
    for size in sizes:
        expected = theirs(normal_images(size))
        assert np.isfinite(expected).all() and expected.std() > 1e-2
        apart = np.abs(apply(ours, normal_images(size)) - expected).max()
        assert apart <= 1e-4 * np.abs(expected).max(), size  # false for a NaN as well


def check_parity(make_theirs, backbone, rules, made_for, sizes):
    theirs = randomise(make_theirs(made_for))
    ours = abstract_net(backbone, made_for)
    imported = import_weights(rules, weights_of(theirs), arrays_of(ours))
    assert not imported.replaced and not imported.adapted
    ours = filled(ours, imported.arrays)
    assert_same_logits(functools.partial(logits_of, theirs), ours, sizes)
    again = make_theirs(made_for).eval()
    torch = peer('torch')
    exported = export_weights(rules, imported.arrays)
    again.load_state_dict(
        {name: torch.from_numpy(array.copy()) for name, array in exported.items()},
        strict=True,
    )
    images = normal_images(sizes[-1])
    assert (logits_of(again, images) == logits_of(theirs, images)).all()


@pytest.mark.parametrize('name', CASES)
def test_logits_agree_and_weights_go_back(name):
    make_theirs, backbone, rules = CASES[name]
    if name.startswith('torchvision-vit'):
        for size in SQUARES:
            check_parity(make_theirs, backbone, rules, size, [size])
    else:
        check_parity(make_theirs, backbone, rules, SIZES[0], SIZES)
