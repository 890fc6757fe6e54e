"""
A container engine of the test's own: podman with its service on a socket, for docker-compose. It lives in namespaces of its own, with its network,
its processes and its /run, so that nothing of the host is touched and all is gone with it; images stay under build/containers for the next run.
Needs root.
"""

import fcntl
import glob
import json
import os
import resource
import shutil
import subprocess
import time

from harness import paths, wait
from harness.network import Network
from harness.process import Process

_HERE = os.path.dirname(os.path.abspath(__file__))
_ENTER = os.path.join(_HERE, "enter")
FOLDER = os.path.join(paths.BUILD if os.path.exists(os.path.join(paths.BUILD, ".packages-build")) else os.path.dirname(paths.BUILD), "containers")
BASE = "localhost/debian:bookworm-slim"
# What docker-compose.yml names, and what it is made of.
IMAGES = {
    "localhost/barid:latest": "deploy/Dockerfile",
    "localhost/barid-resolver:latest": "deploy/resolver.Dockerfile",
    "localhost/redis:7.0-bookworm": "tests/containers/images/redis.Dockerfile",
    "localhost/haproxy:2.6": "tests/containers/images/haproxy.Dockerfile",
    "localhost/prom/prometheus:v2.42.0": "tests/containers/images/prometheus.Dockerfile",
}
_SETTINGS = {
    "containers.conf": """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
compat_api_enforce_docker_hub = false
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
""",
    "storage.conf": """\
[storage]
driver = "{driver}"
graphroot = "{folder}/storage"
runroot = "/run/containers/storage"
""",
    "policy.json": '{{"default": [{{"type": "insecureAcceptAnything"}}]}}\n',
    "registries.conf": "unqualified-search-registries = []\n",  # images are those made here: nothing is fetched
}


class Failed(AssertionError):
    """A program of the engine did not do what it should."""


def _run(argv, timeout, **more):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False, **more)
    text, errors = (octets.decode("utf-8", "replace") for octets in (done.stdout, done.stderr))
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, argv[-8:]))}: {done.returncode}\n{(text + errors)[-6000:]}")
    return text


def _inside(*argv):
    """The words of a program in namespaces of its own."""
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", _ENTER, os.path.join(FOLDER, "etc"), *argv]


