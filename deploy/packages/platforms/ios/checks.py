"""What a Swift package can have wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mobiledeploy.contract import Target
from mobiledeploy.deploy.packages.checking import join
from mobiledeploy.deploy.packages.manifest import Manifest
from mobiledeploy.deploy.packages.platforms.ios.core_ml import CoreMLNeeds, read_needs
from mobiledeploy.deploy.packages.platforms.ios.values import TEMPLATES, contract_values, module_name
from mobiledeploy.deploy.packages.templating import Templates
from mobiledeploy.deploy.packages.trees import Tree
from mobiledeploy.errors import MobileDeployError

PACKAGE = "Package.swift"
_TARGETS: dict[str, Target] = {"onnx": "onnx", "tflite": "tflite"}
_RESOURCE = re.compile(r'\.(?:process|copy)\("([^"\\]+)"\)')
_POD_IOS = re.compile(r'ios\.deployment_target *= *"([0-9.]+)"')
_IOS = re.compile(r'\.iOS\((?:"([0-9.]+)"|\.v([0-9_]+))\)')


def check_ios(tree: Tree, folder: str, manifest: Manifest) -> Iterator[str]:
    """See ``Platform.check``."""
    sources = f"Sources/{module_name(manifest.name)}"
    if folder != f"{sources}/Resources":
        yield f"the model lies in {folder or 'the root'}, {PACKAGE} has it in {sources}/Resources"
        return
    suffix = manifest.model.rpartition(".")[2]
    target: Target = _TARGETS.get(suffix, "coreml")
    try:
        needs = _needs(tree, folder, manifest) if target == "coreml" else None
        known = contract_values(manifest.contract, target, manifest.sha256, needs)
    except MobileDeployError as error:
        yield f"{manifest.model}: {error.what}"
        return
    path = f"{sources}/ModelContract.swift"
    wanted = Templates(TEMPLATES).render("ModelContract.swift.j2", **known)
    if path not in tree.names():
        yield f"{path} is not there"
    elif tree.read(path).decode(errors="replace").split() != wanted.split():
        yield f"{path} is not what the contract says"
    if target == "tflite":
        yield from _declared_in_pod(tree, manifest, known["ios"])
    else:
        yield from _declared(tree, manifest, known["ios"])


def _needs(tree: Tree, folder: str, manifest: Manifest) -> CoreMLNeeds:
    inside = join(folder, manifest.model) + "/"
    files = {name.removeprefix(inside): tree.read(name) for name in tree.names() if name.startswith(inside)}
    return read_needs(files, (output.name for output in manifest.contract.outputs))


def _declared(tree: Tree, manifest: Manifest, ios: str) -> Iterator[str]:
    """What ``Package.swift`` names, and the systems that it promises."""
    if PACKAGE not in tree.names():
        yield f"{PACKAGE} is not there"
        return
    text = tree.read(PACKAGE).decode(errors="replace")
    names = tree.names()
    targets = (f"Sources/{module_name(manifest.name)}", f"Tests/{module_name(manifest.name)}Tests")
    for resource in _RESOURCE.findall(text):
        if not any(f"{name}/".startswith(f"{target}/{resource}/") for name in names for target in targets):
            yield f"{PACKAGE} names the resource {resource}, which is not there"
    for needed in filter(None, (manifest.model, manifest.labels)):
        if f'("Resources/{needed}")' not in text:
            yield f"{PACKAGE} does not name Resources/{needed} as a resource"
    found = _IOS.search(text)
    if found is None:
        yield f"{PACKAGE} names no iOS"
    elif _version(found[1] or found[2].replace("_", ".")) < _version(ios):
        yield f"{PACKAGE} promises iOS {found[1] or found[2]}, the model needs iOS {ios}"


def _declared_in_pod(tree: Tree, manifest: Manifest, ios: str) -> Iterator[str]:
    """The same of a podspec, which takes whole folders."""
    module = module_name(manifest.name)
    name = f"{module}.podspec"
    if name not in tree.names():
        yield f"{name} is not there"
        return
    text = tree.read(name).decode(errors="replace")
    for needed in (f"Sources/{module}/*.swift", f"Sources/{module}/Resources/*"):
        if f'"{needed}"' not in text:
            yield f"{name} does not name {needed}"
    found = _POD_IOS.search(text)
    if found is None:
        yield f"{name} names no iOS"
    elif _version(found[1]) < _version(ios):
        yield f"{name} promises iOS {found[1]}, the package needs iOS {ios}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part)
