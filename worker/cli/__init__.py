"""The command `penstock`: one file for each of its commands, imported only when that command is used."""
