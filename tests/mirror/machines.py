"""Run directories without a net, and two machines that share a bucket."""

import json
import time

import fsspec

from trainer import manifest, mirror, rundir
from trainer.mirror.index import INDEX
from trainer.mirror.keeping import Keeper
from trainer.mirror.sides import Sides
from trainer.signals import Stop


class Machine:
    """A disk of its own, on which runs with an address live.

    Args:
      folder: its disk.
      monkeypatch: of pytest.
    """

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch

    def use(self):
        """From here on this process runs on this machine."""
        self.monkeypatch.setenv('JUNIPER_MIRRORS', str(self.folder))

    def place(self, address):
        """Where the run with an address lives here."""
        self.use()
        return Sides(address).place

    def keeper(self, address):
        """What keeps a run here; its threads send nothing by themselves."""
        self.use()
        return Keeper(Sides(address), Stop())

    def run(
        self, address, *steps, best=None, kept=(), finished=False, error=None, **flat
    ):
        """One start of a run that saves the steps and ends."""
        keeper = self.keeper(address)
        keeper.begin()
        place = keeper.sides.place
        write_run(place, **flat)
        for step in steps:
            save(place, step, best or step, kept)
        if finished:
            (place / rundir.RESULTS).write_text('{}')
        keeper.end(error)
        return place

    def fetched(self, address, which=None):
        """What a command that reads is given."""
        self.use()
        return mirror.fetched(address, which)


def write_run(place, **flat):
    """What a run writes at its start."""
    rundir.write_config(place, {'checkpoints.keep': 2, **flat})
    with (place / rundir.LOG).open('a') as log:
        log.write('begun\n')


def save(place, step, best=None, kept=(), content=b'weights'):
    """A checkpoint as a run leaves it; None kept, as one of before it said so."""
    partial = place / f'{step}.partial'
    (partial / 'd').mkdir(parents=True)
    (partial / 'd' / f'data{step}').write_bytes(content * step)
    position = {'tracker': {'best_step': best}}
    if kept is not None:
        position['kept'] = list(kept)
    facts = manifest.make(position, step, {})
    (partial / manifest.METADATA_FILE).write_text(
        json.dumps({'custom_metadata': facts})
    )
    (place / rundir.CHECKPOINTS).mkdir(exist_ok=True)
    with (place / rundir.METRICS).open('a') as metrics:
        metrics.write(f'{{"step": {step}}}\n')
    partial.rename(place / rundir.CHECKPOINTS / str(step))


def collect(place, step):
    """What a run does with a checkpoint that it keeps no longer."""
    from trainer.step_directories import StepDirectories

    StepDirectories(place / rundir.CHECKPOINTS).delete(step)


def steps(place):
    """The checkpoints in a directory."""
    from trainer.step_directories import StepDirectories

    return StepDirectories(place / rundir.CHECKPOINTS).steps()


def content(place):
    """Every file that is shown in a directory, with its bytes."""
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob('*')
        if path.is_file() and not path.name.startswith('.')
    }


def objects(address):
    """The names of all objects below an address."""
    files, root = fsspec.core.url_to_fs(address)
    return {name.removeprefix(root).lstrip('/') for name in files.find(root)}


def index_of(address):
    """What the bucket names, as JSON."""
    if INDEX not in objects(address):
        return {'files': {}, 'checkpoints': {}}
    files, root = fsspec.core.url_to_fs(address)
    return json.loads(files.cat_file(f'{root}/{INDEX}'))


def write(address, name, text):
    """Puts an object where somebody else might."""
    with fsspec.open(f'{address}/{name}', 'wb') as file:
        file.write(text)


def until(done, seconds=10):
    """Waits until something has come true beside."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
