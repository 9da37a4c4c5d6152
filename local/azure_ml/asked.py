"""What a request may ask for: the values that the service's Swagger knows; all else is refused in its error shape."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from local.azure_ml.errors import invalid, what_is_wrong

LARGEST_INT = 2**31 - 1
DURATION = TypeAdapter(timedelta)
TAGS = TypeAdapter(dict[str, str])


def seconds_of(duration: str) -> float:
    """The length of an ISO 8601 duration such as PT5M."""
    return DURATION.validate_python(duration).total_seconds()


def _iso_duration(text: str) -> str:
    try:
        fits = text.startswith("P") and seconds_of(text) > 0
    except ValidationError:
        fits = False
    if not fits:
        raise ValueError("must be positive and in the form of ISO 8601, such as PT5M")
    return text


def _in_any_case(*known: str) -> BeforeValidator:
    """The service reads its own words in any case and writes them in one."""
    canonical = {word.lower(): word for word in known}
    return BeforeValidator(lambda value: canonical.get(str(value).lower(), value))


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, strict=True)


class Retries(_Part):
    max_retries: int = Field(3, ge=0, le=LARGEST_INT)
    timeout: Annotated[str, AfterValidator(_iso_duration)] = "PT30S"


class Resources(_Part):
    instance_count: int = Field(1, ge=1, le=LARGEST_INT)


class DeploymentSettings(_Part):
    """How a batch deployment scores."""

    error_threshold: int = Field(-1, ge=-1, le=LARGEST_INT)
    retry_settings: Retries = Retries()
    mini_batch_size: int = Field(10, ge=1, le=LARGEST_INT)
    logging_level: Annotated[Literal["Info", "Warning", "Debug"], _in_any_case("Info", "Warning", "Debug")] = "Info"
    max_concurrency_per_instance: int = Field(1, ge=1, le=LARGEST_INT)
    output_action: Annotated[Literal["AppendRow", "SummaryOnly"], _in_any_case("AppendRow", "SummaryOnly")] = (
        "AppendRow"
    )
    resources: Resources = Resources()


class BatchEndpointSettings(_Part):
    auth_mode: Annotated[Literal["AADToken"], _in_any_case("AADToken")] = "AADToken"


class OnlineEndpointSettings(_Part):
    auth_mode: Annotated[Literal["Key", "AMLToken", "AADToken"], _in_any_case("Key", "AMLToken", "AADToken")] = "Key"


def checked[T: BaseModel](kind: type[T], properties: Mapping[str, Any]) -> T:
    """The settings among the properties of a body; what is not said, or null, is as the service has it by default.

    Raises:
        ServiceError: 400 with the field and what it may be.
    """
    try:
        return kind.model_validate(_without_nulls(properties))
    except ValidationError as error:
        raise invalid(f"The request is invalid: {what_is_wrong(error, _below('properties'))}.") from error


def tags_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a body.

    Raises:
        ServiceError: 400, for each of them is a text.
    """
    try:
        return TAGS.validate_python(body.get("tags") or {}, strict=True)
    except ValidationError as error:
        raise invalid(f"The request is invalid: {what_is_wrong(error, _below('tags'))}.") from error


def _below(part: str) -> Callable[[tuple[int | str, ...]], str]:
    return lambda loc: ".".join(map(str, (part, *loc)))


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: _without_nulls(one) for key, one in value.items() if one is not None}
