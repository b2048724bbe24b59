"""`mediabroker.toml` and the environment as typed settings.

    store = "sqlite:////var/lib/mediabroker/jobs.db"      # default: the user's data folder

    [providers.local]                                     # the table's name is the instance's name
    type = "local"                                        # default: the same as the name
    max_parallel = 2

    [[routes]]                                            # who runs what, in order; the next one follows a failure
    kinds = ["super_resolution"]
    providers = ["cloud", "local"]

    [staging]                                             # what a provider cannot reach is copied here and back
    s3 = "s3://media/staging/"

    [stores.s3]                                           # of every s3:// object; what the vendor's package understands
    region = "eu-central-1"

    [sources.sqs]                                         # of every sqs:// queue
    region = "eu-central-1"

Environment variables win over the file: `MEDIABROKER_STORE`, `MEDIABROKER_PROVIDERS__LOCAL__MAX_PARALLEL=2`.
The file is the one given, else `$MEDIABROKER_CONFIG`, else `./mediabroker.toml`, else the user's configuration folder;
none is needed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mediabroker.errors import ConfigurationError
from mediabroker.models import Unpicklable, readable
from mediabroker.refs import MediaURI, Scheme, known_schemes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["BrokerSettings", "ProviderSettings", "RouteSettings", "data_folder", "load_settings"]

_FILE_NAME = "mediabroker.toml"


_TRUSTED = re.compile(
    r"ffmpeg|.*(program|command|executable|password|secret|token|credential|api_key|access_key|profile).*"
)
"""Names of settings that start a program or grant access, at any depth below a table. A plug-in whose setting does so
gives it such a name."""


def data_folder() -> Path:
    """Where stores and local jobs lie: `$MEDIABROKER_DATA_DIR`, else the user's data folder of this platform."""
    return Path(os.environ.get("MEDIABROKER_DATA_DIR") or platformdirs.user_data_path("mediabroker")).absolute()


def _default_staging() -> MediaURI:
    return MediaURI(f"{data_folder() / 'staging'}/")


def _default_store() -> str:
    return f"sqlite:///{data_folder() / 'jobs.db'}"


def _staging_place(given: MediaURI) -> MediaURI:
    return MediaURI(str(given).rstrip("/") + "/")


StagingPlace = Annotated[MediaURI, AfterValidator(_staging_place)]
"""A folder, with or without the slash at its end."""


def _known(scheme: Scheme) -> Scheme:
    if scheme not in known_schemes():
        raise ValueError(f"{scheme!r} is no scheme of a media URI here; use {', '.join(known_schemes())}")
    return scheme


KnownScheme = Annotated[Scheme, AfterValidator(_known)]


class ProviderSettings(Unpicklable, BaseModel):
    """One provider instance; what the plug-in itself understands stands beside `type`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    staging: StagingPlace | None = None
    """Where inputs and outputs of this provider are staged, instead of the place that `staging` names."""

    @property
    def own(self) -> Mapping[str, Any]:
        """The plug-in's settings, validated by the plug-in."""
        return dict(self.model_extra or {})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        # Which of the plug-in's settings are secret, only the plug-in knows.
        yield from ((name, value) for name, value in super().__repr_args__() if name in type(self).model_fields)


