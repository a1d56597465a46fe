"""Names of the files that a project makes."""

from __future__ import annotations

from mobiledeploy.contract import Target
from mobiledeploy.deploy.project.schema import Model, Settings
from mobiledeploy.deploy.wanted import Wanted, file_stem
from mobiledeploy.errors import UnsupportedError
from mobiledeploy.models import DEFAULT_MODEL
from mobiledeploy.runtimes.formats import FORMATS

PACKAGES = "packages"
FLOAT = Wanted("fp32")


def model_of(settings: Settings) -> Model:
    """What is deployed; the default model where nothing is said."""
    return settings.model or Model()


def stem(settings: Settings) -> str:
    """Stem of the model's files, without what their arithmetic adds."""
    model = model_of(settings)
    return file_stem(model.name or DEFAULT_MODEL, width=model.width, resolution=model.resolution)


def wanted(settings: Settings) -> Wanted:
    """The arithmetic that is asked for."""
    asked = settings.convert
    return Wanted(asked.precision, asked.input_dtype, asked.output_dtype)


def file_name(settings: Settings, target: Target, arithmetic: Wanted) -> str:
    """Of the model in one format and arithmetic, like ``mobilenet_v1_0.25_int8.tflite``."""
    return f"{stem(settings)}{arithmetic.suffix}{FORMATS[target].suffix}"


def product(settings: Settings, target: Target) -> str:
    """Path of the file that is deployed in one format."""
    return f"{settings.convert.output}/{file_name(settings, target, wanted(settings))}"


def float_file(settings: Settings, target: Target) -> str:
    """Path of the float file that it is compared with."""
    return f"{settings.convert.output}/{file_name(settings, target, FLOAT)}"


def packaged_target(settings: Settings, platform: str, where: str) -> Target:
    """The format that a platform's package holds.

    Raises:
        UnsupportedError: the platform takes none of the project's.
    """
    from mobiledeploy.deploy.packages.platforms import find_platform

    targets, takes = settings.convert.targets, find_platform(platform).targets
    asked = settings.packages_by_name()[platform].target
    able = [target for target in targets if target in takes and asked in (None, target)]
    if not able:
        raise UnsupportedError(
            f"a package for {platform} holds {asked or ' or '.join(takes)}, and convert.targets has "
            f"{', '.join(targets)}",
            where=where,
            hint=f"Add {asked or takes[0]} to convert.targets",
        )
    return able[0]


def package_folder(settings: Settings, platform: str) -> str:
    """Path of a platform's package."""
    return f"{settings.convert.output}/{PACKAGES}/{platform}"
