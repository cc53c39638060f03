"""What Juniper is measured against: the same nets in plain PyTorch, our own words.

Needs torch; imports nothing of Juniper.
"""

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
    """ResNet-18 with a 3x3 stem and no pooling: `[B, C, H, W] -> [B, classes]`."""

    def __init__(self, in_channels, num_classes):
        parts = [ConvNorm(in_channels, 64, 3), nn.ReLU(inplace=True)]
        width = 64
        for stage, out in enumerate((64, 128, 256, 512)):
            parts += [BasicBlock(width, out, 2 if stage else 1)]
            parts += [BasicBlock(out, out, 1)]
            width = out
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, num_classes)]
        super().__init__(*parts)


def torch_step(images, labels, *, channels_last, fused):
    """A function of nothing that trains ResNet-18 one AdamW step, eager, float32.

    Args:
      images: `[B, H, W, C]` numpy float32.
      labels: `[B]` numpy int64.
      channels_last: the memory format of the net and of its images.
      fused: AdamW as one kernel, where torch's default on CPU is a loop.
    """
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = ResNet18(images.shape[-1], 10).to(memory_format=layout)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    images, labels = images.to(memory_format=layout), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=1e-3, weight_decay=1e-4, fused=fused
    )

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
