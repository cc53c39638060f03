"""Metrics, settings and pictures of a run to Weights & Biases, or to its files offline.

The same W&B run is gone on with when ours is, and no point of it is written twice.
"""

import netrc
import os
import pathlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlparse

import gin
import numpy as np

from trainer import files
from trainer.trackers.start import Held, Start
from trainer.writers import MetricWriter, Scalars

FILE = 'wandb.json'  # in the run directory: which W&B run it is, and what that has
ADDRESS = 'https://api.wandb.ai'
EXIT_CODE = {'finished': 0, 'interrupted': 1, 'failed': 1}


@gin.register
class WandbWriter(MetricWriter):
    """Logs to Weights & Biases; the run's name there is `Experiment.name`.

    Args:
      start: of the run.
      project: None is what WANDB_PROJECT says, else W&B's own default.
      entity: user or team; None is the user's default.
      mode: 'offline' writes into the run directory what `wandb sync` sends later. None
        is what WANDB_MODE says, else 'online' where there is a key for the server
        (WANDB_API_KEY, or `wandb login` was done), else 'offline': it never asks.
      tags: of the run.
    """

    needs = ('wandb', 'wandb')

    def __init__(
        self,
        start: Start,
        *,
        project: str | None = None,
        entity: str | None = None,
        mode: Literal['online', 'offline', 'disabled'] | None = None,
        tags: Sequence[str] = (),
    ):
        """Begins the run, or goes on with it, and sends what of it is missing there."""
        import wandb

        self._path = start.directory / FILE
        known = files.read_json(self._path) if self._path.exists() else {}
        self._id = known.get('id') or secrets.token_hex(4)
        self._held = Held(known.get('held'))
        self._wandb, self._exit_code = wandb, EXIT_CODE['failed']
        self._run = wandb.init(
            project=project,
            entity=entity,
            name=start.name,
            id=self._id,
            resume='allow',
            reinit='create_new',
            dir=start.directory,
            config=dict(start.config),
            mode=mode or os.environ.get('WANDB_MODE') or _mode(),
            tags=list(tags) or None,
            settings=wandb.Settings(console='off', silent=True),
        )
        self._note()
        for row in start.record:
            self.write_scalars(row.pop('step'), row)

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Logs what of a line the W&B run has not."""
        fresh = self._held.fresh(step, files.plain(scalars))
        if fresh:
            self._run.log(fresh, step=step)
            self._held.add(step, fresh)
            self._note()

    def write_hparams(self, hparams: Mapping[str, object]) -> None:
        """Sets the configuration, also what a resumed run has changed of it."""
        self._run.config.update(dict(hparams), allow_val_change=True)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Logs images [N, H, W, C]."""
        named = {
            name: [self._wandb.Image(np.asarray(image)) for image in batch]
            for name, batch in images.items()
        }
        self._run.log(named, step=step)

    def write_histograms(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        num_buckets: Mapping[str, int] | None = None,
    ) -> None:
        """Logs histograms, of W&B's own number of buckets."""
        named = {
            name: self._wandb.Histogram(np.asarray(array).ravel())
            for name, array in arrays.items()
        }
        self._run.log(named, step=step)

    def end(self, ending: str) -> None:
        """Remembers how the run ended, for `close`."""
        self._exit_code = EXIT_CODE[ending]
        if ending == 'interrupted':
            self._run.mark_preempting()

    def close(self) -> None:
        """Sends the rest, or writes it."""
        self._run.finish(exit_code=self._exit_code)

    def _note(self) -> None:
        files.write_json(self._path, {'id': self._id, 'held': self._held.steps})


def _mode() -> str:
    """'online' where there is a key for the server."""
    if os.environ.get('WANDB_API_KEY'):
        return 'online'
    host = urlparse(os.environ.get('WANDB_BASE_URL', ADDRESS)).hostname
    try:
        path = os.environ.get('NETRC') or pathlib.Path.home() / '.netrc'
        return 'online' if netrc.netrc(path).authenticators(host) else 'offline'
    except (OSError, netrc.NetrcParseError, RuntimeError):
        return 'offline'
