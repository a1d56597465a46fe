"""What a report finds, in words; each stands on evidence that is in it."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from mobiledeploy.deploy.report.layout import Tone, Verdict
from mobiledeploy.deploy.report.pairs import Pair, find_pairs
from mobiledeploy.deploy.report.story import Story
from mobiledeploy.deploy.report.trends import find_trends
from mobiledeploy.device_tests.errors import one_line
from mobiledeploy.device_tests.gate.report import Outcome

# Of a difference of accuracy.
_ERROR = 0.05
_ORDER: tuple[Tone, ...] = ("bad", "open", "good", "plain")
_TONES: MappingProxyType[Outcome, Tone] = MappingProxyType(
    {"pass": "good", "fail": "bad", "inconclusive": "open", "trouble": "open"}
)


def find_verdicts(story: Story) -> tuple[Verdict, ...]:
    """Gates, unsound outputs, changes of level, accuracy of int8; the bad ones first."""
    found = [*_gates(story), *_soundness(story), *_changes(story), *_accuracy(story)]
    return tuple(sorted(found, key=lambda verdict: _ORDER.index(verdict.tone)))


def _gates(story: Story) -> Iterator[Verdict]:
    for report, identity in story.gates:
        against = f" against {report.baseline.name}" if report.baseline else ""
        subject = one_line(f"{report.candidate.name}{against} on {report.device}")
        for gate in report.gates:
            text = one_line(f"{gate.name}: {gate.reason} ({report.started[:10]})")
            yield Verdict(_TONES[gate.outcome], gate.outcome, subject, text, identity)


def _soundness(story: Story) -> Iterator[Verdict]:
    """Of each file's latest evaluation on a device."""
    latest = {(run.row.model_sha256, run.row.device): run for run in story.collected.accuracies}
    for run in latest.values():
        host = run.accuracy.host if run.accuracy else None
        if host is None:
            continue
        subject = f"{run.row.model_name} on {run.row.device}"
        if host.sound:
            text = f"its outputs are this host's but for rounding, over {host.images} images"
            yield Verdict("good", "sound", subject, text, run.row.id)
        else:
            text = f"its outputs are not this host's: {host.worst_db:.1f} dB on {host.worst_image}"
            yield Verdict("bad", "unsound", subject, one_line(text), run.row.id)


def _changes(story: Story) -> Iterator[Verdict]:
    """The latest change of each series."""
    for trend in find_trends(story):
        if not trend.changes:
            continue
        step, change = trend.changes[-1]
        up = change.after > change.before
        word = ("slower" if up else "faster") if trend.unit == "ms" else ("better" if up else "worse")
        row = step.run.row
        since = f"commit {row.git_commit[:8]}" if row.git_commit else f"{row.time:%Y-%m-%d}"
        text = (
            f"{100 * change.share:+.1f}% since {since}: {change.before:.4g} to {change.after:.4g} "
            f"{trend.unit} (p = {change.p_value:.2g})"
        )
        yield Verdict("bad" if word in ("slower", "worse") else "good", word, trend.label, text, row.id)


def _accuracy(story: Story) -> Iterator[Verdict]:
    seen: dict[tuple[str, str], Pair] = {}
    for pair in find_pairs(story):
        seen.setdefault((pair.before.run.row.model_sha256, pair.after.run.row.model_sha256), pair)
    for pair in seen.values():
        if pair.points is None:
            continue
        found = pair.points
        subject = f"{pair.after.run.row.model_name} against {pair.before.run.row.model_name}"
        if found.interval is None or found.p_value is None:
            continue
        text = (
            f"{found.points:+.2f} points of {found.metric} "
            f"({found.interval.low:+.2f} to {found.interval.high:+.2f}, p = {found.p_value:.2g})"
        )
        run = pair.after.evaluation.row.id if pair.after.evaluation else ""
        if found.p_value >= _ERROR:
            yield Verdict("plain", "no difference shown", subject, text, run)
        elif found.points < 0:
            yield Verdict("bad", "worse", subject, text, run)
        else:
            yield Verdict("good", "better", subject, text, run)
