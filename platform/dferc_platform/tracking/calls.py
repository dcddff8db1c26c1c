"""MLflow's calls, in pieces that it accepts."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any, TypeVar

from dferc_platform.tracking.datasets import CorpusDataset
from dferc_platform.tracking.records import Point, texts
from dferc_platform.tracking.store import Connection, import_mlflow

MAX_METRICS, MAX_PARAMS, MAX_TAGS = 1000, 100, 100  # of one log_batch call
MAX_PARAM_LENGTH, MAX_TAG_LENGTH = 500, 5000  # characters that older servers take, too

PARENT = "mlflow.parentRunId"

T = TypeVar("T")


class Calls:
    """What a sender needs of one MLflow experiment; every call may raise what MLflow raises."""

    def __init__(self, connection: Connection) -> None:
        self.client = connection.client
        self.experiment = connection.experiment
        self._entities = import_mlflow().entities

    def find(self, *conditions: str) -> list[Any]:
        """The runs of the experiment that meet all conditions, as MLflow's search syntax writes them."""
        found, token = [], None
        while True:
            page = self.client.search_runs([self.experiment], " and ".join(conditions), page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def create(self, name: str, started: int, tags: Mapping[str, str]) -> str:
        """A new run; its id."""
        tags = texts(tags, MAX_TAG_LENGTH)
        run = self.client.create_run(self.experiment, start_time=started, tags=tags, run_name=name)
        return str(run.info.run_id)

    def log_parameters(self, mlflow_id: str, parameters: Mapping[str, Any], known: Mapping[str, str]) -> None:
        """Log those that are not known yet: MLflow forbids changing one."""
        values = texts(parameters, MAX_PARAM_LENGTH)
        params = [self._entities.Param(name, value) for name, value in values.items() if name not in known]
        for some in _chunks(params, MAX_PARAMS):
            self.client.log_batch(mlflow_id, params=some)

    def log_metrics(self, mlflow_id: str, points: Iterable[Point]) -> None:
        """Log points of metrics; a repeated call leaves no point twice, for a point carries its own time."""
        metrics = [self._entities.Metric(point.name, point.value, point.at, point.step) for point in points]
        for some in _chunks(metrics, MAX_METRICS):
            self.client.log_batch(mlflow_id, metrics=some)

    def log_tags(self, mlflow_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        labels = [self._entities.RunTag(name, value) for name, value in texts(tags, MAX_TAG_LENGTH).items()]
        for some in _chunks(labels, MAX_TAGS):
            self.client.log_batch(mlflow_id, tags=some)

    def log_dataset(self, mlflow_id: str, corpus: CorpusDataset) -> None:
        """Note the corpus as the run's dataset; a repeated call changes nothing."""
        dataset = self._entities.Dataset(source_type="local", **asdict(corpus))
        context = self._entities.InputTag("mlflow.data.context", "training")
        self.client.log_inputs(mlflow_id, datasets=[self._entities.DatasetInput(dataset, [context])])


def tagged(name: str, value: str) -> str:
    """The search condition for a tag's value."""
    return f"tags.`{name}` = '{value}'"


def _chunks(values: Iterable[T], size: int) -> Iterable[list[T]]:
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk
