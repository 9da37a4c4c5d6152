"""Local stack, Functions host: the message types the engine is given in place of its protobuf module.

The engine builds and reads these by attribute only, so plain namespaces carry the same facts
(azure-functions-host, `FunctionRpc.proto`).
"""

from enum import IntEnum
from types import SimpleNamespace


class TypedData(SimpleNamespace):
    """A value of exactly one kind (string, bytes, json, http, int, double), or of none when unset."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802  # protobuf's own spelling
        return next(iter(vars(self)), None)


class ParameterBinding(SimpleNamespace):
    def WhichOneof(self, _group: str) -> str:  # noqa: N802  # protobuf's own spelling
        return "data"


class BindingInfo(SimpleNamespace):
    undefined = 0
    out = 1
    inout = 2


class StatusResult(SimpleNamespace):
    Failure = 0
    Success = 1


class RpcHttpCookie(SimpleNamespace):
    SameSite = IntEnum("SameSite", {"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


class RpcHttp(SimpleNamespace): ...


class RpcException(SimpleNamespace): ...


class RpcFunctionMetadata(SimpleNamespace): ...


class RpcRetryOptions(SimpleNamespace): ...


class WorkerMetadata(SimpleNamespace): ...


class WorkerInitResponse(SimpleNamespace): ...


class FunctionMetadataResponse(SimpleNamespace): ...


class InvocationResponse(SimpleNamespace): ...


class NullableString(SimpleNamespace): ...


class NullableBool(SimpleNamespace): ...


class NullableDouble(SimpleNamespace): ...


class NullableTimestamp(SimpleNamespace): ...


class Timestamp(SimpleNamespace): ...
