"""Names of ConvNeXt's tensors in timm, torchvision and Hugging Face transformers."""

from models.pretrained.layouts import BIASED_CONV, CHANNELS, DENSE, NORM, SAME, alone
from models.pretrained.mapping import Rule

STAGE = 'backbone/stages/{stage}'
STEM = 'backbone/stem/patches/conv'
BLOCK = f'{STAGE}/blocks/{{block}}'
_TRANSFORMERS = 'convnext.encoder.stages.{stage}'
_TIMM = 'stages.{stage}.blocks.{block}'

TIMM = (
    Rule('stem.0', STEM, BIASED_CONV),
    Rule('stem.1', 'backbone/stem/norm', NORM),
    Rule('stages.{stage}.downsample.0', f'{STAGE}/scale/norm', NORM),
    Rule('stages.{stage}.downsample.1', f'{STAGE}/scale/patches/conv', BIASED_CONV),
    Rule(f'{_TIMM}.conv_dw', f'{BLOCK}/conv', BIASED_CONV),
    Rule(f'{_TIMM}.norm', f'{BLOCK}/norm', NORM),
    Rule(f'{_TIMM}.mlp.fc1', f'{BLOCK}/mlp/dense1', DENSE),
    Rule(f'{_TIMM}.mlp.fc2', f'{BLOCK}/mlp/dense2', DENSE),
    Rule(f'{_TIMM}.gamma', f'{BLOCK}/scale', alone(SAME)),
    Rule('head.norm', 'backbone/norm', NORM),
    Rule('head.fc', 'head/dense', DENSE),
)


def _torchvision():
    """One list there: the stem, then in turn a stage and a change of scale."""
    yield Rule('features.0.0', STEM, BIASED_CONV)
    yield Rule('features.0.1', 'backbone/stem/norm', NORM)
    for stage in range(4):
        ours = f'backbone/stages/{stage}'
        if stage:
            theirs = f'features.{2 * stage}'
            yield Rule(f'{theirs}.0', f'{ours}/scale/norm', NORM)
            yield Rule(f'{theirs}.1', f'{ours}/scale/patches/conv', BIASED_CONV)
        theirs, ours = f'features.{2 * stage + 1}.{{block}}', f'{ours}/blocks/{{block}}'
        yield Rule(f'{theirs}.block.0', f'{ours}/conv', BIASED_CONV)
        yield Rule(f'{theirs}.block.2', f'{ours}/norm', NORM)
        yield Rule(f'{theirs}.block.3', f'{ours}/mlp/dense1', DENSE)
        yield Rule(f'{theirs}.block.5', f'{ours}/mlp/dense2', DENSE)
        yield Rule(f'{theirs}.layer_scale', f'{ours}/scale', alone(CHANNELS))
    yield Rule('classifier.0', 'backbone/norm', NORM)
    yield Rule('classifier.2', 'head/dense', DENSE)


TRANSFORMERS = (
    Rule('convnext.embeddings.patch_embeddings', STEM, BIASED_CONV),
    Rule('convnext.embeddings.layernorm', 'backbone/stem/norm', NORM),
    Rule(f'{_TRANSFORMERS}.downsampling_layer.0', f'{STAGE}/scale/norm', NORM),
    Rule(
        f'{_TRANSFORMERS}.downsampling_layer.1',
        f'{STAGE}/scale/patches/conv',
        BIASED_CONV,
    ),
    Rule(f'{_TRANSFORMERS}.layers.{{block}}.dwconv', f'{BLOCK}/conv', BIASED_CONV),
    Rule(f'{_TRANSFORMERS}.layers.{{block}}.layernorm', f'{BLOCK}/norm', NORM),
    Rule(f'{_TRANSFORMERS}.layers.{{block}}.pwconv1', f'{BLOCK}/mlp/dense1', DENSE),
    Rule(f'{_TRANSFORMERS}.layers.{{block}}.pwconv2', f'{BLOCK}/mlp/dense2', DENSE),
    Rule(
        f'{_TRANSFORMERS}.layers.{{block}}.layer_scale_parameter',
        f'{BLOCK}/scale',
        alone(SAME),
    ),
    Rule('convnext.layernorm', 'backbone/norm', NORM),
    Rule('classifier', 'head/dense', DENSE),
)
NAMINGS = {
    'torchvision': tuple(_torchvision()),
    'timm': TIMM,
    'transformers': TRANSFORMERS,
}
