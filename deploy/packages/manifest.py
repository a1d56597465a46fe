"""The manifest: what a package holds, for people, programs and ``mobiledeploy package --check``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from mobiledeploy import __version__
from mobiledeploy.contract import Contract
from mobiledeploy.deploy.packages.plan import PlannedFile, text_file
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.tasks import find_task
from mobiledeploy.errors import InputError, MobileDeployError

SCHEMA_VERSION = 1
# It lies in the same folder as the model and the labels, wherever a platform has them.
MANIFEST = "mobiledeploy-package.json"
LABELS = "labels.txt"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was read.

    Attributes:
        platform, name, namespace: what was packaged, and how its code is called.
        model: name of the model file, in the manifest's folder.
        sha256, size: of the model file.
        labels: name of the labels' file there; None: the task has no classes.
        contract: the whole contract.
        contract_sha256: of its JSON as it was packaged.
    """

    platform: str
    name: str
    namespace: str
    model: str
    sha256: str
    size: int
    labels: str | None
    contract: Contract
    contract_sha256: str


def contract_digest(contract: Contract) -> str:
    """sha256 of the contract's JSON."""
    return hashlib.sha256(contract.to_json().encode()).hexdigest()


def manifest_file(subject: Subject, platform: str) -> PlannedFile:
    """``mobiledeploy-package.json``; holds no time of its own and no path."""
    data: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "mobiledeploy": __version__,
        "platform": platform,
        "name": subject.name,
        "namespace": subject.namespace,
        "model": {
            "file": subject.model_name,
            "format": subject.target,
            "sha256": subject.sha256,
            "size": subject.size,
            "arithmetic": subject.arithmetic,
        },
        "labels": {"file": LABELS, "count": len(subject.labels)} if subject.labels else None,
        "licence": subject.contract.provenance.licence,
        "measured": subject.measured,
        "golden_engine": subject.engine,
        "contract": json.loads(subject.contract.to_json()),
        "contract_sha256": contract_digest(subject.contract),
    }
    return text_file(MANIFEST, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def labels_files(subject: Subject) -> tuple[PlannedFile, ...]:
    """One label a line, in the order of the scores; no file where there are no classes."""
    text = "".join(f"{label}\n" for label in subject.labels)
    return (text_file(LABELS, text),) if text else ()


def read_manifest(content: bytes, where: str) -> Manifest:
    """Read what ``manifest_file`` wrote.

    Raises:
        InputError: it is no manifest, or one of a newer mobiledeploy.
    """
    try:
        data = json.loads(content)
        if data["schema_version"] > SCHEMA_VERSION:
            raise InputError(
                f"the manifest has version {data['schema_version']}, this mobiledeploy reads up to "
                f"{SCHEMA_VERSION}",
                where=where,
                hint="Upgrade mobiledeploy",
            )
        texts = (
            data["platform"],
            data["name"],
            data["namespace"],
            data["model"]["file"],
            data["model"]["sha256"],
            data["contract_sha256"],
            *([data["labels"]["file"]] if data["labels"] is not None else []),
        )
        size = data["model"]["size"]
        contract = json.dumps(data["contract"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"the manifest cannot be read ({error})", where=where, hint="Package the model again"
        ) from error
    if not all(isinstance(text, str) for text in texts) or not isinstance(size, int):
        raise InputError("the manifest is damaged", where=where, hint="Package the model again")
    platform, name, namespace, model, sha256, digest, *labels = texts
    known = Contract.from_json(contract, where=where)
    if len(known.inputs) != 1 or known.preprocessing is None:
        raise InputError(
            "the manifest's contract is not that of a model for images",
            where=where,
            hint="Package the model again",
        )
    try:
        find_task(known.task, where).check(known, where)
    except MobileDeployError as error:
        raise InputError(
            f"the manifest's contract is not that of a package: {error.what}",
            where=where,
            hint="Package the model again",
        ) from error
    found = labels[0] if labels else None
    return Manifest(platform, name, namespace, model, sha256, size, found, known, digest)
