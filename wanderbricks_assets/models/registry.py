"""MLflow: what was trained, how good it was, and which version serves.

Times in tags are ISO, naive UTC. A training run that could not learn is an MLflow run too, with the reason as a tag.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import dagster as dg

from wanderbricks_assets.lazy import pd
from wanderbricks_assets.models import training_files as files
from wanderbricks_assets.models.drift import reference, sample
from wanderbricks_assets.models.model import Evaluation, Model, Scores
from wanderbricks_assets.models.versions import Candidate, Champion, Registered
from wanderbricks_assets.resources.workspace import workspace
from wanderbricks_assets.targets import TARGETS, Target

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from wanderbricks_assets.settings import Settings

CUTOFF, REFUSAL, DAGSTER_RUN, RELEASE, PROMOTED = "cutoff", "refusal", "dagster_run_id", "release", "promoted"
CHALLENGER = "Challenger"
_FOR_SCHEMA = 1000  # rows that the schema of a dataset is inferred from
_SERVED = Path(__file__).parent / "served.py"
_REQUEST = "serving_input_example.json"  # MLflow's name
CARD, FLOOR, DECISION, REFERENCE = "model_card.md", "floor", "decision", "drift_reference.json"


class RegistryAway(Exception):
    """MLflow does not answer. The message is a sentence that says where it was looked for, and what to do."""


class ModelRegistry(dg.ConfigurableResource):
    """Tracking and registry at `tracking_uri`; artifacts of a local store lie in `artifact_folder`.

    At "databricks" (or "databricks://PROFILE") the registry is Unity Catalog, and `model_schema` the catalog.schema in
    it that holds the models.
    """

    tracking_uri: str
    artifact_folder: str
    model_schema: str | None = None
    ui_url: str = "http://127.0.0.1:5000"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The registry of a home."""
        return cls(
            tracking_uri=settings.tracking_uri,
            artifact_folder=str(settings.home / "mlflow-artifacts"),
            model_schema=settings.databricks_schema if settings.tracking_uri.startswith("databricks") else None,
        )

    def require(self) -> None:
        """Raise RegistryAway when MLflow does not answer: in a minute at most, by the limits that `home.py` sets."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.search_experiments(max_results=1)
        except MlflowException as error:
            innermost = str(error).rpartition(": ")[2].strip("'\")")
            raise RegistryAway(
                f"MLflow does not answer at {self.tracking_uri} ({innermost}); start it there, or set "
                "WANDERBRICKS_MLFLOW_TRACKING_URI to where it is"
            ) from error

    @contextmanager
    def training_run(self, target: Target, cutoff: datetime, dagster_run_id: str) -> Iterator[Run]:
        """One MLflow run, ended whatever happens: FINISHED, or FAILED when the body raises."""
        mlflow = self._mlflow
        tags = {"model": target.model, CUTOFF: cutoff.isoformat(), DAGSTER_RUN: dagster_run_id, RELEASE: target.release}
        with mlflow.start_run(
            experiment_id=self._experiment(target.experiment), run_name=f"{target.model} {cutoff:%Y-%m-%d}", tags=tags
        ) as run:
            yield run

    def close_runs(self, has_ended: Callable[[str], bool]) -> None:
        """Mark the training runs that are still open as failed, of which the Dagster run, by its id, has ended.

        Raises RegistryAway when MLflow does not answer.
        """
        self.require()
        experiments = [self._client.get_experiment_by_name(target.experiment) for target in TARGETS.values()]
        known = [experiment.experiment_id for experiment in experiments if experiment]
        if not known:
            return
        for run in self._client.search_runs(known, filter_string="attributes.status = 'RUNNING'"):
            if has_ended(run.data.tags.get(DAGSTER_RUN, "")):
                self._client.set_terminated(run.info.run_id, status="FAILED")

    def refuse(self, run: Run, reason: str) -> None:
        """Record that the data cannot support the model."""
        self._client.set_tag(run.info.run_id, REFUSAL, reason)

    def log(
        self, run: Run, model: Model, training: pd.DataFrame, inputs: pd.DataFrame, evaluation: Evaluation, card: str
    ) -> None:
        """Log everything about a fitted model into the active run.

        inputs: what it would predict from at its cutoff: an example, and the reference that drift is measured from;
        card: the model card, in Markdown.
        """
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset

        mlflow, target = self._mlflow, model.target()
        cutoff = run.data.tags[CUTOFF]
        mlflow.log_params({**model.params, "seed": model.seed, "training_rows": len(training)})
        # Not mlflow.data.from_pandas, which looks at every value in Python: half a minute for a million rows.
        dataset = MetaDataset(  # type: ignore[abstract]  # what MLflow declares abstract it does not demand
            CodeDatasetSource({"tables": ", ".join(model.reads), CUTOFF: cutoff}),
            name=f"{target.model} as of {cutoff}",
            digest=files.digest(training),
            schema=mlflow.models.infer_signature(files.without_nested(training).head(_FOR_SCHEMA)).inputs,
        )
        mlflow.log_input(dataset, context="training")
        with tempfile.TemporaryDirectory() as folder:
            mlflow.log_artifacts(str(files.write_evaluation(Path(folder) / "evaluation", evaluation)))
            mlflow.log_text(card, CARD)
            said = reference(model.predict(sample(inputs)))
            mlflow.log_dict({"inputs": reference(inputs), "predictions": said}, REFERENCE)
            model_folder = Path(folder) / "model"
            model_folder.mkdir()
            (model_folder / "model.json").write_text(json.dumps({"model": target.model}))
            model.save(model_folder)
            example = inputs.head(5)
            info = mlflow.pyfunc.log_model(
                name=target.model,
                python_model=str(_SERVED),
                artifacts={"model": str(model_folder)},
                signature=mlflow.models.infer_signature(example, model.predict(example)),
                input_example=example,
                pip_requirements=["wanderbricks-assets", *model.flavours],
            )
        metrics = {target.metric: evaluation.metric.value, **evaluation.metrics}
        mlflow.log_metrics(
            {name: float(value) for name, value in metrics.items()}, dataset=dataset, model_id=info.model_id
        )

    def register(self, target: Target, run_id: str) -> str:
        """Make a finished run's model a version, once, and the challenger; returns the version.

        Only after the run has ended: a process that was killed earlier leaves a run that failed, and no version.
        """
        versions = self._versions(target, run_id)
        version = str(versions[0].version) if versions else self._create_version(target, self.run(run_id))
        self._client.set_registered_model_alias(self._name(target), CHALLENGER, version)
        return version

    def run(self, run_id: str) -> Run:
        return self._client.get_run(run_id)

    def page(self, run: Run) -> str:
        """Where a person looks at a run: in MLflow's own UI, or in the workspace's."""
        where = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        if self.model_schema is None:
            return f"{self.ui_url}/#/{where}"
        from mlflow.utils.databricks_utils import get_databricks_host_creds

        return f"{get_databricks_host_creds(self.tracking_uri).host.rstrip('/')}/ml/{where}"

    def learned_from(self, run_id: str) -> str:
        """The digest of the training set that a run logged: see `digest`."""
        return self.run(run_id).inputs.dataset_inputs[0].dataset.digest

    def serving_example(self, target: Target, version: str) -> dict[str, object]:
        """The request, as a serving endpoint takes it, that was logged with a version's model."""
        address = f"models:/{self._name(target)}/{version}/{_REQUEST}"
        return self._mlflow.artifacts.load_dict(address)

    def card(self, run_id: str) -> str:
        """The model card that a run logged, in Markdown."""
        with self._artifact(run_id, CARD) as file:
            return file.read_text()

    def candidate(self, target: Target, cutoff: datetime | None = None) -> Candidate | None:
        """The newest training by cutoff (or that of one cutoff), and of several the last; None before the first."""
        experiment = self._client.get_experiment_by_name(target.experiment)
        if experiment is None:
            return None
        runs = self._client.search_runs(
            [experiment.experiment_id],
            filter_string="attributes.status = 'FINISHED'"
            + (f" and tags.{CUTOFF} = '{cutoff.isoformat()}'" if cutoff else ""),
            order_by=[f"tags.{CUTOFF} DESC", "attributes.start_time DESC"],
            max_results=1,
        )
        if not runs:
            return None
        run, tags = runs[0], runs[0].data.tags
        versions = self._versions(target, run.info.run_id)
        return Candidate(
            cutoff=datetime.fromisoformat(tags[CUTOFF]),
            run_id=run.info.run_id,
            version=str(versions[0].version) if versions else None,
            refusal=tags.get(REFUSAL),
            decision=versions[0].tags.get(DECISION) if versions else None,
        )

    def scores(self, run_id: str) -> Scores:
        """The scores that a training run logged."""
        if run_id not in self._scores:  # a run's scores never change, and gates, promotion and scoreboard all ask
            with self._artifact(run_id, files.SCORES) as folder:
                self._scores[run_id] = files.read_scores(folder)
        return self._scores[run_id]

    def reference(self, run_id: str) -> dict[str, dict]:
        """How `inputs` and `predictions` were distributed at training (models/drift.py); empty of versions older than
        that."""
        from mlflow.exceptions import MlflowException

        try:
            return self._mlflow.artifacts.load_dict(f"runs:/{run_id}/{REFERENCE}")
        except MlflowException:
            if REFERENCE in (file.path for file in self._client.list_artifacts(run_id)):
                raise
            return {}

    def metrics(self, run_id: str) -> dict[str, float]:
        """The metrics that a training run logged: the target's under its name, and those beside it."""
        return self.run(run_id).data.metrics

    def evaluated_rows(self, run_id: str) -> pd.DataFrame:
        """The evaluated predictions that a training run logged: see Evaluation."""
        with self._artifact(run_id, files.ROWS) as file:
            return pd.read_parquet(file)

    def floor(self, run_id: str) -> float | None:
        """What `record_floor` has recorded."""
        return self.metrics(run_id).get(FLOOR)

    def record_floor(self, run_id: str, floor: float, meaning: str) -> None:
        """Put on record, and into the model card, what is known with the truth: `meaning` says what the figure is."""
        self._client.log_metric(run_id, FLOOR, floor)
        card = f"{self.card(run_id)}\n\n**With the truth known.** {meaning}: {floor:.4g}.\n"
        self._client.log_text(run_id, card, CARD)

    def champion(self, target: Target, moment: datetime | None = None) -> Champion | None:
        """The version that serves, or served at a past moment, ready to predict."""
        version = self.serving_version(target, moment)
        if version is None:
            return None
        tags = self._client.get_model_version(self._name(target), version).tags
        pyfunc = self._mlflow.pyfunc.load_model(f"models:/{self._name(target)}/{version}")
        return Champion(version, datetime.fromisoformat(tags[CUTOFF]), pyfunc.unwrap_python_model().model, pyfunc)

    def serving_version(self, target: Target, moment: datetime | None = None) -> str | None:
        """The version under the alias of the target's stage.

        At a past moment, the newest promoted version that had seen nothing later than it: the alias's, if that is one.
        """
        serving = self._under_alias(target)
        if moment is None:
            return serving
        promoted = [
            version
            for version in self._versions(target)
            if version.tags.get(PROMOTED) and datetime.fromisoformat(version.tags[CUTOFF]) <= moment
        ]
        newest = max(promoted, key=lambda version: (version.tags[CUTOFF], int(version.version)), default=None)
        chosen = next((version for version in promoted if str(version.version) == serving), newest)
        return str(chosen.version) if chosen else None

    def _under_alias(self, target: Target) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(self._name(target), target.stage).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def registered(self, target: Target) -> list[Registered]:
        """Every version of a model, the newest first."""
        found = [
            Registered(
                version=str(version.version),
                cutoff=datetime.fromisoformat(version.tags[CUTOFF]),
                run_id=version.run_id,
                decision=version.tags.get(DECISION),
                promoted=PROMOTED in version.tags,
            )
            for version in self._versions(target)
        ]
        return sorted(found, key=lambda one: (one.cutoff, int(one.version)), reverse=True)

    def run_of(self, target: Target, version: str) -> str:
        return self._client.get_model_version(self._name(target), version).run_id

    def cutoff_of(self, target: Target, version: str) -> datetime:
        """The moment up to which a version has seen the world."""
        return datetime.fromisoformat(self._client.get_model_version(self._name(target), version).tags[CUTOFF])

    def record_decision(self, target: Target, version: str, decision: str) -> None:
        """Keep with a version why it serves, or does not."""
        self._client.set_model_version_tag(self._name(target), version, DECISION, decision)

    def promote(self, target: Target, version: str) -> None:
        """Let a version serve: move the alias, and the stage where the registry still knows stages."""
        name = self._name(target)
        self._client.set_model_version_tag(name, version, PROMOTED, "true")
        if self.model_schema is None:  # Unity Catalog refuses stages
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # that they are deprecated is known
                self._client.transition_model_version_stage(name, version, target.stage, archive_existing_versions=True)
        self._client.set_registered_model_alias(name, target.stage, version)

    def _create_version(self, target: Target, run: Run) -> str:
        from mlflow.exceptions import MlflowException

        name, run_id = self._name(target), run.info.run_id
        [model] = self._client.search_logged_models(
            [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
        )
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {key: run.data.tags[key] for key in (CUTOFF, RELEASE)}
        version = self._client.create_model_version(name, model.model_uri, run_id, tags=tags, model_id=model.model_id)
        return str(version.version)

    @contextmanager
    def _artifact(self, run_id: str, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as place:
            yield Path(self._mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{name}", dst_path=place))

    def _versions(self, target: Target, run_id: str | None = None) -> list[ModelVersion]:
        """The versions of a model, or those that one run has made."""
        name = self._name(target)
        if self.model_schema is None:
            of_run = f" and run_id = '{run_id}'" if run_id else ""
            return list(self._client.search_model_versions(f"name = '{name}'{of_run}"))
        # Unity Catalog takes a single condition, answers by the page, and finds versions without their tags.
        condition, token = f"run_id = '{run_id}'" if run_id else f"name = '{name}'", None
        found: list[ModelVersion] = []
        while token != "":
            page = self._client.search_model_versions(condition, page_token=token)
            found, token = [*found, *page], page.token or ""
        return [self._client.get_model_version(name, each.version) for each in found if each.name == name]

    def _name(self, target: Target) -> str:
        """The model's name in this registry."""
        return f"{self.model_schema}.{target.registered_name}" if self.model_schema else target.registered_name

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = (Path(self.artifact_folder) / name.strip("/")).as_uri()
            if self.model_schema:  # artifacts lie in the workspace, where an experiment needs its folder
                location = None
                workspace().workspace.mkdirs(str(Path(name).parent))
            try:
                return self._client.create_experiment(name, artifact_location=location)
            except MlflowException:  # another process made it a moment ago
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        return experiment.experiment_id

    @cached_property
    def _scores(self) -> dict[str, Scores]:
        return {}

    @cached_property
    def _client(self) -> MlflowClient:
        return self._mlflow.MlflowClient()

    @property
    def _mlflow(self):
        import mlflow

        if mlflow.get_tracking_uri() != self.tracking_uri:
            mlflow.set_tracking_uri(self.tracking_uri)
            catalog = f"databricks-uc{self.tracking_uri.removeprefix('databricks')}"
            mlflow.set_registry_uri(catalog if self.model_schema else self.tracking_uri)
            logging.getLogger("mlflow").setLevel(logging.WARNING)
            # Features are complete by contract; MLflow cannot know that and asks for it in every run.
            warnings.filterwarnings("ignore", message="Hint: Inferred schema contains integer column")
        return mlflow
