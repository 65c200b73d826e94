"""Script: what an operator declares, and how a YAML file becomes one."""

from engine.script.load import load_script, load_scripts
from engine.script.script import EnvFromPayload, Limits, PluginSettings, Retention, Script

__all__ = ["EnvFromPayload", "Limits", "PluginSettings", "Retention", "Script", "load_script", "load_scripts"]
