"""Command: `exec` and `shell`, the product's own scripts for operators; off unless a worker's settings say so."""

from __future__ import annotations

EXEC = "exec"
SHELL = "shell"
# They are found by who may run them only: no file and no registration may take their names.
COMMANDS = frozenset({EXEC, SHELL})
# Queues that nobody but workers that run them consume. What is for one worker goes to that worker's own.
QUEUES = {EXEC: "penstock.exec", SHELL: "penstock.shell"}
SCOPE = "command:execute"
# Somebody waits for the answer; whatever takes longer deserves a script of its own.
TIMEOUT_S = 30.0
MOST_TIMEOUT_S = 300.0
# Linux takes no longer single argument (MAX_ARG_STRLEN, 131,072 bytes with its NUL), and UTF-8 has up to four each.
ARGUMENT_CHARS = 32_767
ARGUMENTS = 256
# All of it is kept in the audit.
PAYLOAD_BYTES = 64 * 1024
