"""Script: what an operator declares, and how a YAML file becomes one."""

from engine.script.load import load_script, load_scripts
from engine.script.script import EnvFromPayload, Limits, PluginSettings, Script

__all__ = ["EnvFromPayload", "Limits", "PluginSettings", "Script", "load_script", "load_scripts"]
