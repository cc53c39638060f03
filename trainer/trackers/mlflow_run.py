"""Metrics, settings and files of a run to an MLflow server or store.

The same MLflow run is gone on with when ours is, and no point of it is written twice.
"""

import functools
import os
import pathlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence

import gin

from trainer import files, provenance
from trainer.trackers.start import Held, Start
from trainer.writers import MetricWriter, Scalars

FILE = 'mlflow.json'  # in the run directory: which MLflow run it is
SECONDS = 1.0  # between two requests
METRICS, PARAMS = 1000, 100  # that one request may hold, says MLflow
LINES = 100  # of metrics at once
LONGEST, LONGEST_NAME = 500, 250  # characters of a parameter, and of a name
STATUS = {'finished': 'FINISHED', 'interrupted': 'KILLED', 'failed': 'FAILED'}
QUIET = {'MLFLOW_DISABLE_TELEMETRY': 'true', 'MLFLOW_LOGGING_LEVEL': 'WARNING'}
KEPT = {'.json', '.jsonl', '.csv', '.gin', '.html', '.txt'}


@gin.register
class MlflowWriter(MetricWriter):
    """Logs to MLflow: run name and the tag `name` are `Experiment.name`.

    Every value of the config is a parameter, every logged number a metric, and at the
    end the files of the run directory and its pictures are artifacts. While a server is
    away, metrics are kept; it gets them when it answers again, or when the run goes on.

    Args:
      start: of the run.
      uri: of a server or a store ('http://...', 'sqlite:///mlflow.db'); None is what
        MLFLOW_TRACKING_URI says, else MLflow's own default.
      experiment: among whose runs it stands; made where it is missing. None is what
        MLFLOW_EXPERIMENT_NAME says, else 'Default'.
      tags: further ones.
      artifacts: whether files go there too.
    """

    needs = ('mlflow', 'mlflow-skinny')

    def __init__(
        self,
        start: Start,
        *,
        uri: str | None = None,
        experiment: str | None = None,
        tags: Mapping[str, str] | None = None,
        artifacts: bool = True,
    ):
        """Connects with nothing yet; see above."""
        self._start, self._uri, self._experiment = start, uri, experiment
        self._tags, self._artifacts = dict(tags or {}), artifacts
        self._unsent = [(_now(), row.pop('step'), row) for row in start.record]
        self._sent = 0.0

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Keeps a line, and sends what is kept once a second."""
        self._unsent.append((_now(), int(step), files.plain(scalars)))
        if time.monotonic() - self._sent > SECONDS:
            self.flush()

    def write_hparams(self, hparams: Mapping[str, object]) -> None:
        """Logs the parameters that the MLflow run has not; it can change none."""
        from mlflow.entities import Param

        client, run_id = self._run
        known = client.get_run(run_id).data.params
        named = {_name(key): str(value)[:LONGEST] for key, value in hparams.items()}
        new = [Param(*pair) for pair in named.items() if pair[0] not in known]
        for some in _parts(new, PARAMS):
            client.log_batch(run_id, params=some)

    def flush(self) -> None:
        """Sends what is kept; it stays kept where that fails."""
        self._sent = time.monotonic()
        while self._unsent:
            client, run_id = self._run
            lines = self._unsent[:LINES]
            metrics = [metric for line in lines for metric in self._metrics(*line)]
            for some in _parts(metrics, METRICS):
                client.log_batch(run_id, metrics=some)
            for _, step, scalars in lines:
                self._held.add(step, map(_name, scalars))
            del self._unsent[: len(lines)]

    def end(self, ending: str) -> None:
        """Sends the rest, the files, and how the run ended."""
        client, run_id = self._run
        try:
            self.flush()
            for path in _files(self._start.directory) if self._artifacts else ():
                folder = path.parent.relative_to(self._start.directory).as_posix()
                client.log_artifact(run_id, str(path), folder.strip('.') or None)
        finally:
            client.set_terminated(run_id, STATUS[ending])

    @functools.cached_property
    def _run(self) -> tuple:
        """The client, and the id of the run, which is begun or gone on with."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        client = MlflowClient(self._uri)
        path = self._start.directory / FILE
        run_id = files.read_json(path)['run_id'] if path.exists() else None
        if run_id is None or not _knows(client, run_id):
            run_id = self._begun(client)
            files.write_json(path, {'run_id': run_id})
        client.update_run(run_id, status='RUNNING', name=self._start.name)
        return client, run_id

    def _begun(self, client) -> str:
        """A new run's id."""
        name = self._experiment or os.environ.get('MLFLOW_EXPERIMENT_NAME', 'Default')
        known = client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else client.create_experiment(name)
        tags = {**_tags(self._start), **self._tags}
        return client.create_run(
            experiment, tags=tags, run_name=self._start.name
        ).info.run_id

    @functools.cached_property
    def _held(self) -> Held:
        """What the MLflow run has, as it says itself."""
        client, run_id = self._run
        names = client.get_run(run_id).data.metrics
        histories = {name: client.get_metric_history(run_id, name) for name in names}
        return Held({name: max(m.step for m in h) for name, h in histories.items()})

    def _metrics(self, now: int, step: int, scalars: Scalars) -> list:
        """What of a line the MLflow run has not."""
        from mlflow.entities import Metric

        named = {_name(name): value for name, value in scalars.items()}
        fresh = self._held.fresh(step, named)
        return [Metric(name, float(value), now, step) for name, value in fresh.items()]


def _knows(client, run_id: str) -> bool:
    """Whether the server has the run; another one may be asked than before."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != 'RESOURCE_DOES_NOT_EXIST':
            raise
        return False
    return True


def _tags(start: Start) -> dict[str, str]:
    """Whose run it is, from what, and where it lies."""
    attempts = provenance.attempts(start.directory)
    git = attempts[-1]['git'] if attempts else None
    source = {'mlflow.source.git.commit': git['commit']} if git else {}
    return {
        'name': start.name,
        'seed': str(start.config.get('seed')),
        'directory': str(start.directory.resolve()),
        'mlflow.source.name': 'juniper',
        **{key: value for key, value in source.items() if value},
    }


def _name(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r'[^\w\-. /]', '_', name)[:LONGEST_NAME]


def _now() -> int:
    return int(1000 * time.time())


def _parts(items: Sequence, size: int) -> Iterator[Sequence]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
    """What is small and for people in a run directory."""
    own = [path for path in directory.iterdir() if path.suffix in KEPT]
    own = [path for path in own if path.is_file() and not path.name.startswith('.')]
    return sorted(own) + sorted(directory.glob('pictures/*.png'))
