"""A small app that writes down what the host gives it, for the host's tests."""

import asyncio
import json
import logging
import os
import threading
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
SEEN = Path(os.environ["SEEN_FILE"])
LOCK = threading.Lock()
LOGGER = logging.getLogger(__name__)


def note(function: str, **facts: object) -> None:
    """Append one line to the file the test reads."""
    with LOCK, SEEN.open("a") as file:
        file.write(json.dumps({"function": function, **facts}) + "\n")


def wait(seconds: float) -> None:
    """Keep a thread of the pool busy."""
    threading.Event().wait(seconds)


@app.route(route="echo/{number:int}/{word?}", methods=["GET", "POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Say what was asked."""
    facts = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "route": dict(req.route_params),
    }
    LOGGER.info("echoing", extra={"action": "echo"})
    return func.HttpResponse(json.dumps(facts), mimetype="application/json")


@app.route(route="mirror", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def mirror(req: func.HttpRequest) -> func.HttpResponse:
    """Give the body back, byte for byte."""
    return func.HttpResponse(
        req.get_body(),
        status_code=201,
        mimetype="application/octet-stream",
        headers={"X-Length": str(len(req.get_body())), "Set-Cookie": "seen=yes; HttpOnly; SameSite=Strict; Max-Age=60"},
    )


@app.route(route="/", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
def root(req: func.HttpRequest) -> str:
    """Answer with plain text."""
    return "the root"


@app.route(route="admin_only", auth_level=func.AuthLevel.ADMIN)
def admin_only(req: func.HttpRequest) -> str:
    """Open to the master key alone."""
    return "opened"


@app.route(route="approvals/{token}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def approval(req: func.HttpRequest) -> str:
    """Stand for the page whose link must stay secret."""
    LOGGER.info("asked from an async function")
    return "page"


@app.route(route="raise", auth_level=func.AuthLevel.ANONYMOUS)
def raising(req: func.HttpRequest) -> str:
    """Fail."""
    raise ValueError("this function always fails")


@app.route(route="exit", auth_level=func.AuthLevel.ANONYMOUS)
def exiting(req: func.HttpRequest) -> str:
    """Take the whole worker down."""
    os._exit(3)


@app.route(route="wait/{seconds}", auth_level=func.AuthLevel.ANONYMOUS)
def waiting(req: func.HttpRequest) -> str:
    """Take a while."""
    note("waiting", pid=os.getpid())
    wait(float(req.route_params["seconds"]))
    return "waited"


@app.route(route="pause/{seconds}", auth_level=func.AuthLevel.ANONYMOUS)
async def pausing(req: func.HttpRequest) -> str:
    """Take a while without a thread."""
    await asyncio.sleep(float(req.route_params["seconds"]))
    return "paused"


def described(message: func.ServiceBusMessage) -> dict[str, object]:
    """What a function sees of a message, both raw and through the typed properties."""
    return {
        "body": message.get_body().decode(),
        "metadata": message.metadata,
        "properties": message.application_properties,
        "delivery_count": message.delivery_count,
        "enqueued": str(message.enqueued_time_utc),
        "expires": str(message.expires_at_utc),
        "locked_until": message.locked_until,
        "dead_letter_reason": message.dead_letter_reason,
    }


@app.service_bus_queue_trigger(arg_name="message", connection="Bus", queue_name="%WORK_QUEUE%")
def work(message: func.ServiceBusMessage) -> None:
    """Do what the body says: an object {"do": ...}."""
    order = json.loads(message.get_body())
    note("work", **described(message))
    if order["do"] == "raise" or (order["do"] == "raise once" and message.delivery_count == 1):
        raise ValueError("as ordered")
    if order["do"] == "exit once" and message.delivery_count == 1:
        os._exit(3)
    if order["do"] == "wait":
        wait(order["seconds"])
        note("work", ended=order["name"])


@app.service_bus_queue_trigger(arg_name="message", connection="Bus", queue_name="%WORK_QUEUE%/$DeadLetterQueue")
def dead(message: func.ServiceBusMessage) -> None:
    """Write down what nobody could work on."""
    note("dead", **described(message))


@app.service_bus_queue_trigger(arg_name="message", connection="Bus", queue_name="short-lock")
def slow(message: func.ServiceBusMessage) -> None:
    """Take longer than the queue's lock."""
    note("slow", delivery_count=message.delivery_count)
    wait(6)
    note("slow", ended=True)


@app.blob_trigger(arg_name="artifact", path="build-artifacts/{name}", connection="Artifacts", source="EventGrid")
def artifact(artifact: func.InputStream, context: func.Context) -> None:
    """Write the blob down; one called bad is refused."""
    note(
        "artifact",
        name=artifact.name,
        content=artifact.read().decode(),
        length=artifact.length,
        uri=artifact.uri,
        metadata=artifact.metadata,
        content_type=artifact.blob_properties["ContentType"],
    )
    if "bad" in str(artifact.name):
        raise ValueError("a bad artifact")
    if "slow" in str(artifact.name):
        wait(2)
        note("artifact", ended=artifact.name)
