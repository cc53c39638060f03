"""The main job as a user of Lightning and torchmetrics would write it, our own words.

Needs torch, lightning, torchmetrics and tensorboard; imports nothing of Juniper but
its peers' nets. The digits come as an .npz that `benchmarks.main_job` writes.
"""

import argparse
import json
import math
import pathlib

import lightning
import numpy as np
import torch
import torchmetrics
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers import ResNet18

CLASSES, SIZE = 10, 8


class Digits(lightning.LightningModule):
    """ResNet-18 with the recipe of configs/resnet18.gin."""

    def __init__(self, total_steps: int, fused: bool):
        super().__init__()
        self.net = ResNet18(1, CLASSES, SIZE)
        self.total_steps, self.fused = total_steps, fused
        accuracy = torchmetrics.classification.MulticlassAccuracy
        self.train_accuracy = accuracy(CLASSES, average='micro')
        metrics = {
            'acc_top1': accuracy(CLASSES, average='micro'),
            'acc_top5': accuracy(CLASSES, top_k=5, average='micro'),
        }
        by_class = {'acc_class': accuracy(CLASSES, average=None)}
        self.scores, self.class_scores = nn.ModuleDict(), nn.ModuleDict()
        for split in ('val', 'test'):
            collection = torchmetrics.MetricCollection(metrics, prefix=f'{split}/')
            self.scores[f'of_{split}'] = collection.clone()
            collection = torchmetrics.MetricCollection(by_class, prefix=f'{split}/')
            self.class_scores[f'of_{split}'] = collection.clone()

    def training_step(self, batch, _):
        """One batch: pad, crop, loss with label smoothing 0.1."""
        images, labels = batch
        logits = self.net(pad_crop(images))
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
        self.train_accuracy(logits, labels)
        self.log('train/loss', loss, prog_bar=True, on_step=True, on_epoch=True)
        self.log('train/acc_top1', self.train_accuracy, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        """One batch of the evaluation data."""
        self.score('val', batch)

    def test_step(self, batch, _):
        """One batch of the test data."""
        self.score('test', batch)

    def score(self, split, batch):
        """Loss, top-1, top-5 and the accuracy of each class."""
        images, labels = batch
        logits = self.net(images)
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
        self.log(f'{split}/loss', loss)
        self.scores[f'of_{split}'].update(logits, labels)
        self.log_dict(self.scores[f'of_{split}'])
        self.class_scores[f'of_{split}'].update(logits, labels)

    def on_validation_epoch_end(self):
        """Logs the classes."""
        self.log_classes('val')

    def on_test_epoch_end(self):
        """Logs the classes."""
        self.log_classes('test')

    def log_classes(self, split):
        """The accuracy of each class, which Lightning cannot log as one vector."""
        metric = self.class_scores[f'of_{split}']
        values = metric.compute()[f'{split}/acc_class']
        self.log_dict({f'{split}/acc_class_{i}': v for i, v in enumerate(values)})
        metric.reset()

    def configure_optimizers(self):
        """AdamW with no decay on biases and norms; warm-up and cosine, each step."""
        kernels = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [{'params': kernels}, {'params': others, 'weight_decay': 0.0}]
        optimizer = torch.optim.AdamW(
            groups, lr=3e-3, weight_decay=1e-4, fused=self.fused
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.warmup_cosine)
        return [optimizer], [{'scheduler': schedule, 'interval': 'step'}]

    def warmup_cosine(self, step: int) -> float:
        """Linear from 1e-3 of the peak over 5 % of the run, cosine to 5 % of it."""
        warmup = round(0.05 * self.total_steps)
        if step < warmup:
            return 1e-3 + (1 - 1e-3) * step / warmup
        done = min(1.0, (step - warmup) / (self.total_steps - warmup))
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))


def pad_crop(images: torch.Tensor) -> torch.Tensor:
    """Pads by one pixel of zero light and crops, each image by its own draw."""
    count, _, height, width = images.shape
    padded = nn.functional.pad(images, (1, 1, 1, 1), value=-1.0)
    top, left = torch.randint(0, 3, (2, count, 1, 1))
    rows = top + torch.arange(height)[None, :, None]
    columns = left + torch.arange(width)[None, None, :]
    return padded[torch.arange(count)[:, None, None], 0, rows, columns][:, None]


def loader(digits, split: str, batch: int) -> DataLoader:
    """Batches of a split, in memory, as float32 in [-1, 1], [B, 1, H, W]."""
    images = digits[f'{split}_image'].astype(np.float32).transpose(0, 3, 1, 2)
    images = torch.from_numpy(images / 255 * 2 - 1)
    labels = torch.from_numpy(digits[f'{split}_label'].astype(np.int64))
    train = split == 'train'
    data = TensorDataset(images, labels)
    return DataLoader(data, batch, shuffle=train, drop_last=train)


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('--digits', required=True, help='.npz with the splits')
    flags.add_argument('--workdir', required=True)
    flags.add_argument('--epochs', type=int, default=10)
    flags.add_argument('--batch', type=int, default=128)
    flags.add_argument('--seed', type=int, default=0)
    flags.add_argument('--fused', action='store_true', help='AdamW as one kernel')
    flags = flags.parse_args()
    lightning.seed_everything(flags.seed)
    digits = np.load(flags.digits)
    train = loader(digits, 'train', flags.batch)
    # One checkpoint an epoch, as ours; the best by accuracy is tested at the end.
    checkpoint = ModelCheckpoint(monitor='val/acc_top1', mode='max', save_top_k=-1)
    trainer = lightning.Trainer(
        default_root_dir=flags.workdir,
        accelerator='cpu',
        max_epochs=flags.epochs,
        log_every_n_steps=10,
        gradient_clip_val=1.0,
        callbacks=[checkpoint],
    )
    model = Digits(flags.epochs * len(train), flags.fused)
    trainer.fit(model, train, loader(digits, 'eval', flags.batch))
    test = loader(digits, 'test', flags.batch)
    results = trainer.test(model, test, ckpt_path='best')[0]
    results['steps'] = trainer.global_step
    path = pathlib.Path(flags.workdir) / 'results.json'
    path.write_text(json.dumps(results))


if __name__ == '__main__':
    main()
