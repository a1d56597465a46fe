"""What a platform is to ``mobiledeploy package``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Set
from pathlib import Path

from mobiledeploy.contract import Target
from mobiledeploy.deploy.packages.manifest import Manifest
from mobiledeploy.deploy.packages.plan import PackagePlan
from mobiledeploy.deploy.packages.subject import Subject
from mobiledeploy.deploy.packages.trees import Tree


class Platform(ABC):
    """Plans and checks packages of one platform; the first three are all that it has to have.

    Attributes:
        name: that of its folder.
        targets: formats that its packages can hold.
        reserved: names that a package's class cannot have.
    """

    name: str
    targets: tuple[Target, ...]
    reserved: Set[str]

    @abstractmethod
    def plan(self, subject: Subject) -> PackagePlan:
        """All files of a package, in memory; the same subject gives the same plan."""

    def build(self, subject: Subject, folder: Path) -> list[str]:
        """Make what is made of the planned files, such as archives, in the package's folder.

        Args:
            subject: what was planned.
            folder: holds the planned files, and is not yet at its place.

        Returns:
            Remarks for the user, one sentence each: what was left out, and what to do to have it.
        """
        del subject, folder
        return []

    def check(self, tree: Tree, folder: str, manifest: Manifest) -> Iterable[str]:
        """What is wrong with a package beyond what holds for all platforms.

        Args:
            tree: a package's folder, or an archive that it went into.
            folder: where in it the manifest lies; empty at its root.
            manifest: that was found there.
        """
        del tree, folder, manifest
        return ()
