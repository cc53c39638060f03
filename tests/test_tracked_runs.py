"""MLflow's and W&B's own clients find what our writers sent, each point once."""

import functools
import json
import struct

import pytest

from tests.conftest import ROOT
from trainer import writers
from trainer.errors import Interrupted
from trainer.trackers import MlflowWriter, Trackers, WandbWriter

# Both libraries use what other libraries of theirs call deprecated.
pytestmark = pytest.mark.filterwarnings('ignore')
CONFIG = {'name': 'digits', 'epochs': 2, 'seed': 0, 'model.backbone': '@MLP'}


def start(directory, writer, step, until, ends=None, config=CONFIG):
    """A start of a run that goes on from a step, writes lines, and ends."""
    writers.truncate(directory / 'metrics.jsonl', step or -1)
    with (
        Trackers(directory, [writer]) as made,
        made.opened('digits', config, step) as w,
    ):
        for number in range(step + 1, until + 1):
            odd = None if number % 2 else 0.5
            w.write_scalars(number, {'train/loss': 1 / number, 'val/acc (a)': odd})
        if ends:
            raise ends


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """An MLflow client of a store in a file, and a writer into it."""
    client = pytest.importorskip('mlflow', reason='needs mlflow-skinny').MlflowClient
    monkeypatch.chdir(tmp_path)  # where such a store puts artifacts
    uri = f'sqlite:///{tmp_path}/mlflow.db'
    arguments = {'uri': uri, 'experiment': 'vision', 'tags': {'team': 'seeds'}}
    return client(uri), functools.partial(MlflowWriter, **arguments)


@pytest.fixture
def run(tmp_path):
    """A run directory."""
    path = tmp_path / 'run'
    path.mkdir()
    return path


def the_run(client):
    """The only MLflow run that there is."""
    experiment = client.get_experiment_by_name('vision')
    (found,) = client.search_runs([experiment.experiment_id])
    return found


def points(client, run_id, name):
    return [(m.step, m.value) for m in client.get_metric_history(run_id, name)]


def test_mlflow_has_one_run_of_ours_and_each_point_once(mlflow, run):
    client, writer = mlflow
    with pytest.raises(Interrupted):
        start(run, writer, 0, 5, Interrupted('SIGTERM'))
    assert the_run(client).info.status == 'KILLED'
    start(run, writer, 3, 8, config={**CONFIG, 'epochs': 3, 'further': 1})
    found = the_run(client)
    assert (found.info.run_name, found.info.status) == ('digits', 'FINISHED')
    assert found.data.tags['name'] == 'digits' and found.data.tags['team'] == 'seeds'
    assert found.data.params == {
        **{k: str(v) for k, v in CONFIG.items()},
        'further': '1',
    }
    losses = points(client, found.info.run_id, 'train/loss')
    assert losses == [(step, 1 / step) for step in range(1, 9)]
    odd = points(client, found.info.run_id, 'val/acc _a_')
    assert odd == [(2, 0.5), (4, 0.5), (6, 0.5), (8, 0.5)]
    assert 'metrics.jsonl' in {a.path for a in client.list_artifacts(found.info.run_id)}


def test_what_mlflow_missed_it_gets_when_the_run_goes_on(
    mlflow, run, capsys, monkeypatch
):
    client, writer = mlflow
    monkeypatch.setenv('MLFLOW_HTTP_REQUEST_MAX_RETRIES', '0')
    away = functools.partial(MlflowWriter, uri='http://127.0.0.1:9')
    start(run, away, 0, 3)
    said = capsys.readouterr().err
    assert said.count('MlflowWriter failed') == 1
    start(run, writer, 3, 4)
    losses = points(client, the_run(client).info.run_id, 'train/loss')
    assert losses == [(step, 1 / step) for step in range(1, 5)]


BLOCK, HEADER = 32768, 7  # bytes of W&B's files, which are LevelDB's logs


def wandb_records(path):
    """The protocol buffers in one W&B file."""
    data, at, whole = path.read_bytes(), HEADER, b''
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        size, kind = struct.unpack('<HB', data[at + 4 : at + HEADER])
        whole += data[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b''


def logged(directory):
    """What all W&B files of a run directory hold: (name, (step, value))."""
    from wandb.proto.wandb_internal_pb2 import Record

    for path in sorted(directory.glob('wandb/offline-run-*/run-*.wandb')):
        for record in map(Record.FromString, wandb_records(path)):
            if record.HasField('run'):
                yield 'run', (record.run.run_id, record.run.display_name)
            for item in record.history.item:
                name = item.key or '/'.join(item.nested_key)
                yield name, (record.history.step.num, json.loads(item.value_json))


def test_wandb_has_one_run_of_ours_and_each_point_once(run, monkeypatch):
    wandb = pytest.importorskip('wandb', reason='needs wandb')
    for name in ('WANDB_API_KEY', 'WANDB_MODE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('NETRC', str(run / 'none'))
    with pytest.raises(Interrupted):
        start(run, WandbWriter, 0, 5, Interrupted('SIGTERM'))
    start(run, WandbWriter, 3, 8)
    wandb.teardown()  # its own process writes the files
    found = list(logged(run))
    assert len({value for name, value in found if name == 'run'}) == 1
    assert next(value[1] for name, value in found if name == 'run') == 'digits'
    losses = [value for name, value in found if name == 'train/loss']
    assert losses == [(step, 1 / step) for step in range(1, 9)]


def test_a_run_is_tracked_from_the_command_line(mlflow, tmp_path, here, monkeypatch):
    client, _ = mlflow
    monkeypatch.setenv('MLFLOW_TRACKING_URI', f'sqlite:///{tmp_path}/mlflow.db')
    done = here(
        *(f'--gin_file={ROOT}/configs/mlp.gin', '--gin.EPOCHS=1'),
        *('--gin.MLP.hidden_dim=16', '--workdir=run'),
        '--gin.Experiment.writers=[@CsvWriter, @MlflowWriter]',
        '--gin.MlflowWriter.experiment=vision',
    )
    assert done.returncode == 0, done.stderr
    found = the_run(client)
    assert (found.info.run_name, found.data.tags['name']) == ('mlp', 'mlp')
    assert 0 <= found.data.metrics['test/acc_top1'] <= 1
    files = {artifact.path for artifact in client.list_artifacts(found.info.run_id)}
    assert {'report.html', 'results.json', 'metrics.csv', 'pictures'} <= files
