"""Faults on purpose: whatever befalls a run, it ends as if nothing had, or says why."""
