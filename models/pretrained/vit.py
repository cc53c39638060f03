"""Names of ViT's tensors in timm, torchvision and Hugging Face transformers."""

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
PATCHES = f'{STEM}/patches/conv'
POSITION = alone(POSITIONS)
_TIMM = 'blocks.{block}'
_TRANSFORMERS = 'vit.encoder.layer.{block}'
_TORCHVISION = 'encoder.layers.encoder_layer_{block}'

NAMINGS = {
    'timm': (
        Rule('cls_token', f'{STEM}/class_token', alone(TOKEN)),
        Rule('pos_embed', f'{STEM}/positions', POSITION),
        Rule('patch_embed.proj', PATCHES, BIASED_CONV),
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
        Rule('encoder.pos_embedding', f'{STEM}/positions', POSITION),
        Rule('conv_proj', PATCHES, BIASED_CONV),
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
    'transformers': (
        Rule('vit.embeddings.cls_token', f'{STEM}/class_token', alone(TOKEN)),
        Rule('vit.embeddings.position_embeddings', f'{STEM}/positions', POSITION),
        Rule('vit.embeddings.patch_embeddings.projection', PATCHES, BIASED_CONV),
        Rule(f'{_TRANSFORMERS}.layernorm_before', f'{BLOCK}/norm1', NORM),
        *(
            Rule(
                f'{_TRANSFORMERS}.attention.attention.{name}',
                f'{BLOCK}/attention/qkv',
                DENSE,
                (index, 3),
            )
            for index, name in enumerate(('query', 'key', 'value'))
        ),
        Rule(
            f'{_TRANSFORMERS}.attention.output.dense', f'{BLOCK}/attention/out', DENSE
        ),
        Rule(f'{_TRANSFORMERS}.layernorm_after', f'{BLOCK}/norm2', NORM),
        Rule(f'{_TRANSFORMERS}.intermediate.dense', f'{BLOCK}/mlp/dense1', DENSE),
        Rule(f'{_TRANSFORMERS}.output.dense', f'{BLOCK}/mlp/dense2', DENSE),
        Rule('vit.layernorm', 'backbone/norm', NORM),
        Rule('vit.pooler.dense', '', dict.fromkeys(DENSE)),
        Rule('classifier', 'head/dense', DENSE),
    ),
}
