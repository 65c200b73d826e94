"""Config: the settings and scripts of a deployment, read from its folder."""

from worker.config.catalog import Catalog, load_all, load_catalog
from worker.config.secret import Secret
from worker.config.settings import ApiSettings, LogSettings, Settings, WorkerSettings, load_settings

__all__ = [
    "ApiSettings",
    "Catalog",
    "LogSettings",
    "Secret",
    "Settings",
    "WorkerSettings",
    "load_all",
    "load_catalog",
    "load_settings",
]