class RouteSettings(BaseModel):
    """Which providers run the jobs that fit it, in order; the next one follows when an attempt has failed for good.

    What is left empty fits every job. `region` leaves out providers of another region.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    providers: tuple[str, ...] = Field(min_length=1)
    kinds: tuple[str, ...] = ()
    input_schemes: tuple[KnownScheme, ...] = ()
    output_schemes: tuple[KnownScheme, ...] = ()
    region: str | None = None
    max_attempts: int | None = Field(default=None, ge=1, le=100)
    """In all; default: one for each provider. With more, the order begins anew, for failures worth another try."""


class BrokerSettings(Unpicklable, BaseSettings):
    """All that can be configured. Times are seconds."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="MEDIABROKER_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    store: str = Field(default_factory=_default_store, repr=False)  # a URL may hold a password
    providers: dict[str, ProviderSettings] = {"local": ProviderSettings(type="local")}
    routes: tuple[RouteSettings, ...] = ()
    """The first that fits a job decides which providers may run it, and in which order."""
    stores: dict[str, dict[str, Any]] = Field(default={}, repr=False)
    """By URI scheme, what the object store's package understands."""
    staging: dict[Scheme, StagingPlace] = {}
    """By URI scheme, the folder where the broker puts what a provider of that scheme cannot reach by itself."""
    token_key: SecretStr | None = Field(default=None, min_length=32)
    """The secret under which tokens of attempts are made; the same for all hosts that may adopt each other's jobs.
    Without it each store has one of its own."""
    adopt_to: tuple[StagingPlace, ...] = ()
    """The folders to which the output of a job that another store has submitted may be copied; never `file://`."""
    sources: dict[str, dict[str, Any]] = Field(default={}, repr=False)
    """By URL scheme, what the message source's package understands."""
    quarantine_after: int = Field(default=5, ge=1)
    """How often a message that nobody can use is received before it is taken off its queue; a copy is kept here."""
    reconcile_s: float = Field(default=60.0, gt=0)
    """How often a process that consumes events asks for all live jobs, whatever the queues say or do not say."""
    lease_s: float = Field(default=30.0, gt=0)
    """How long a process that stops answering keeps an attempt, or an event, to itself."""
    busy_timeout_s: float = Field(default=10.0, gt=0)
    """How long a writer waits for another process's write lock before `StoreBusyError`."""
    key_retention_days: float = Field(default=30.0, ge=1)
    """How long an idempotency key outlives its job."""

    def staging_place(self, provider: str, schemes: Collection[Scheme]) -> MediaURI | None:
        """Where to stage for that provider instance, in one of these schemes."""
        own = self.providers[provider].staging if provider in self.providers else None
        if own is not None and own.scheme in schemes:
            return own
        places = {"file": _default_staging(), **self.staging}
        return next((places[scheme] for scheme in sorted(schemes) if scheme in places), None)

    def may_adopt_to(self, target: MediaURI) -> bool:
        """Whether a job that this store did not submit may have its output copied there."""
        if target.scheme == "file" or not {".", ".."}.isdisjoint(str(target).split("/")):
            return False
        return any(str(target).startswith(str(folder)) for folder in self.adopt_to)

    @field_validator("adopt_to")
    @classmethod
    def _never_local(cls, folders: tuple[MediaURI, ...]) -> tuple[MediaURI, ...]:
        for folder in folders:
            if folder.scheme == "file":
                raise ValueError(f"{folder}: a job of another store is never delivered to file://; name a bucket")
        return folders

    @field_validator("staging")
    @classmethod
    def _of_its_scheme(cls, places: dict[Scheme, MediaURI]) -> dict[Scheme, MediaURI]:
        for scheme, place in places.items():
            if place.scheme != scheme:
                raise ValueError(f"{scheme}: {place} is no {scheme}:// folder")
        return places

    @model_validator(mode="before")
    @classmethod
    def _type_defaults_to_name(cls, values: Any) -> Any:
        providers = values.get("providers") if isinstance(values, dict) else None
        if isinstance(providers, dict):
            named = {
                name: {"type": name, **table} if isinstance(table, dict) else table for name, table in providers.items()
            }
            return {**values, "providers": named}
        return values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        # What is passed in is the file's content, and the environment wins over the file.
        return env_settings, init_settings


def load_settings(path: Path | str | None = None) -> BrokerSettings:
    """The settings from the configuration file and the environment.

    A file that is found in the working directory may set neither programs nor credentials.

    Raises:
        ConfigurationError: the named file is missing, is not TOML, or holds an unknown or wrong setting; the message
            names each.
    """
    found = _locate(Path(path) if path else None)
    try:
        content = tomllib.loads(found.read_text(encoding="utf-8")) if found else {}
        if found == Path(_FILE_NAME):
            _refuse_untrusted(content)
        return BrokerSettings(**content)
    except ValidationError as error:
        # Chained, it would show all that was given, secrets too, in every traceback.
        raise ConfigurationError(f"{found or 'environment'}: {readable(error, show_values=False)}") from None
    except (OSError, ValueError) as error:  # a TOML error is a ValueError
        raise ConfigurationError(f"{found}: {error}") from error


def _refuse_untrusted(content: Mapping[str, Any], where: str = "") -> None:
    """Refuse programs and credentials in a file that was merely found in the working directory.

    Others may write there: a downloaded archive, a shared folder, a checkout.
    """
    for name, value in content.items():
        at = f"{where}.{name}" if where else name
        is_secret_url = at == "store" and isinstance(value, str) and "@" in value
        if is_secret_url or _TRUSTED.fullmatch(name):
            user = platformdirs.user_config_path("mediabroker") / _FILE_NAME
            raise ConfigurationError(
                f"{_FILE_NAME} of the working directory: {at}: a file that is found there may name no program and no "
                f"credentials; put this setting into {user}, or name the file with --config or MEDIABROKER_CONFIG"
            )
        for number, each in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(each, Mapping):
                _refuse_untrusted(each, f"{at}.{number}" if isinstance(value, list) else at)


def _locate(given: Path | None) -> Path | None:
    named = given or (Path(value) if (value := os.environ.get("MEDIABROKER_CONFIG")) else None)
    if named is not None:
        if not named.is_file():
            raise ConfigurationError(f"configuration file {named} does not exist")
        return named
    usual = (Path(_FILE_NAME), platformdirs.user_config_path("mediabroker") / _FILE_NAME)
    return next((each for each in usual if each.is_file()), None)
