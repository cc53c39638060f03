"""Tasks: what a net is to learn, one file each; a new file here needs no other change.

Importing the package imports every file in it, so that gin knows each task by name.
"""

import importlib
import pkgutil

from trainer.tasks.task import Task

__all__ = ['Task']

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
