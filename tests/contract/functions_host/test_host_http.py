"""Contract of the Functions host: HTTP triggers and administration, in the real engine."""

import concurrent.futures
import re
import time

from host_process import FUNCTION, MASTER, HostProcess, eventually


def test_a_function_sees_the_request_as_in_azure(host: HostProcess) -> None:
    """Lower-case header names, joined query values, no empty ones, no absent route parameters."""
    path = "/echo/7?z=1&empty=&z=2"
    answer = host.get(path, headers={"x-functions-key": FUNCTION, "X-Custom-Header": "Value"})
    seen = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert seen["method"] == "GET"
    assert seen["url"] == host.url + path
    assert seen["headers"]["x-custom-header"] == "Value"
    assert seen["query"] == {"z": "1,2"}
    assert seen["route"] == {"number": "7"}


def test_keys_open_what_they_are_for(host: HostProcess) -> None:
    """The header wins over `?code=`; the master key opens everything, the function key no admin function."""
    assert host.get("/echo/1").status == 401
    assert host.get(f"/echo/1?code={FUNCTION}").status == 200
    assert host.get(f"/echo/1?code={FUNCTION}", headers={"x-functions-key": "wrong"}).status == 401
    assert host.get("/echo/1", headers={"x-functions-key": MASTER}).status == 200
    assert host.get("/admin_only", headers={"x-functions-key": FUNCTION}).status == 401
    assert host.get("/admin_only", headers={"x-functions-key": MASTER}).body == b"opened"


def test_a_wrong_method_path_or_constraint_is_not_found(host: HostProcess) -> None:
    """404 in every case, as the real host answers."""
    key = {"x-functions-key": FUNCTION}
    assert host.get("/echo/1", method="DELETE", headers=key).status == 404
    assert host.get("/echo/one", headers=key).status == 404
    assert host.get("/nowhere", headers=key).status == 404


def test_bodies_headers_and_cookies_arrive_unchanged(host: HostProcess) -> None:
    """Any bytes, in a size no pipe holds at once."""
    body = bytes(range(256)) * 40_000
    answer = host.get("/mirror", method="POST", body=body)
    assert answer.status == 201
    assert answer.body == body
    assert answer.headers["X-Length"] == str(len(body))
    assert answer.headers["Set-Cookie"] == "seen=yes; max-age=60; path=/; samesite=strict; httponly"


def test_an_empty_body_is_empty_bytes(host: HostProcess) -> None:
    """Not None, which functions do not expect."""
    assert host.get("/mirror", method="POST").headers["X-Length"] == "0"


def test_the_root_route_answers_get_and_head(host: HostProcess) -> None:
    """A returned string is plain text; HEAD has no body."""
    assert host.get("/").body == b"the root"
    head = host.get("/", method="HEAD")
    assert (head.status, head.body) == (200, b"")


def test_an_exception_is_a_bare_500_and_its_traceback_is_logged(host: HostProcess) -> None:
    """The client learns nothing of the inside."""
    answer = host.get("/raise")
    assert (answer.status, answer.body) == (500, b"")
    log = eventually(lambda: host.log_text() if "this function always fails" in host.log_text() else None)
    assert "Executed 'Functions.raising' (Failed" in log


def test_log_lines_name_function_and_invocation_also_of_async_functions(host: HostProcess) -> None:
    """And never the text after /approvals/."""
    host.get("/approvals/secret-token")
    host.get("/echo/1", headers={"x-functions-key": FUNCTION})
    log = eventually(lambda: host.log_text() if "/approvals/[redacted] 200" in host.log_text() else None)
    assert re.search(r"\[approval [0-9a-f-]{36}\] asked from an async function\n", log)
    assert re.search(r"\[echo [0-9a-f-]{36}\] echoing action=echo\n", log)
    assert "secret-token" not in log


def test_calls_run_side_by_side_in_threads_and_in_the_loop(host: HostProcess) -> None:
    """Eight sync and eight async calls of half a second take far less than eight seconds."""
    began = time.monotonic()
    paths = ["/wait/0.5", "/pause/0.5"] * 8
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(host.get, paths))
    assert {answer.status for answer in answers} == {200}
    assert time.monotonic() - began < 4


def test_the_host_lists_functions_and_counts_invocations(host: HostProcess) -> None:
    """Raw bindings need the master key; status and counts do not, for the stack's sake."""
    assert host.get("/admin/functions").status == 401
    listed = host.get("/admin/functions", headers={"x-functions-key": MASTER}).json()
    echo = next(function for function in listed if function["name"] == "echo")
    assert echo["config"]["bindings"][0]["route"] == "echo/{number:int}/{word?}"
    status = host.get("/admin/host/status").json()
    assert status["state"] == "Running"
    assert "work" in status["functions"]
    before = host.get("/admin/host/invocations").json().get("root", {"succeeded": 0})["succeeded"]
    host.get("/")
    assert host.get("/admin/host/invocations").json()["root"]["succeeded"] == before + 1
