"""Addresses that nobody has used, and machines with a disk of their own."""

import itertools

import fsspec
import pytest

from tests.mirror.machines import Machine
from trainer.mirror import keeping, owner

numbers = itertools.count()


@pytest.fixture
def address():
    """One in memory that nobody has used; all of it goes afterwards."""
    memory = fsspec.filesystem('memory')
    name = f'bucket/run{next(numbers)}'
    yield f'memory://{name}'
    if memory.exists(name):
        memory.rm(name, recursive=True)


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """Two machines, each with a disk of its own."""
    return [Machine(tmp_path / name, monkeypatch) for name in ('one', 'two')]


@pytest.fixture
def quick(monkeypatch):
    """Nothing waits for long."""
    monkeypatch.setattr(keeping, 'LOOK', 0.01)
    monkeypatch.setattr(keeping, 'FILES_SECONDS', 0.01)
    monkeypatch.setattr(owner, 'LOOK', 0.02)
    monkeypatch.setattr(owner, 'BEAT', 0.05)
    monkeypatch.setattr(owner, 'SILENT', 0.2)
