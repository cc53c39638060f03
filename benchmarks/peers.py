"""What Juniper is measured against: the same nets in plain PyTorch, our own words.

Needs torch; imports nothing of Juniper.
"""

import functools

import torch
from torch import nn


class ConvNorm(nn.Sequential):
    """Convolution without bias and batch normalisation."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1):
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            bias=False,
        )
        super().__init__(conv, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, in_channels, width, stride):
        super().__init__()
        self.conv1 = ConvNorm(in_channels, width, 3, stride)
        self.conv2 = ConvNorm(width, width, 3)
        self.shortcut = nn.Identity()
        if stride > 1 or in_channels != width:
            self.shortcut = ConvNorm(in_channels, width, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images):
        maps = self.conv2(self.relu(self.conv1(images)))
        return self.relu(maps + self.shortcut(images))


class ResNet18(nn.Sequential):
    """ResNet-18, 3x3 stem without pooling: `[B, C, H, W] -> [B, classes]`."""

    def __init__(self, in_channels, num_classes, size, stem=None):
        parts = stem or [ConvNorm(in_channels, 64, 3), nn.ReLU(inplace=True)]
        width = 64
        for stage, out in enumerate((64, 128, 256, 512)):
            parts += [BasicBlock(width, out, 2 if stage else 1)]
            parts += [BasicBlock(out, out, 1)]
            width = out
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, num_classes)]
        super().__init__(*parts)


def double_conv(in_channels, out_channels):
    """Twice a 3x3 convolution, normalised, with ReLU."""
    first = ConvNorm(in_channels, out_channels, 3), nn.ReLU(inplace=True)
    second = ConvNorm(out_channels, out_channels, 3), nn.ReLU(inplace=True)
    return nn.Sequential(*first, *second)


def imagenet_resnet18(in_channels, num_classes, size):
    """ResNet-18 with the 7x7 stem of stride 2, and pooling."""
    pool = nn.MaxPool2d(3, 2, 1)
    stem = [ConvNorm(in_channels, 64, 7, 2), nn.ReLU(inplace=True), pool]
    return ResNet18(in_channels, num_classes, size, stem)


class UNet(nn.Module):
    """U-Net of width 16 and three halvings: `[B, C, H, W] -> [B, classes, H, W]`."""

    def __init__(self, in_channels, num_classes, size):
        super().__init__()
        widths = (16, 32, 64, 128)
        pairs = zip((in_channels, *widths), widths, strict=False)
        self.down = nn.ModuleList(double_conv(*pair) for pair in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[:-1])
        self.merge = nn.ModuleList(double_conv(2 * w, w) for w in widths[:-1])
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, maps):
        skips = []
        for stage in self.down:
            maps = stage(nn.functional.max_pool2d(maps, 2) if skips else maps)
            skips.append(maps)
        for level in (2, 1, 0):
            joined = torch.cat([skips[level], self.up[level](maps)], dim=1)
            maps = self.merge[level](joined)
        return self.head(maps)


class Attention(nn.Module):
    """Self-attention with three heads."""

    def __init__(self, features, num_heads):
        super().__init__()
        self.qkv = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)
        self.num_heads = num_heads

    def forward(self, tokens):
        parts = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(-2))


class Residual(nn.Module):
    """Layer normalisation and a part, beside an identity."""

    def __init__(self, features, part):
        super().__init__()
        self.norm = nn.LayerNorm(features, eps=1e-6)
        self.part = part

    def forward(self, tokens):
        return tokens + self.part(self.norm(tokens))


class ViTTi(nn.Module):
    """ViT-Ti with a class token: `[B, C, H, W] -> [B, classes]`."""

    def __init__(self, in_channels, num_classes, size, patch=4, features=192):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, features, patch, patch)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, features))
        length = 1 + (size // patch) ** 2
        self.positions = nn.Parameter(0.02 * torch.randn(1, length, features))
        blocks = []
        for _ in range(12):
            hidden = nn.Linear(features, 4 * features)
            mlp = hidden, nn.GELU(), nn.Linear(4 * features, features)
            blocks += [Residual(features, Attention(features, 3))]
            blocks += [Residual(features, nn.Sequential(*mlp))]
        self.blocks = nn.Sequential(*blocks, nn.LayerNorm(features, eps=1e-6))
        self.head = nn.Linear(features, num_classes)

    def forward(self, images):
        patches = self.patches(images).flatten(2).transpose(1, 2)
        token = self.token.expand(len(patches), -1, -1)
        tokens = torch.cat([token, patches], dim=1) + self.positions
        return self.head(self.blocks(tokens)[:, 0])


class MLP(nn.Sequential):
    """Two layers of 256 with GELU and dropout: `[B, C, H, W] -> [B, classes]`."""

    def __init__(self, in_channels, num_classes, size):
        parts = [nn.Flatten()]
        width = in_channels * size**2
        for _ in range(2):
            gelu = nn.GELU(approximate='tanh')
            parts += [nn.Linear(width, 256), gelu, nn.Dropout(0.1)]
            width = 256
        super().__init__(*parts, nn.Linear(width, num_classes))


NETS = {
    'resnet18': ResNet18,
    'resnet18_imagenet': imagenet_resnet18,
    'vit_ti4': ViTTi,
    'vit_ti16': functools.partial(ViTTi, patch=16),
    'unet': UNet,
    'mlp': MLP,
}


def torch_step(name, images, labels, *, channels_last, fused, compiled=False):
    """A function of nothing that trains a net one AdamW step in float32.

    Args:
      name: one of `NETS`.
      images: `[B, H, W, C]` numpy float32.
      labels: `[B]` numpy int64, or `[B, H, W]` for 'unet'.
      channels_last: the memory format of the net and of its images.
      fused: AdamW as one kernel, where torch's default on CPU is a loop.
      compiled: the net goes through `torch.compile`, forwards and backwards.
    """
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = NETS[name](images.shape[-1], 10, images.shape[1]).to(memory_format=layout)
    run = torch.compile(net) if compiled else net
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    images, labels = images.to(memory_format=layout), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=1e-3, weight_decay=1e-4, fused=fused
    )

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(run(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
