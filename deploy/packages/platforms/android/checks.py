"""What an Android package, an AAR or a finished app can have wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from mobiledeploy.deploy.packages.manifest import Manifest
from mobiledeploy.deploy.packages.platforms.android.values import TEMPLATES, asset_folder, contract_values
from mobiledeploy.deploy.packages.templating import Templates
from mobiledeploy.deploy.packages.trees import Tree, ZipTree

# Java maps from the page before and moves on to the model, so that it need not begin on a page; its numbers
# have to be readable where they lie. zipalign and Android's build put what is stored at a multiple of 4.
_ALIGNMENT = 4


def check_android(tree: Tree, folder: str, manifest: Manifest) -> Iterator[str]:
    """See ``Platform.check``."""
    assets = asset_folder(manifest.name, manifest.sha256, manifest.contract_sha256)
    if not f"/{folder}".endswith(f"/assets/{assets}"):
        yield f"the assets lie in {folder}, and code for this model and contract looks in assets/{assets}"
    if isinstance(tree, ZipTree):
        yield from _mapping(tree, str(PurePosixPath(folder, manifest.model)))
        yield from _compiled(tree, manifest, assets)
    else:
        yield from _sources(tree, manifest, assets)


def _mapping(tree: ZipTree, model: str) -> Iterator[str]:
    if model not in tree.names():
        return
    suffix = PurePosixPath(model).suffix[1:]
    if not tree.is_stored(model):
        yield (
            f"{model} is compressed and cannot be mapped: the app's build.gradle.kts needs "
            f'androidResources {{ noCompress += "{suffix}" }}'
        )
    elif tree.offset(model) % _ALIGNMENT:
        yield f"{model} begins at byte {tree.offset(model)}, no multiple of {_ALIGNMENT}: run zipalign 4"


def _compiled(tree: ZipTree, manifest: Manifest, assets: str) -> Iterator[str]:
    """Compiled code names its assets; it can be shrunk and renamed, but not so that this string is lost."""
    wanted = assets.encode()
    if "classes.jar" in tree.names():
        found = _holds_class(tree, manifest, wanted)
    else:
        codes = [name for name in tree.names() if name.endswith(".dex") and "/" not in name]
        found = any(wanted in tree.read(name) for name in codes)
    if not found:
        known = f"{manifest.namespace}.{manifest.name}"
        yield f"no code for this model and contract is in it: {known} is of another package"


def _holds_class(tree: ZipTree, manifest: Manifest, wanted: bytes) -> bool:
    with tree.nested("classes.jar") as jar:
        name = f"{manifest.namespace.replace('.', '/')}/ModelContract.class"
        return name in jar.names() and wanted in jar.read(name)


def _sources(tree: Tree, manifest: Manifest, assets: str) -> Iterator[str]:
    """The one generated file that holds the contract, as it would be generated anew."""
    path = f"src/main/kotlin/{manifest.namespace.replace('.', '/')}/ModelContract.kt"
    try:
        found = tree.read(path).decode(errors="replace").split()
    except KeyError:
        yield f"{path} is not there"
        return
    known = contract_values(
        manifest.contract,
        namespace=manifest.namespace,
        model=manifest.model,
        assets=assets,
    )
    wanted = Templates(TEMPLATES).render("ModelContract.kt.j2", **known).split()
    if found != wanted:
        pairs = zip([*found, *[""] * len(wanted)], wanted, strict=False)
        word, ours = next(((a, b) for a, b in pairs if a != b), (found[-1], ""))
        yield f"{path} is not what the contract says: {word!r} where it has {ours!r}"
