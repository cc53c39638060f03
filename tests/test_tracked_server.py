"""A real MLflow server is told of a run by its name, its tags and its metrics."""

import contextlib
import importlib.metadata
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.several import free_port

# MLflow uses what other libraries of its own call deprecated.
pytestmark = pytest.mark.filterwarnings('ignore')
SECONDS = 120  # for the server to answer; it makes its tables first


@pytest.fixture
def server(tmp_path):
    """The address of a server that keeps all it is told below `tmp_path`."""
    try:
        importlib.metadata.version('mlflow')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('needs the full mlflow: mlflow-skinny has no server')
    port, log = free_port(), tmp_path / 'server.txt'
    command = [
        *(sys.executable, '-m', 'mlflow', 'server', '--host=127.0.0.1'),
        *(f'--port={port}', '--workers=1'),
        f'--backend-store-uri=sqlite:///{tmp_path}/server.db',
        f'--artifacts-destination={tmp_path}/artifacts',
    ]
    env = os.environ | {'MLFLOW_DISABLE_TELEMETRY': 'true'}
    with log.open('w') as out:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=out, stderr=out, process_group=0
        )
    try:
        address = f'http://127.0.0.1:{port}'
        wait(address, process, log)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers as well
        process.wait()


def wait(address: str, process: subprocess.Popen, log: pathlib.Path) -> None:
    """Until the server answers."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f'{address}/health', timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f'the server does not answer: {log.read_text()}')


@pytest.mark.slow
def test_a_server_has_the_name_the_tags_and_the_metrics(server, juniper, tmp_path):
    import mlflow

    done = juniper(
        *('--gin_file=configs/mlp.gin', '--gin.EPOCHS=1', '--gin.MLP.hidden_dim=16'),
        *('--gin.Experiment.writers=[@MlflowWriter]', '--name=told', '--workdir=run'),
        '--gin.MlflowWriter.experiment=vision',
        "--gin.MlflowWriter.tags={'team': 'seeds'}",
        MLFLOW_TRACKING_URI=server,
    )
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name('vision')
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ('told', 'FINISHED')
    assert (found.data.tags['name'], found.data.tags['team']) == ('told', 'seeds')
    assert 0 <= found.data.metrics['test/acc_top1'] <= 1
    losses = client.get_metric_history(found.info.run_id, 'train/loss')
    steps = [point.step for point in losses]
    assert steps and steps == sorted(set(steps))
    files = {artifact.path for artifact in client.list_artifacts(found.info.run_id)}
    assert {'report.html', 'results.json'} <= files
    assert list((tmp_path / 'artifacts').rglob('results.json'))
