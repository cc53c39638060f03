"""Run directories written by hand: what a report and a comparison read, in no time."""

import json

import numpy as np

from trainer import evidence, rundir

HOSTILE = '</style><script>alert("x")</script><img src=http://evil.example/a.png>'


def write_run(place, *, score=0.5, seed=0, rate=0.1, names=('cat', 'dog', 'owl')):
    """A finished run of a classifier, of 60 test examples.

    Args:
      place: its directory.
      score: `test/loss`.
      seed, rate: of its config.
      names: of its classes.
    """
    place.mkdir(parents=True)
    config = {'name': 'toy', 'model': '@Net', 'optimizer.rate': rate, 'seed': seed}
    rundir.write_config(place, config)
    origins = {'optimizer.rate': f'{names[0]}.gin:3'}
    told = {'origins': origins, 'defaults': {'optimizer.rate': 0.2}}
    (place / rundir.ORIGINS).write_text(json.dumps(told))
    lines = [
        {
            'step': step,
            'epoch': step // 10,
            'train/loss': 2 / step,
            'val/loss': 1 / step,
        }
        | {'learning_rate': rate, 'train/grad_norm': 1.0, 'perf/images_per_second': 9.0}
        | {'perf/step_ms_p50': 7.25, 'perf/step_ms_p95': 9.5}
        for step in (10, 20, 30)
    ]
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    (place / rundir.METRICS).write_text(text)
    results = {'step': 30, 'total_steps': 30, 'best/step': 30}
    results |= {'val/loss': 1 / 30, 'test/loss': score, 'test/acc_top1': 0.9}
    (place / rundir.RESULTS).write_text(json.dumps(results))
    (place / rundir.TIMES).write_text(json.dumps([times()]))
    evidence.write(place, 'test', answers(names))
    return place


def times():
    """What a start leaves of its time."""
    seconds = {'import': 1.0, 'compile': 2.0, 'steps': 6.5, 'evaluation': 0.5}
    facts = {'device': 'TPU v4', 'batch': 8, 'flops_per_step': 1e9, 'parameters': 10}
    memory = {'host': 2**30, 'device': 2**28}
    counts = {'train': 80, 'test': 60}
    found = {'seconds': seconds, 'memory': memory, 'examples': counts, **facts}
    return {'started': 'now', 'data': 'toys', **found}


def answers(names):
    """Evidence of a classifier that is right in nine of ten."""
    rng = np.random.default_rng(0)
    label = rng.integers(len(names), size=60)
    guess = np.where(np.arange(60) % 10 == 0, (label + 1) % len(names), label)
    guesses = np.stack([guess, (guess + 1) % len(names)], axis=1)
    sure = rng.uniform(0.5, 1, 60)
    return {
        'step': 30,
        'names': list(names),
        'label': label,
        'guesses': guesses,
        'probabilities': np.stack([sure, 1 - sure], axis=1),
    }
