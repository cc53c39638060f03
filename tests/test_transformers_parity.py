"""Nets of Hugging Face transformers: the same logits here, and their files again."""

import functools

import pytest

from models import ConvNeXt, ResNet, ViT
from models.pretrained.loading import load_pretrained
from models.pretrained.saving import foreign_weights
from models.pretrained.weight_files import write_safetensors
from tests.peers import peer, randomise
from tests.test_parity import (
    CLASSES,
    abstract_net,
    assert_same_logits,
    filled,
    normal_images,
)

FILE = 'model.safetensors'
SIZES = (64, 64), (96, 96)


def resnet(depths, layer_type):
    widths = [64, 128, 256, 512]
    scale = 4 if layer_type == 'bottleneck' else 1
    return lambda size: peer('transformers').ResNetForImageClassification(
        peer('transformers').ResNetConfig(
            depths=depths,
            hidden_sizes=[scale * width for width in widths],
            layer_type=layer_type,
            num_labels=CLASSES,
        )
    )


def vit(patch, width, heads):
    """Made for one size, as theirs are."""
    return lambda size: peer('transformers').ViTForImageClassification(
        peer('transformers').ViTConfig(
            image_size=size[0],
            patch_size=patch,
            hidden_size=width,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            num_labels=CLASSES,
        )
    )


def convnext(depths, widths):
    return lambda size: peer('transformers').ConvNextForImageClassification(
        peer('transformers').ConvNextConfig(
            depths=depths, hidden_sizes=widths, num_labels=CLASSES
        )
    )


CASES = {
    'resnet18': (
        resnet([2, 2, 2, 2], 'basic'),
        functools.partial(ResNet, depth=18),
    ),
    'resnet34': (
        resnet([3, 4, 6, 3], 'basic'),
        functools.partial(ResNet, depth=34),
    ),
    'resnet50': (
        resnet([3, 4, 6, 3], 'bottleneck'),
        functools.partial(ResNet, depth=50),
    ),
    'vit_ti16': (vit(16, 192, 3), functools.partial(ViT, size='Ti/16')),
    'vit_ti32': (vit(32, 192, 3), functools.partial(ViT, size='Ti/32')),
    'vit_s16': (vit(16, 384, 6), functools.partial(ViT, size='S/16')),
    'convnext_t': (
        convnext([3, 3, 9, 3], [96, 192, 384, 768]),
        functools.partial(ConvNeXt, size='T'),
    ),
    'convnext_s': (
        convnext([3, 3, 27, 3], [96, 192, 384, 768]),
        functools.partial(ConvNeXt, size='S'),
    ),
    'convnext_b': (
        convnext([3, 3, 27, 3], [128, 256, 512, 1024]),
        functools.partial(ConvNeXt, size='B'),
    ),
}

QUICK = 'resnet18', 'resnet50', 'vit_ti16', 'convnext_t'
NAMES = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in CASES
]


def logits_of(module, images):
    torch = peer('torch')
    with torch.no_grad():
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        return module(pixels).logits.numpy()


@pytest.fixture(autouse=True)
def quiet():
    """Their bars are not shown."""
    peer('transformers').utils.logging.disable_progress_bar()


def check(theirs, ours, sizes, tmp_path):
    """Their file gives their logits here, and is written back as it was."""
    randomise(theirs).save_pretrained(tmp_path)
    loaded = load_pretrained(str(tmp_path / FILE), ours)
    assert loaded.naming == 'transformers'
    assert not loaded.replaced and not loaded.adapted
    foreign = foreign_weights(ours, loaded.arrays, 'transformers')
    write_safetensors(tmp_path / FILE, foreign, {'format': 'pt'})
    again, told = type(theirs).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told.values()), told
    ours = filled(ours, loaded.arrays)
    assert_same_logits(functools.partial(logits_of, theirs), ours, sizes)
    images = normal_images(sizes[-1])
    assert (logits_of(again.eval(), images) == logits_of(theirs, images)).all()


@pytest.mark.parametrize('name', NAMES)
def test_logits_agree_and_files_go_back(name, tmp_path):
    make_theirs, backbone = CASES[name]
    each = [[size] for size in SIZES] if name.startswith('vit') else [SIZES]
    for sizes in each:
        ours = abstract_net(backbone, sizes[0])
        check(make_theirs(sizes[0]), ours, sizes, tmp_path)
