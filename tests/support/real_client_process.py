"""What tests of a stack ask of the real azure-ai-ml client: `python -m tests.support.real_client_process`, an order a line.

`{"build": PLAN}` is a training build, `{"report": MODELS, "subscription_id": ID, "sign_in": {…}}` a look at the estate,
`{"cancel": JOB, …}`, `{"completed": JOB, …}` and `{"put": [DATASTORE, PATH, TEXT], …}` are hands in Test.
A process of its own, because the client takes its proxy from the environment; one for all orders of a run, because
importing the client and scikit-learn costs three seconds of a processor. Its environment is the training build's.
"""

import contextlib
import json
import sys
import traceback
from typing import Any

from azure.identity import ClientSecretCredential

from local.samples.seed import carry_out
from tests.support.estate_report import report
from tests.support.hands_in_test import cancel, completed_run, put_file


def obey(order: dict[str, Any]) -> object:
    """The answer to one order."""
    if "build" in order:
        return carry_out(order["build"])
    credential = ClientSecretCredential(**order["sign_in"])
    subscription_id = order["subscription_id"]
    if "cancel" in order:
        cancel(credential, subscription_id, order["cancel"])
        return None
    if "completed" in order:
        return completed_run(credential, subscription_id, order["completed"])
    if "put" in order:
        put_file(credential, subscription_id, *order["put"])
        return None
    return report(credential, subscription_id, order["report"])


if __name__ == "__main__":
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):  # the client prints its notices there
            try:
                answer = {"done": obey(json.loads(line))}
            except Exception:  # noqa: BLE001 - whoever asked shall see it
                answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
