"""PyTorch and its libraries of nets, for parity tests; skips those without them."""

import functools
import importlib

import pytest

# Class tokens and positions, in the words of all.
TOKENS = ('cls_token', 'class_token')
TOKENS += ('pos_embed', 'pos_embedding', 'position_embeddings')


@functools.cache
def peer(name):
    """`torch`, `torchvision`, `timm` or `transformers`, or a skip that says why not."""
    torch = pytest.importorskip('torch', reason='needs requirements-peers.txt')
    if name != 'torch':
        _declare_operators(torch)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f'needs requirements-peers.txt: {error}')


@functools.cache
def _declare_operators(torch):
    """Lets a torchvision that was built for another device build its models here."""
    try:
        importlib.import_module('torchvision')
    except RuntimeError:
        library = torch.library.Library('torchvision', 'DEF')
        for name in ('nms', 'qnms'):
            arguments = 'Tensor dets, Tensor scores, float iou_threshold'
            library.define(f'{name}({arguments}) -> Tensor')
        return library
    except ImportError:
        return None


def randomise(module, seed=0):
    """Draws what starts at zeros or ones: norms, their statistics, scales, biases."""
    torch = peer('torch')
    torch.manual_seed(seed)
    for name, tensor in module.state_dict().items():
        leaf = name.rpartition('.')[2]
        if leaf == 'running_var':
            tensor.uniform_(0.5, 1.5)
        elif leaf in ('gamma', 'layer_scale', 'layer_scale_parameter'):
            tensor.uniform_(0.2, 0.8)
        elif tensor.ndim == 1 and leaf == 'weight':
            tensor.uniform_(0.7, 1.3)
        elif tensor.ndim == 1:
            tensor.normal_(0, 0.3)
        elif leaf in TOKENS:
            tensor.normal_(0, 0.5)
        elif tensor.ndim == 2:
            tensor.normal_(0, tensor.shape[1] ** -0.5)
    return module.eval()