class Engine:
    """`.host` is where the containers' network is: the bridge's gateway and the published ports are on it."""

    def __init__(self):
        os.makedirs(os.path.join(FOLDER, "etc"), exist_ok=True)
        os.makedirs(os.path.join(FOLDER, "networks"), exist_ok=True)
        # An overlay cannot lie on another one.
        driver = "vfs" if _run(["stat", "--file-system", "--format", "%T", FOLDER], 10).strip() == "overlayfs" else "overlay"
        for name, text in _SETTINGS.items():
            with open(os.path.join(FOLDER, "etc", name), "w", encoding="ascii") as file:
                file.write(text.format(folder=FOLDER, driver=driver, files=min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
        self.scratch = paths.scratch("podman")
        self.socket = os.path.join(self.scratch, "podman.sock")
        self.network = Network("engine")
        self.host = self.network.host("engine")
        # Names that are not there are so at once: nobody answers where the namespace looks.
        with open(os.path.join(self.scratch, "resolv.conf"), "w", encoding="ascii") as file:
            file.write(f"nameserver {self.host.ip}\n")
        service = f"mount --bind {self.scratch}/resolv.conf /etc/resolv.conf && exec podman system service --time 0 unix://{self.socket}"
        self.process = Process("podman", _inside("bash", "-c", service),
                               os.path.join(self.scratch, "podman.log"), host=self.host)

    # -- life

    def __enter__(self):
        self.lock = open(os.path.join(FOLDER, "lock"), "w", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            began = time.monotonic()
            self._make_images()
            self.made_in = time.monotonic() - began
            self._tidy()
            self.process.start()
            self.process.wait_until(lambda: os.path.exists(self.socket) and self.podman("version"), 30, "podman's service")
        except BaseException:
            self.__exit__(True)
            raise
        return self

    def __exit__(self, kind, *_):
        self.process.kill()
        try:
            self._tidy()
        finally:
            self.network.close()
            self.lock.close()
        if kind is None:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _tidy(self):
        """What an earlier run has left: containers, volumes and networks, not images."""
        _run(_inside("bash", "-c", "podman rm --all --force --time 0; podman volume rm --all --force; podman network prune --force"), 120, preexec_fn=self.host.enter)
        for parent in glob.glob("/sys/fs/cgroup/*/libpod_parent") + glob.glob("/sys/fs/cgroup/libpod_parent"):
            subprocess.run(["find", parent, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], stderr=subprocess.DEVNULL, check=False)

    # -- images

    def _make_images(self):
        have = _run(_inside("podman", "images", "--format", "{{.Repository}}:{{.Tag}}"), 60).split()
        if BASE not in have:
            self._make_base()
        for image, recipe in IMAGES.items():
            _run(_inside("podman", "build", "--layers", "--format", "docker", "--isolation", "chroot", "--network", "host", "--quiet", "--file", recipe, "--tag", image, "."),
                 900, cwd=paths.REPOSITORY)
        _run(_inside("podman", "image", "prune", "--force"), 60)

    def _make_base(self):
        """What Debian's image is: its smallest system, from where this machine's packages come."""
        lines = sorted(set(_run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(RELEASE) $(COMPONENT)", "Created-By: Packages",
                                 "Origin: Debian"], 60).splitlines()))
        mirror = next((line.split()[0] for line in lines if line.split()[1:] == ["bookworm", "bookworm", "main"]), None)
        if mirror is None:
            raise Failed("apt has no source of Debian bookworm: apt-get update")
        root = os.path.join(FOLDER, "base")
        shutil.rmtree(root, ignore_errors=True)
        _run(["debootstrap", "--variant=minbase", "bookworm", root, mirror], 600)
        with open(os.path.join(root, "etc/apt/sources.list"), "w", encoding="ascii") as file:
            for line in lines:
                uri, _, release, component = line.split()
                file.write(f"deb {uri} {release} {component}\n")
        for folder in ("var/cache/apt/archives", "usr/share/doc", "usr/share/locale"):
            shutil.rmtree(os.path.join(root, folder))
        _run(_inside("bash", "-c", f"tar -C {root} -c . | podman import - {BASE}"), 300)
        shutil.rmtree(root)

    # -- commands

    def podman(self, *words, timeout=60):
        return _run(["podman", "--url", f"unix://{self.socket}", *words], timeout)

    def inspect(self, container):
        return json.loads(self.podman("inspect", container))[0]


class Compose:
    """docker-compose.yml, run by docker-compose on the engine's socket; `more` files on top of it."""

    def __init__(self, engine, *more, variables=None, project="barid"):
        self.engine, self.project = engine, project
        self.files = [os.path.join(paths.REPOSITORY, "docker-compose.yml"), *more]
        self.variables = {**os.environ, "DOCKER_HOST": f"unix://{engine.socket}", "COMPOSE_HTTP_TIMEOUT": "120", **(variables or {})}

    def run(self, *words, timeout=180):
        argv = ["docker-compose", "--project-directory", paths.REPOSITORY, "--project-name", self.project]
        for file in self.files:
            argv += ["--file", file]
        return _run([*argv, *words], timeout, env=self.variables)

    def up(self, **scale):
        return self.run("up", "--detach", "--no-build", *[word for name, count in scale.items() for word in ("--scale", f"{name}={count}")])

    def watch(self):
        """Of the profile `monitoring` only Prometheus: there is no Grafana to be had."""
        self.run("--profile", "monitoring", "up", "--detach", "--no-build", "--no-deps", "prometheus")

    def containers(self, service, running=True):
        """Their ids, short, as they call themselves."""
        words = ["ps", "--format", "{{.ID}}", "--filter", f"label=com.docker.compose.project={self.project}",
                 "--filter", f"label=com.docker.compose.service={service}", "--filter", "label=com.docker.compose.oneoff=False"]
        return [one[:12] for one in self.engine.podman(*words, *([] if running else ["--all"])).split()]

    def baridctl(self, *words, timeout=60):
        """As the operator, in a container of its own."""
        return self.run("run", "--rm", "-T", "--no-deps", "baridctl", *words, timeout=timeout)

    def wait(self, predicate, timeout, what):
        wait.until(predicate, timeout, what, pause=0.2)
