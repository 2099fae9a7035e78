"""The JSON API: what the command line says with `--json`, over HTTP."""
