"""The GitHub action, the GitLab template and the Jenkins pipeline: what they run is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from checkout import ROOT, copy_checkout
from steps import BASH, EXPRESSION, PLAIN, Job, expand, load

from mobiledeploy.device_tests.gate import KINDS

ACTION, WORKFLOW = ROOT / "action.yml", ROOT / ".github" / "workflows" / "gate.yml"
GITLAB, JENKINS = ROOT / "examples" / "ci" / "gitlab.yml", ROOT / "examples" / "ci" / "Jenkinsfile"
NEW, OLD = "build/new.tflite", "build/old.tflite"
HOSTILE = "a b'\"$(touch pwned)`touch pwned`; touch pwned\n--help"


@pytest.mark.parametrize(
    ("schema", "file"),
    [("github-actions", ACTION), ("github-workflows", WORKFLOW), ("gitlab-ci", GITLAB)],
    ids=lambda item: getattr(item, "name", item),
)
def test_files_are_of_their_schemas(schema: str, file: Path) -> None:
    words = ["-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(file)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_gate_is_an_input_and_no_input_is_text_of_a_script() -> None:
    action = load(ACTION)
    assert {kind.name for kind in KINDS} <= set(action["inputs"])
    used: set[str] = set()
    for step in action["runs"]["steps"]:
        assert not EXPRESSION.search(step["run"])
        used |= {match for text in step["env"].values() for match in EXPRESSION.findall(text)}
    assert {f"inputs.{name}" for name in action["inputs"]} == used - {"github.action_path"}


def test_the_documented_step_is_one() -> None:
    (text,) = re.findall("```yaml\n(.*?)```", (ROOT / "docs" / "gate.md").read_text(), re.DOTALL)
    (step,) = yaml.safe_load(text)
    assert step["with"]["max-regression"] == "3%"
    assert set(step["with"]) <= set(load(ACTION)["inputs"])


@pytest.mark.slow
def test_action_passes(job: Job) -> None:
    done, outputs = job.action(
        candidate=NEW, max_size="5kB", min_delegated="", baseline=OLD, max_top1_drop="0.5", images="."
    )
    assert (done.returncode, outputs) == (0, {"outcome": "pass"}), done.stderr
    suite = ET.parse(job.project / "gate-report" / "gate.xml").getroot()[0]
    assert [case.get("name") for case in suite.findall("testcase")] == ["max-size", "max-top1-drop"]
    summary = (job.runner / "summary.md").read_text()
    assert summary == (job.project / "gate-report" / "gate.md").read_text()
    assert "Gate: pass" in summary


def test_action_fails(job: Job) -> None:
    done, outputs = job.action(
        candidate=NEW, max_size="100B", full_integer="true", report_folder="my reports"
    )
    assert (done.returncode, outputs) == (9, {"outcome": "fail"})
    assert done.stderr.count("::error title=") == 2
    assert ET.parse(job.project / "my reports" / "gate.xml").getroot().get("failures") == "2"


def test_action_takes_no_input_for_a_command(job: Job) -> None:
    for given in ({"candidate": HOSTILE}, {"candidate": NEW, "device": HOSTILE, "max_median": "1ms"}):
        done, outputs = job.action(**{"max_size": "5kB", **given})
        assert outputs["outcome"] in ("error", "trouble")
        assert done.returncode in (3, 8)
    hostile = job.project / f"{HOSTILE.splitlines()[0]}.tflite"
    (job.project / NEW).rename(hostile)
    done, outputs = job.action(candidate=hostile.name, max_size="5kB", report_folder=HOSTILE)
    assert (done.returncode, outputs) == (0, {"outcome": "pass"}), done.stderr
    assert not list(job.project.rglob("pwned"))


@pytest.mark.slow
def test_action_beside_what_cannot_be_decided(job: Job) -> None:
    """On this machine, with less time than a verdict takes."""
    given = {"candidate": NEW, "baseline": OLD, "max_regression": "3%", "time_limit": "10ms"}
    done, outputs = job.action(**given)
    # Other work on this machine makes it trouble.
    assert (done.returncode, outputs["outcome"]) in ((10, "inconclusive"), (8, "trouble")), done.stderr
    if outputs["outcome"] == "inconclusive":
        assert "::warning title=max-regression inconclusive" in done.stderr
    done, outputs = job.action(**given, allow_inconclusive="true")
    assert (done.returncode, outputs["outcome"]) in ((0, "inconclusive"), (8, "trouble"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_action_installs_itself(job: Job) -> None:
    """Where mobiledeploy is not there yet; the next step finds it."""
    bare = {name: value for name, value in job.environment.items() if name != "PYTHONPATH"}
    here = Path(sys.executable).parent
    folders = [folder for folder in bare["PATH"].split(os.pathsep) if Path(folder) != here]
    python = job.runner / "python"
    python.mkdir()
    (python / "python3").symlink_to(Path(sys.executable).resolve())
    pip = {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))
    }
    path = os.pathsep.join([str(python), *folders])
    source = copy_checkout(job.runner / "source")
    fresh = Job(job.project, job.runner, {**bare, **pip, "PATH": path}, source)
    if fresh.script("command -v mobiledeploy").returncode == 0:
        pytest.skip("mobiledeploy is installed outside of the environment of these tests")
    done, outputs = fresh.action(candidate=NEW, max_size="5kB", extras="tflite")
    assert (done.returncode, outputs) == (0, {"outcome": "pass"}), done.stderr
    (added,) = (job.runner / "path").read_text().splitlines()
    assert Path(added).is_relative_to(job.runner)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workflow_uses_the_action_as_users_do(job: Job) -> None:
    """Its own steps, but for those that check out and install."""
    (job.project / "baseline").symlink_to(ROOT)
    (steps,) = [item["steps"] for item in load(WORKFLOW)["jobs"].values()]
    ran = []
    for step in steps:
        if step.get("uses") == "./":
            done, outputs = job.action(
                **{name.replace("-", "_"): value for name, value in step["with"].items()}
            )
            ran.append(outputs["outcome"])
            assert outputs["outcome"] in ("pass", "inconclusive", "trouble"), done.stdout + done.stderr
            assert (job.project / "gate-report" / "gate.md").is_file()
        elif "make setup" in step.get("run", "make setup"):
            continue
        else:
            assert not EXPRESSION.search(step["run"])
            environment = {name: expand(text, {}) for name, text in step.get("env", {}).items()}
            done = job.script(step["run"], PLAIN, environment)
            ran.append(step["name"])
            assert done.returncode == 0, done.stderr
    assert ran[:2] == ["Candidate", "Baseline"]
    assert len(ran) == 3


def limits(job: Job, text: str) -> None:
    (job.project / "deploy.toml").write_text(f"[gates]\n{text}\n")


@pytest.mark.slow
@pytest.mark.parametrize("shell", [BASH, ("sh", "-e")], ids=["bash", "sh"])
def test_gitlab_template(job: Job, shell: tuple[str, ...]) -> None:
    template = load(GITLAB)[".mobiledeploy-gate"]
    script = "\n".join([*template["before_script"], *template["script"]])
    limits(job, 'max-size = "100B"')
    variables = {**template["variables"], "GATE_CANDIDATE": NEW, "GATE_BASELINE": OLD}
    assert job.script(script, shell, variables).returncode == 9
    reports = template["artifacts"]["reports"]
    assert ET.parse(job.project / reports["junit"]).getroot().get("failures") == "1"
    assert (job.project / reports["metrics"]).read_text().endswith("# EOF\n")
    assert all((job.project / name).is_file() for name in template["artifacts"]["paths"])
    done = job.script(script, shell, {**variables, "GATE_CANDIDATE": HOSTILE, "GATE_BASELINE": ""})
    assert done.returncode == 3
    assert not (job.project / "pwned").exists()
    assert template["allow_failure"] == {"exit_codes": 10}


@pytest.mark.slow
def test_jenkins_pipeline(job: Job) -> None:
    text = JENKINS.read_text()
    (script,) = re.findall(r"'''(.*?)'''", text, re.DOTALL)
    variables = dict(re.findall(r"(GATE_\w+) = '([^']*)'", text))
    assert set(variables) == set(re.findall(r"\$(GATE_\w+)", script))
    limits(job, 'max-size = "5kB"')
    assert job.script(script, ("sh", "-xe"), variables).returncode == 0
    limits(job, 'max-size = "100B"')
    assert job.script(script, ("sh", "-xe"), variables).returncode == 9
    (junit,) = re.findall(r"junit testResults: '([^']*)'", text)
    (kept,) = re.findall(r"archiveArtifacts artifacts: '([^']*)'", text)
    assert ET.parse(job.project / junit).getroot().get("failures") == "1"
    assert (job.project / kept).is_file()
    assert job.script(script, ("sh", "-xe"), {**variables, "GATE_DEVICE": HOSTILE}).returncode in (3, 9)
    assert not (job.project / "pwned").exists()
