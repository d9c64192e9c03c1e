"""A stand-in for a Databricks workspace: it speaks the calls that this project uses, over HTTP on the loopback, in the
SDK's own types, and really runs what is submitted. It is no Databricks: what it does not check stands in
docs/databricks.md.

A job's wheel is installed into a clean environment that finds the other packages in the one that the tests run in, as
the machine may be offline; the task runs in a process group of its own with the environment of its cluster only.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from databricks.sdk.service.files import DirectoryEntry, ListDirectoryResponse
from databricks.sdk.service.jobs import (
    JobEnvironment,
    Run,
    RunLifeCycleState,
    RunResultState,
    RunState,
    SubmitRunResponse,
    SubmitTask,
)

from wanderbricks_assets_tests.databricks.model_versions import ModelVersions
from wanderbricks_assets_tests.databricks.serving import Refusal, ServingEndpoints


class StandIn:
    """A workspace at `url` that takes `token`; its files lie in `folder`, under their own absolute paths.

    `environment`: of the clusters' processes. `answer_next` makes it answer badly; `requests` is what was asked.
    """

    def __init__(self, folder: Path, token: str, environment: dict[str, str] | None = None):
        self.folder, self.token, self.environment = folder, token, environment or {}
        self.forget()
        self._lock = threading.Lock()
        self._environments: dict[str, Path] = {}
        workspace = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                workspace.answer(self, body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _handle

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def forget(self) -> None:
        """Everything but the files and the environments."""
        self.program: str | None = None  # runs in place of the wheel's entry point
        self.requests: list[str] = []
        self.jobs: dict[int, Job] = {}
        self.serving = ServingEndpoints()
        self.models = ModelVersions()
        self.on_request: Callable[[str], None] = lambda request: None
        self._bad: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        for job in self.jobs.values():
            job.cancel()
        self._server.shutdown()
        self._server.server_close()

    def answer_next(self, request: str, *how: str) -> None:
        """Answer the next requests that begin so ("POST /api/2.2/jobs/runs/submit") with 429, 503, 401, "drop" (close
        the connection without a word) or "lose" (do it, and then close the connection without a word)."""
        self._bad += [(request, each) for each in how]

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        url = urlsplit(handler.path)
        request = f"{handler.command} {unquote(url.path)}"
        self.requests.append(request)
        self.on_request(request)
        bad = self._take_bad(request)
        if bad == "drop":
            handler.close_connection = True
            return
        try:
            if bad in ("429", "503"):
                raise Refusal(HTTPStatus(int(bad)), "TEMPORARILY_UNAVAILABLE", "try again")
            if bad == "401" or handler.headers.get("Authorization") != f"Bearer {self.token}":
                raise Refusal(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", "Credential was not sent or is expired")
            if bad == "403":
                raise Refusal(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", "User does not have permission")
            given = {name: values[-1] for name, values in parse_qs(url.query).items()}
            found = self._call(handler.command, unquote(url.path), given, body)
        except Refusal as refusal:
            self._reply(handler, refusal.status, json.dumps(refusal.body).encode())
            return
        if bad == "lose":
            handler.close_connection = True
        elif isinstance(found, bytes):
            self._reply(handler, HTTPStatus.OK, found, "application/octet-stream")
        else:
            self._reply(handler, HTTPStatus.OK, json.dumps(found or {}).encode())

    def _take_bad(self, request: str) -> str | None:
        with self._lock:
            for place, (beginning, how) in enumerate(self._bad):
                if request.startswith(beginning):
                    del self._bad[place]
                    return how
        return None

    def _reply(
        self, handler: BaseHTTPRequestHandler, status: HTTPStatus, body: bytes, kind: str = "application/json"
    ) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            handler.send_header("Retry-After", "1")
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def _call(self, method: str, path: str, given: dict[str, str], body: bytes) -> dict | bytes | None:
        for pattern, answer in (
            (r"/api/2\.2/jobs/runs/(\w+)", self._jobs),
            (r"/api/2\.0/fs/files(/.+)", self._files),
            (r"/api/2\.0/fs/directories(/.+)", self._directories),
        ):
            if found := re.fullmatch(pattern, path):
                return answer(method, found[1], given, body)
        if found := re.fullmatch(r"/api/2\.0/serving-endpoints(?:/([\w-]+))?(?:/(config))?", path):
            return self.serving.call(method, found[1], found[2], json.loads(body or "{}"))
        if found := re.fullmatch(r"/api/2\.0/mlflow/unity-catalog/([\w/-]+)", path):
            return self.models.call(method, found[1], json.loads(body) if body else given)
        if found := re.fullmatch(r"/serving-endpoints/([\w-]+)/served-models/(\w+)/invocations", path):
            return self.serving.invoke(found[1], found[2], json.loads(body))
        raise Refusal(HTTPStatus.NOT_FOUND, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}'")

    def _jobs(self, method: str, what: str, given: dict[str, str], body: bytes) -> dict:
        asked = json.loads(body) if body else {}
        if (method, what) == ("POST", "submit"):
            return SubmitRunResponse(run_id=self._submit(asked).run_id).as_dict()
        run_id = int(given["run_id"]) if method == "GET" else asked["run_id"]
        if run_id not in self.jobs:
            raise Refusal(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE", f"Run {run_id} does not exist.")
        job = self.jobs[run_id]
        if (method, what) == ("POST", "cancel"):
            job.cancel()
            return {}
        return Run(run_id=run_id, run_page_url=f"{self.url}/#job/run/{run_id}", state=job.state).as_dict()

    def _submit(self, asked: dict) -> "Job":
        with self._lock:
            token = asked.get("idempotency_token")
            for job in self.jobs.values():
                if token and job.token == token:
                    return job
            (task,) = map(SubmitTask.from_dict, asked["tasks"])
            wheels = [library.whl for library in task.libraries or ()]
            for environment in map(JobEnvironment.from_dict, asked.get("environments", ())):
                if environment.environment_key == task.environment_key:
                    wheels += environment.spec.dependencies
            if missing := [wheel for wheel in wheels if not Path(wheel).is_file()]:
                raise Refusal(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE", f"{missing[0]} does not exist")
            command = [sys.executable, "-c", self.program or ""]
            if self.program is None:
                command = [self._installed(wheels[0]) / "bin" / task.python_wheel_task.entry_point]
            job = Job(len(self.jobs) + 1, token, task, command, self.folder, self.environment)
            self.jobs[job.run_id] = job
            return job

    def _installed(self, wheel: str) -> Path:
        if wheel not in self._environments:
            self._environments[wheel] = self._install(Path(wheel))
        return self._environments[wheel]

    def _install(self, wheel: Path) -> Path:
        """A clean environment with the wheel, its dependencies found in the environment of the tests."""
        place = self.folder / f"environment-{len(self._environments)}"
        uv = [shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")]
        quiet = {"check": True, "capture_output": True}
        subprocess.run([*uv, "venv", "--offline", "--python", sys.executable, place], **quiet)
        python = place / "bin" / "python"
        subprocess.run([*uv, "pip", "install", "--offline", "--no-deps", "--python", python, wheel], **quiet)
        (packages,) = place.glob("lib/python*/site-packages")
        # A path, not a .pth of editable installs: what the wheel brings comes first.
        (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
        return place

    def _files(self, method: str, path: str, given: dict[str, str], body: bytes) -> bytes | None:
        file = self._place(path)
        if method == "PUT":
            if not file.parent.is_dir():
                raise Refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"No directory {file.parent}")
            file.write_bytes(body)
            return None
        if not file.is_file():
            raise Refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"No file {file}")
        if method == "DELETE":
            file.unlink()
            return None
        return file.read_bytes()

    def _directories(self, method: str, path: str, given: dict[str, str], body: bytes) -> dict | None:
        folder = self._place(path)
        if method == "PUT":
            folder.mkdir(parents=True, exist_ok=True)
            return None
        if not folder.is_dir():
            raise Refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"No directory {folder}")
        if method == "DELETE":
            if any(folder.iterdir()):
                raise Refusal(HTTPStatus.BAD_REQUEST, "DIRECTORY_NOT_EMPTY", f"{folder} is not empty")
            folder.rmdir()
            return None
        entries = [
            DirectoryEntry(name=each.name, path=str(each), is_directory=each.is_dir()) for each in folder.iterdir()
        ]
        return ListDirectoryResponse(contents=entries).as_dict()

    def _place(self, path: str) -> Path:
        if not Path(path).is_relative_to(self.folder):
            raise Refusal(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE", f"{path} lies in no volume")
        return Path(path)


class Job:
    """One submitted run: a process group that runs the wheel's entry point."""

    def __init__(self, run_id: int, token: str, task: SubmitTask, command: list, folder: Path, cluster: dict[str, str]):
        self.run_id, self.token, self.task = run_id, token, task
        self.log = folder / f"job-{run_id}.log"
        self._is_cancelled = False
        self.command = [str(part) for part in (*command, *(task.python_wheel_task.parameters or ()))]
        variables = (task.new_cluster.spark_env_vars or {}) if task.new_cluster else {}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), **cluster, **variables},
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def state(self) -> RunState:
        code = self.process.poll()
        if code is None:
            return RunState(life_cycle_state=RunLifeCycleState.RUNNING, state_message="In run")
        if self._is_cancelled:
            result, message = RunResultState.CANCELED, "Run cancelled."
        elif code == 0:
            result, message = RunResultState.SUCCESS, ""
        else:
            result, message = RunResultState.FAILED, f"Workload failed, see run output for details (exit code {code})"
        return RunState(life_cycle_state=RunLifeCycleState.TERMINATED, result_state=result, state_message=message)

    def cancel(self) -> None:
        if self.process.poll() is None:
            self._is_cancelled = True
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
