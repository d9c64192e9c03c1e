"""The models by name: of each target the class of that name, in the module of that name."""

from importlib import import_module
from importlib.util import find_spec

from wanderbricks_assets.models.model import Model
from wanderbricks_assets.targets import TARGETS


def _model(name: str) -> type[Model]:
    if find_spec(f"wanderbricks_assets.models.{name}") is None:
        raise ImportError(f"targets.py asks for a model '{name}', and there is no models/{name}.py: add it")
    module = import_module(f"wanderbricks_assets.models.{name}")
    # isinstance() would load libraries that are to be loaded when first used.
    classes = (each for each in vars(module).values() if issubclass(type(each), type) and issubclass(each, Model))
    found = next((each for each in classes if getattr(each, "name", None) == name), None)
    if found is None:
        raise ImportError(f"{module.__file__} holds no Model of the name '{name}', which targets.py asks for")
    return found


MODELS: dict[str, type[Model]] = {name: _model(name) for name in TARGETS}
