"""An app that says who the platform says is there."""

import json
import os

import azure.functions as func

app = func.FunctionApp()


@app.route(route="who", auth_level=func.AuthLevel.ANONYMOUS)
def who(req: func.HttpRequest) -> func.HttpResponse:
    """Principal headers, and what the app's settings say of Easy Auth."""
    said = {name: value for name, value in req.headers.items() if name.startswith("x-ms-")}
    return func.HttpResponse(json.dumps({"enabled": os.environ.get("WEBSITE_AUTH_ENABLED", ""), "headers": said}))
