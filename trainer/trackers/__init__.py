"""Where metrics go beside metrics.jsonl: `Experiment.writers` by name.

A writer is anything registered that is called with a `Start` and gives a
`MetricWriter`. Imports no tracker's package: a writer does so where it needs it.
"""

from trainer.trackers.csv_file import CsvWriter
from trainer.trackers.mlflow_run import MlflowWriter
from trainer.trackers.opened import MultiWriter, Trackers
from trainer.trackers.start import Start
from trainer.trackers.tensorboard import TensorBoardWriter
from trainer.trackers.wandb_run import WandbWriter

__all__ = [
    'CsvWriter',
    'MlflowWriter',
    'MultiWriter',
    'Start',
    'TensorBoardWriter',
    'Trackers',
    'WandbWriter',
]
