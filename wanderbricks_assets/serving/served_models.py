"""The promoted versions, ready to predict: loaded when the server starts, and again when another one is promoted."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from wanderbricks_assets.serving.errors import unavailable, unknown
from wanderbricks_assets.serving.frames import as_json
from wanderbricks_assets.targets import TARGETS, Target

if TYPE_CHECKING:
    from wanderbricks_assets.models.registry import ModelRegistry
    from wanderbricks_assets.models.versions import Champion

logger = logging.getLogger(__name__)

LONGEST = 300.0  # seconds between two tries of a version that cannot be used


@dataclass(frozen=True)
class Unserved:
    """A model of which no version may serve, and the sentence that says why; `candidate` is the run it is about."""

    reason: str
    candidate: str | None


@dataclass(frozen=True)
class Broken:
    """A version that may serve and cannot: what it raised when it was loaded and used, how often, and when (of the
    monotonic clock) it is tried again."""

    version: str
    reason: str
    tries: int
    again: float


class ServedModels:
    """The five models by name. A thread looks at the registry every few seconds and loads what was promoted beside what
    serves; then one assignment puts it in its place, so a request sees the old version or the new one.

    While the registry cannot be read, the versions that are loaded go on serving. A version that cannot be used is left
    alone until another one is promoted, but for tries that are ever further apart, at most LONGEST seconds.
    """

    def __init__(self, registry: Callable[[], ModelRegistry], every: float = 5.0):
        """registry: makes the registry, in the thread, as what it imports takes seconds; every: seconds."""
        self._make, self._every = registry, every
        self._models: dict[str, Champion | Unserved] = {}
        self._broken: dict[str, Broken] = {}
        self._loaded: Future[None] = Future()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="served-models", daemon=True)
        self.failures = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def is_ready(self) -> bool:
        return self._loaded.done()

    async def ready(self) -> None:
        """Wait until the registry has been read once."""
        if not self._loaded.done():
            await asyncio.shield(asyncio.wrap_future(self._loaded))

    def target(self, name: str) -> Target:
        """The model of a name, with or without `wanderbricks_`. Raises ApiError (404)."""
        target = TARGETS.get(name.removeprefix("wanderbricks_"))
        if target is None:
            known = ", ".join(target.registered_name for target in TARGETS.values())
            raise unknown(f"No served model has the name '{name[:100]}'; there are {known}.")
        return target

    def champion(self, target: Target) -> Champion:
        """The version that serves. Raises ApiError: 404, with the reason, where none has passed its gates, and 503
        where the registry could not be read yet."""
        model = self._models.get(target.model)
        if model is None:
            broken = self._broken.get(target.model)
            what = broken_sentence(broken) if broken else "It could not be loaded yet; see the log of the server."
            raise unavailable(f"{target.registered_name}: {what}")
        if isinstance(model, Unserved):
            raise unknown(f"No version of {target.registered_name} may serve: {model.reason}")
        return model

    def broken(self) -> dict[str, Broken]:
        """The versions that should serve and cannot, by registered name."""
        return {TARGETS[name].registered_name: broken for name, broken in self._broken.items()}

    def champions(self) -> dict[str, Champion]:
        """What serves, by the name of the model."""
        return {name: model for name, model in self._models.items() if not isinstance(model, Unserved)}

    def versions(self) -> dict[str, str]:
        """The versions that serve, by registered name."""
        return {TARGETS[name].registered_name: champion.version for name, champion in self.champions().items()}

    def _follow(self) -> None:
        while not self._stop.is_set():
            for target in TARGETS.values():
                try:
                    self._refresh(target)
                except Exception:
                    # The registry may be away for a while: what is loaded serves on, and the next look may succeed.
                    self.failures += 1
                    logger.exception("%s could not be read from the registry", target.registered_name)
            if not self._loaded.done():
                # What was loaded stays: a collection that looks through it all would stop every request meanwhile.
                gc.collect()
                gc.freeze()
                self._loaded.set_result(None)
            self._stop.wait(self._every)

    @cached_property
    def _registry(self) -> ModelRegistry:
        return self._make()

    def _refresh(self, target: Target) -> None:
        before, version = self._models.get(target.model), self._registry.serving_version(target)
        if version is None:
            self._models[target.model] = _unserved(self._registry, target, before)
        elif before is None or isinstance(before, Unserved) or before.version != version:
            self._load(target, version)
        if version is None or getattr(self._models.get(target.model), "version", None) == version:
            self._broken.pop(target.model, None)

    def _load(self, target: Target, version: str) -> None:
        broken = self._broken.get(target.model)
        known = broken is not None and broken.version == version
        if known and time.monotonic() < broken.again:
            return
        try:
            champion = self._registry.champion(target)
            if champion is None:  # taken back since
                return
            _use_once(champion)
        except Exception as error:
            tries = broken.tries + 1 if known else 1
            again = time.monotonic() + min(self._every * 2**tries, LONGEST)
            self._broken[target.model] = Broken(version, f"{type(error).__name__}: {error}", tries, again)
            logger.exception("Version %s of %s cannot be used", version, target.registered_name)
        else:
            self._models[target.model] = champion
            logger.info("Version %s of %s serves", champion.version, target.registered_name)


def broken_sentence(broken: Broken) -> str:
    return f"Version {broken.version} should serve and cannot: {broken.reason}"


def _unserved(registry: ModelRegistry, target: Target, before: Champion | Unserved | None) -> Unserved:
    from wanderbricks_assets.models.lifecycle import decide

    candidate = registry.candidate(target)
    run = candidate.run_id if candidate else None
    if isinstance(before, Unserved) and before.candidate == run:
        return before
    return Unserved(decide(target, candidate, registry).reason, run)


def _use_once(champion: Champion) -> None:
    """The first prediction is slow, as libraries are loaded for it: it is made before any request waits for one."""
    example = champion.pyfunc.input_example
    as_json(champion.model.predict_columns({name: example[name].to_numpy() for name in example}))
