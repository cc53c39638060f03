"""The usual weights of ImageNet for each model: what `pretrained = True` means.

All are timm's, of nets that pad and normalise as ours do; those of tf_ do not.
"""

from collections.abc import Callable

from models.arguments import called_by, parameters_of
from models.catalog import BACKBONES

# Repositories of https://huggingface.co/timm; name -> architecture and training recipe.
REPOSITORIES = {
    'resnet18': 'resnet18.a1_in1k',
    'resnet34': 'resnet34.a1_in1k',
    'resnet50': 'resnet50.a1_in1k',
    'resnet101': 'resnet101.a1_in1k',
    'resnet152': 'resnet152.a1_in1k',
    'wide_resnet50_2': 'wide_resnet50_2.racm_in1k',
    'resnext50_32x4d': 'resnext50_32x4d.a1h_in1k',
    'vit_ti16': 'vit_tiny_patch16_224.augreg_in21k_ft_in1k',
    'vit_s16': 'vit_small_patch16_224.augreg_in21k_ft_in1k',
    'vit_s32': 'vit_small_patch32_224.augreg_in21k_ft_in1k',
    'vit_b16': 'vit_base_patch16_224.augreg_in21k_ft_in1k',
    'vit_b32': 'vit_base_patch32_224.augreg_in21k_ft_in1k',
    'vit_l16': 'vit_large_patch16_224.augreg_in21k_ft_in1k',
    'convnext_t': 'convnext_tiny.fb_in1k',
    'convnext_s': 'convnext_small.fb_in1k',
    'convnext_b': 'convnext_base.fb_in1k',
    'convnext_l': 'convnext_large.fb_in1k',
    'efficientnet_b0': 'efficientnet_b0.ra_in1k',
    'efficientnet_b1': 'efficientnet_b1.ft_in1k',
    'efficientnet_b2': 'efficientnet_b2.ra_in1k',
    'efficientnet_b3': 'efficientnet_b3.ra2_in1k',
    'efficientnet_b4': 'efficientnet_b4.ra2_in1k',
}


def located(
    pretrained: str | bool | None, backbone: Callable, called: str = 'this backbone'
) -> str | None:
    """Where weights lie: as it was said, or for True where the usual ones do.

    Args:
      pretrained: a location, True, or what is false for none.
      backbone: a class, or a partial of one that says which of its nets it is.
      called: for the message.

    Raises:
      ValueError: nothing is usual for this backbone; lists the names of those that have
        such weights.
    """
    if pretrained is not True:
        return pretrained or None
    for name, repository in REPOSITORIES.items():
        if _same(BACKBONES[name], backbone):
            return address(repository)
    raise ValueError(
        f'pretrained = True: no weights are usual for {called}; give a file, or an '
        f'address such as {address("resnet18.a1_in1k")!r}. These have usual ones: '
        f'{", ".join(REPOSITORIES)}.'
    )


def address(repository: str) -> str:
    """Of the weights in a repository of timm's."""
    return f'hf://timm/{repository}/model.safetensors'


def _same(row: Callable, backbone: Callable) -> bool:
    """Whether two partials make the same net, as far as rows of this table differ."""
    made, _ = called_by(row)
    if called_by(backbone)[0] is not made:
        return False
    rows = map(called_by, map(BACKBONES.get, REPOSITORIES))
    telling = {key for other, given in rows if other is made for key in given}
    asked, has = parameters_of(row), parameters_of(backbone)
    return all(asked[key] == has[key] for key in telling)
