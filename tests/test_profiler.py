"""A trace holds the steps that were asked for, and a run that is traced goes on."""

import jax

from trainer.profiler import Profile, Tracer

SMALL = ('--gin_file=configs/mlp.gin', '--gin.EPOCHS=1', '--gin.MLP.hidden_dim=16')
PROFILE = ('--gin.Experiment.profile=@Profile()', '--gin.Profile.first=3')


def test_the_trace_holds_the_steps_that_were_asked_for(here, tmp_path):
    done = here(*SMALL, *PROFILE, '--gin.Profile.steps=2', '--workdir=run')
    assert done.returncode == 0, done.stderr
    (trace,) = (tmp_path / 'run/profile').rglob('*.xplane.pb')
    data = jax.profiler.ProfileData.from_file(str(trace))
    events = [e for plane in data.planes for line in plane.lines for e in line.events]
    steps = [dict(e.stats)['step_num'] for e in events if e.name == 'train']
    assert sorted(map(int, steps)) == [3, 4]
    assert list((tmp_path / 'run/profile').rglob('*.trace.json.gz'))


def test_a_run_that_ends_within_its_trace_leaves_one(here, tmp_path):
    done = here(*SMALL, *PROFILE, '--gin.Profile.steps=999', '--workdir=run')
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / 'run/profile').rglob('*.xplane.pb'))) == 1


def test_steps_within_one_dispatch_are_traced_with_all_of_it(tmp_path, monkeypatch):
    """As on a GPU or TPU with its data on it: steps 1 to 8, 9 to 16 and so on."""
    told = []
    monkeypatch.setattr(jax.profiler, 'start_trace', lambda place: told.append('start'))
    monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: told.append('stop'))
    with Tracer(Profile(first=10, steps=5), tmp_path) as tracer:
        for first in (1, 9, 17):
            with tracer.step(first, 8):
                told.append(first)
            tracer.sent(first + 7, None)
    assert told == [1, 'start', 9, 'stop', 17]
