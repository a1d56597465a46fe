"""Is a step's result there already, and if not, why not?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.deploy.pipeline.cache import Cache, Entry, key_of
from mobiledeploy.deploy.pipeline.digests import Digests
from mobiledeploy.deploy.pipeline.step import Step
from mobiledeploy.errors import InputError

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of a step whose inputs are there.

    Attributes:
        ingredients: all that its result depends on, by name.
        entry: the result; None: it is to be made.
        reason: why it is to be made.
    """

    ingredients: Mapping[str, Any]
    entry: Entry | None
    reason: str


class Looker:
    """Looks steps up.

    Args:
        cache: of the project.
        digests: of the user's files.
        version: of the code.
        again: names or kinds of steps that are to be done anew whatever is there.
    """

    def __init__(
        self, cache: Cache, digests: Digests, version: Mapping[str, str], again: frozenset[str]
    ) -> None:
        self._cache, self._digests, self._version, self._again = cache, digests, version, again

    def look(self, step: Step, made: Mapping[str, Entry]) -> Looked:
        """What there is of a step.

        Args:
            step: all that it needs is in ``made``.
            made: results by step.

        Raises:
            InputError: a file of the user's is not there.
        """
        ingredients = self.ingredients(step, made)
        if step.name in self._again or step.kind in self._again:
            return Looked(ingredients, None, "asked for")
        key = key_of(ingredients)
        entry = self._cache.find(key)
        if entry is not None:
            return Looked(ingredients, entry, "")
        return Looked(ingredients, None, self._why(step, key, ingredients))

    def ingredients(self, step: Step, made: Mapping[str, Entry]) -> dict[str, Any]:
        """All that a step's result depends on.

        Raises:
            InputError: a file of the user's is not there.
        """
        found: dict[str, Any] = {"kind": step.kind}
        found |= {f"code: {name}": value for name, value in self._version.items()}
        found |= {f"setting: {name}": value for name, value in step.settings.items()}
        for name, product in step.takes.items():
            digest = made[product.step].files[product.file]
            found[f"result: {product.step} as {name}"] = [product.file, digest]
        for name, source in step.sources.items():
            without = Path(source.without) if source.without else None
            try:
                digest = self._digests.of(Path(source.path), code=source.code, without=without)
            except InputError as error:
                error.where = f"{source.where}: {error.where}" if source.where else error.where
                raise
            found[f"input: {name}"] = digest
        return found

    def _why(self, step: Step, key: str, ingredients: Mapping[str, Any]) -> str:
        if self._cache.is_damaged(key):
            return "what was kept is damaged"
        last = self._cache.latest(step.name)
        before = self._cache.ingredients(last) if last else None
        if before is None:
            return "never done"
        changed = [
            name.partition(": ")[2]
            for name in dict.fromkeys([*ingredients, *before])
            if ingredients.get(name) != before.get(name)
        ]
        if not changed:
            return "not done to its end"
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        return f"changed: {', '.join(changed[:_SHOWN])}{more}"
