"""Names of ViT's tensors in timm and in torchvision."""

from models.pretrained.layouts import (
    BIASED_CONV,
    DENSE,
    FUSED_DENSE,
    NORM,
    POSITIONS,
    TOKEN,
    alone,
)
from models.pretrained.mapping import Rule

STEM = 'backbone/stem'
BLOCK = 'backbone/blocks/{block}'
_TIMM = 'blocks.{block}'
_TORCHVISION = 'encoder.layers.encoder_layer_{block}'

NAMINGS = {
    'timm': (
        Rule('cls_token', f'{STEM}/class_token', alone(TOKEN)),
        Rule('pos_embed', f'{STEM}/positions', alone(POSITIONS)),
        Rule('patch_embed.proj', f'{STEM}/patches/conv', BIASED_CONV),
        Rule(f'{_TIMM}.norm1', f'{BLOCK}/norm1', NORM),
        Rule(f'{_TIMM}.attn.qkv', f'{BLOCK}/attention/qkv', DENSE),
        Rule(f'{_TIMM}.attn.proj', f'{BLOCK}/attention/out', DENSE),
        Rule(f'{_TIMM}.norm2', f'{BLOCK}/norm2', NORM),
        Rule(f'{_TIMM}.mlp.fc1', f'{BLOCK}/mlp/dense1', DENSE),
        Rule(f'{_TIMM}.mlp.fc2', f'{BLOCK}/mlp/dense2', DENSE),
        Rule('norm', 'backbone/norm', NORM),
        Rule('head', 'head/dense', DENSE),
    ),
    'torchvision': (
        Rule('class_token', f'{STEM}/class_token', alone(TOKEN)),
        Rule('encoder.pos_embedding', f'{STEM}/positions', alone(POSITIONS)),
        Rule('conv_proj', f'{STEM}/patches/conv', BIASED_CONV),
        Rule(f'{_TORCHVISION}.ln_1', f'{BLOCK}/norm1', NORM),
        Rule(f'{_TORCHVISION}.self_attention', f'{BLOCK}/attention/qkv', FUSED_DENSE),
        Rule(
            f'{_TORCHVISION}.self_attention.out_proj', f'{BLOCK}/attention/out', DENSE
        ),
        Rule(f'{_TORCHVISION}.ln_2', f'{BLOCK}/norm2', NORM),
        Rule(f'{_TORCHVISION}.mlp.0', f'{BLOCK}/mlp/dense1', DENSE),
        Rule(f'{_TORCHVISION}.mlp.3', f'{BLOCK}/mlp/dense2', DENSE),
        Rule('encoder.ln', 'backbone/norm', NORM),
        Rule('heads.head', 'head/dense', DENSE),
    ),
}
