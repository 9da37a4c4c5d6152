"""Local stack, Functions host, worker side: the child process that runs one app in the real engine.

Requests come in on standard input and replies leave on the original standard output; what the app
prints goes to standard error. It ends when standard input ends, so it never outlives its host.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from local.functions_host import protos
from local.functions_host.channel import encode_frame, read_frame
from local.functions_host.worker_logging import ChannelHandler


class Replies:
    """The way back to the host; whole frames only, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        frame = encode_frame(message)
        with self._lock:
            self._stream.write(frame)
            self._stream.flush()


class Worker:
    """Indexes the app and runs invocations, each as a task of its own."""

    def __init__(self, app_dir: Path, replies: Replies) -> None:
        # Imported late: the app's own packages must be on the path before the engine looks for them.
        import azure_functions_runtime as engine  # noqa: PLC0415

        self._engine = engine
        self._app_dir = app_dir
        self._replies = replies
        self._tasks: set[asyncio.Task[None]] = set()

    async def index(self) -> None:
        self._engine.start_threadpool_executor()
        init = SimpleNamespace(capabilities={}, function_app_directory=str(self._app_dir))
        request = SimpleNamespace(
            request=SimpleNamespace(worker_init_request=init),
            properties={"host": "127.0.0.1", "protos": protos},
        )
        answer = await self._engine.worker_init_request(request)
        if answer.result.status != protos.StatusResult.Success:
            self._replies.send({"type": "index-failed", **_exception(answer.result.exception)})
            return
        metadata = await self._engine.functions_metadata_request(request)
        functions = [_function(each) for each in metadata.function_metadata_results or ()]
        self._replies.send({"type": "indexed", "functions": functions})

    def start_invocation(self, message: Mapping[str, Any]) -> None:
        task = asyncio.create_task(self._invoke(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _invoke(self, message: Mapping[str, Any]) -> None:
        # The engine sets this variable only around sync functions; each task has a context of its own.
        self._engine.invocation_id_cv.set(message["id"])
        invocation = SimpleNamespace(
            invocation_id=message["id"],
            function_id=message["function_id"],
            input_data=[
                protos.ParameterBinding(name=name, data=_typed(value)) for name, value in message["inputs"].items()
            ],
            trigger_metadata={key: _typed(value) for key, value in message["metadata"].items()},
            trace_context=SimpleNamespace(trace_parent=message["trace_parent"], trace_state="", attributes={}),
            retry_context=SimpleNamespace(**message["retry"], exception=None),
        )
        request = SimpleNamespace(request=SimpleNamespace(invocation_request=invocation))
        answer = await self._engine.invocation_request(request)
        self._replies.send({"type": "result", "id": message["id"], **_result(answer)})


def _function(metadata: Any) -> dict[str, Any]:
    retry = metadata.retry_options
    return {
        "name": metadata.name,
        "id": metadata.function_id,
        "script_file": metadata.script_file,
        "raw_bindings": list(metadata.raw_bindings),
        "retry": None if retry is None else _retry(retry),
    }


def _retry(options: Any) -> dict[str, Any]:
    fields = vars(options)
    seconds = {key: value.total_seconds() for key, value in fields.items() if key.endswith("_interval")}
    return {"max_retry_count": fields["max_retry_count"], "strategy": fields["retry_strategy"], **seconds}


def _exception(error: Any) -> dict[str, str]:
    return {"message": error.message, "stack": error.stack_trace}


def _result(answer: Any) -> dict[str, Any]:
    if answer.result.status != protos.StatusResult.Success:
        return {"ok": False, "error": _exception(answer.result.exception)}
    return {"ok": True, "returned": None if answer.return_value is None else _wire(answer.return_value)}


def _typed(value: Mapping[str, Any]) -> protos.TypedData:
    if "http" in value:
        http = value["http"]
        return protos.TypedData(http=protos.RpcHttp(**{**http, "body": _typed(http["body"])}))
    return protos.TypedData(**value)


def _wire(data: Any) -> Any:
    """Engine answer as plain data: namespaces become mappings, everything else stays."""
    if isinstance(data, SimpleNamespace):
        return {key: _wire(value) for key, value in vars(data).items()}
    if isinstance(data, Mapping):
        return {key: _wire(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_wire(value) for value in data]
    return data


def _pump(requests: BinaryIO, loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    while (message := read_frame(requests)) is not None:
        loop.call_soon_threadsafe(worker.start_invocation, message)
    # Running invocations die with their host, as in Azure: nobody is left to hear of them.
    os._exit(0)


async def _serve(app_dir: Path, requests: BinaryIO, replies: Replies) -> None:
    worker = Worker(app_dir, replies)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_pump, args=(requests, loop, worker), daemon=True).start()
    await worker.index()
    await asyncio.Event().wait()


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _send_logs(replies: Replies) -> None:
    from azure_functions_runtime import invocation_id_cv  # noqa: PLC0415

    root = logging.getLogger()
    root.addHandler(ChannelHandler(replies.send, invocation_id_cv.get))
    debug = os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING", "").lower() in {"1", "true"}
    root.setLevel(logging.DEBUG if debug else logging.INFO)


def main() -> None:
    """`python -m local.functions_host.worker APP_DIR`, started by the host only."""
    app_dir = Path(sys.argv[1]).resolve()
    # Ctrl-C reaches the whole terminal group; the host decides when its worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = _take_over_pipes()
    # `-m` puts the current directory first; the app must see itself there, as in Azure.
    sys.path[0] = str(app_dir)
    sys.path.insert(1, str(app_dir / ".python_packages" / "lib" / "site-packages"))
    os.chdir(app_dir)
    channel = Replies(replies)
    _send_logs(channel)
    asyncio.run(_serve(app_dir, requests, channel))


if __name__ == "__main__":
    main()
