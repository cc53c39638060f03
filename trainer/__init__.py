"""Juniper's trainer: from one gin file to a trained, traceable model."""

__version__ = '0.1.0'
