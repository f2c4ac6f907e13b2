"""The configuration: one TOML file plus ``TAPETUM_*`` environment variables, read once and frozen."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as SourcesError

from pipeline.camera_url import UrlPolicy

__all__ = ["OidcGrant", "Settings", "SettingsError", "load_settings"]

Backend = Literal["auto", "onnxruntime", "openvino", "tensorrt"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


# It stands in a header as it is: nothing in it may end there what it is for.
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")


class SettingsError(ValueError):
    """The configuration is wrong; the message names the key."""


def _home(variable: str, fallback: str) -> Path:
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / fallback) / "tapetum"


class OidcGrant(BaseModel):
    """What people with one value of the grant claim may: a role, and cameras by id, or ``*`` for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["viewer", "operator", "admin"]
    cameras: Literal["*"] | tuple[str, ...] = Field(min_length=1)


class Settings(BaseSettings):
    """Everything that can be configured. Names are ``TAPETUM_`` plus the upper-case field name."""

    model_config = SettingsConfigDict(env_prefix="TAPETUM_", frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=lambda: _home("XDG_DATA_HOME", ".local/share"),
        description="Redis persistence (records, accounts, audit log), spool, crops.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: _home("XDG_CACHE_HOME", ".cache"),
        description="Weights, exported models, compiled engines, demo clips. Can be deleted.",
    )
    redis_url: SecretStr | None = Field(
        None, description="redis://, rediss:// or unix://. Unset: an embedded server in data_dir."
    )
    media_url: str | None = Field(
        None, description="fsspec URL for crops, e.g. s3://bucket/tapetum. Unset: data_dir/media."
    )
    encryption_keys: tuple[SecretStr, ...] = Field(
        (), description="Keys for vectors and pictures at rest, base64 of 32 bytes; the first encrypts, all decrypt."
    )
    encryption_key_file: Path | None = Field(None, description="The same from a file, a key a line.")
    host: str = "127.0.0.1"
    port: int = Field(8420, ge=1, le=65535)
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto are believed."
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins of other pages that may call the API with a token, e.g. https://wall.example."
    )
    rate_limit_per_minute: int | None = Field(
        3000, ge=1, description="Requests of an account's sessions, or of an API token; null: without limit."
    )
    photo_limit_per_minute: int | None = Field(60, ge=1, description="The same for uploaded photos.")
    metrics_token: SecretStr | None = Field(None, description="Bearer token that may read /metrics.")
    oidc_issuer: str | None = Field(None, description="OpenID Connect provider. Unset: people log in with passwords.")
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = Field(None, description="Unset: a public client, with PKCE alone.")
    oidc_redirect_url: str | None = Field(
        None, description="https://HOST/login/oidc/callback, exactly as the provider knows it."
    )
    oidc_scopes: tuple[str, ...] = ("openid", "profile", "email")
    oidc_account_claim: str = Field("preferred_username", description="Claim of the ID token that names a new account.")
    oidc_grant_claim: str = Field("groups", description="Claim whose values grants are for; dots lead into objects.")
    oidc_grants: dict[str, OidcGrant] = Field(
        {}, description='{"cctv": {"role": "operator", "cameras": "*"}}: the first that matches counts; none, no login.'
    )
    local_login: bool = Field(True, description="Passwords; false leaves the provider as the only login.")
    session_hours: float = Field(12.0, gt=0, le=24 * 30)
    retention_days: float | None = Field(
        30.0, gt=0, le=36500, description="Sightings are removed when they are so old. Cameras may differ; null keeps."
    )
    scenes: bool = Field(True, description="A sighting keeps the whole picture of its best moment, with bystanders.")
    scene_px: int = Field(640, ge=160, le=1920, description="Longer side of such a picture, and of clips.")
    clip_s: float = Field(
        10.0, ge=0, le=20, description="Longest clip around that moment; 0 keeps none, nor does scenes=false."
    )
    max_speed_mps: float = Field(
        8.0, gt=0, le=400, description="Nobody gets from one camera to another faster; what would be is flagged."
    )
    camera_view_m: float = Field(25.0, ge=0, le=1000, description="How far from a camera it may see a person.")
    clock_slack_s: float = Field(3.0, ge=0, le=600, description="By how much the clocks of two cameras may differ.")
    map_tiles: str | None = Field(
        None,
        description="Tile server for maps, e.g. https://tiles.example/{z}/{x}/{y}.png. Browsers then tell it which "
        "places they look at. Unset: maps are empty but for their scale, and nobody is asked.",
    )
    map_attribution: str = Field("", max_length=200, description="Whose the tiles are, shown on the map.")
    export_days: float = Field(7.0, gt=0, le=366, description="Exports of cases are removed when they are so old.")
    search_days: float = Field(7.0, gt=0, le=365, description="Kept searches go so long after their last answer.")
    search_reason_required: bool = Field(False, description="A search must say why; the reason goes to the audit log.")

    two_person_confirmation: bool = Field(
        False, description="A sighting is confirmed, and subjects are merged, when a second account says so too."
    )

    detector: str = Field("yolov7", description="yolov7, yolov7-tiny, or any file or name that Ultralytics loads.")
    detector_confidence: float = Field(0.4, gt=0, lt=1)
    detector_size_px: int = Field(
        640, ge=160, le=1920, multiple_of=32, description="Longer side of the detector's input."
    )
    live_detector_size_px: int = Field(
        416,
        ge=160,
        le=1920,
        description="The same for live cameras on a CPU: smaller, so that more are seen more often.",
    )
    checkpoint: Path | None = Field(None, description="Re-identification checkpoint. Unset: the one that ships.")
    backend: Backend = "auto"
    precision: Precision = "auto"
    threads: int | None = Field(
        None, ge=1, le=256, description="Cores for the detector on a CPU. Unset: all this process may use."
    )

    camera_allow_private: bool = Field(
        True, description="Cameras on private networks (10/8, 172.16/12, 192.168/16, fc00::/7)."
    )
    camera_allow_loopback: bool = Field(False, description="Cameras on this machine; the demo needs it.")
    camera_file_roots: tuple[Path, ...] = Field((), description="Folders whose video files may be used as cameras.")
    webhook_allow_private: bool = Field(
        False, description="Webhooks may go to private networks, also without TLS. Public ones want https."
    )
    webhook_allow_loopback: bool = Field(False, description="Webhooks may go to this machine, also without TLS.")
    max_upload_bytes: int = Field(20 * 2**20, ge=1024)
    max_photo_pixels: int = Field(50_000_000, ge=10_000)
    log_json: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for one in origins:
            parts = urlsplit(one)
            if parts.scheme not in ("http", "https") or not parts.netloc or one != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"expected scheme://host or scheme://host:port, got {one!r}")
        return origins

    @field_validator("map_tiles")
    @classmethod
    def _tile_address(cls, address: str | None) -> str | None:
        if address is None:
            return None
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc}"
        if not _ORIGIN.fullmatch(origin) or not all(part in parts.path for part in ("{z}", "{x}", "{y}")):
            raise ValueError("expected http(s)://host/ with {z}, {x} and {y} in its path")
        return address

    @property
    def map_origin(self) -> str | None:
        """Where tiles come from, for the policy that browsers are given."""
        if self.map_tiles is None:
            return None
        parts = urlsplit(self.map_tiles)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def url_policy(self) -> UrlPolicy:
        """Which camera addresses are allowed, for every way in."""
        return UrlPolicy(
            allow_private=self.camera_allow_private,
            allow_loopback=self.camera_allow_loopback,
            file_roots=self.camera_file_roots,
        )

    @property
    def media_base(self) -> str:
        return self.media_url or (self.data_dir / "media").as_uri()

    @property
    def exports_dir(self) -> Path:
        """Of exported cases, which several API processes share."""
        return self.data_dir / "exports"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        file = os.environ.get("TAPETUM_CONFIG")
        if file:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        return tuple(sources)


def load_settings(**overrides: Any) -> Settings:
    """Read the configuration; ``TAPETUM_CONFIG`` names the TOML file. Raises SettingsError naming the key."""
    file = os.environ.get("TAPETUM_CONFIG")
    if file and not Path(file).is_file():
        raise SettingsError(f"TAPETUM_CONFIG: no file at {file}")
    try:
        return Settings(**overrides)
    except SourcesError as error:  # a value that is not the JSON its type wants
        raise SettingsError(f"configuration: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"TAPETUM_CONFIG: {file} is not TOML: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)]
        raise SettingsError("configuration: " + "; ".join(lines)) from None
