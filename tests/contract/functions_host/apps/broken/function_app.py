"""An app the engine refuses: a parameter that no binding fills."""

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
def unbound(timer: func.TimerRequest, nobody_binds_this: str) -> None:
    """Never run."""
