"""What two runs must have in common to have ended alike, bit by bit."""

import json

from trainer.checkpoints import CheckpointStore


def timeless(workdir):
    """The lines of metrics.jsonl as text, without what was timed."""
    lines = (workdir / 'metrics.jsonl').read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        json.dumps({k: v for k, v in row.items() if not k.startswith('perf/')})
        for row in rows
    ]


def final_leaves(workdir):
    """Fingerprints of all that the last checkpoint holds."""
    store = CheckpointStore(workdir / 'checkpoints')
    return store.manifest(store.steps()[-1])['leaves']


def assert_same_end(one, other):
    """Metrics, final state and results are equal."""
    assert final_leaves(one) == final_leaves(other)
    assert timeless(one) == timeless(other)
    for name in ('results.json', 'training_history.json'):
        assert (one / name).read_text() == (other / name).read_text()
