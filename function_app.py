"""The Functions app: composed from its blueprints, no logic."""

import azure.functions as func

from shared.triggers import (
    api,
    approvals,
    artifacts,
    dead_letters,
    documents,
    pages,
    queues,
    rollback_pages,
    rollbacks,
    timers,
)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

for blueprint in (
    artifacts.blueprint,
    queues.blueprint,
    dead_letters.blueprint,
    timers.blueprint,
    api.blueprint,
    rollbacks.blueprint,
    rollback_pages.blueprint,
    approvals.blueprint,
    pages.blueprint,
    documents.blueprint,
):
    app.register_functions(blueprint)
