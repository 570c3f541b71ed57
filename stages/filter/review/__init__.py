"""The review page: shows photos with their verdicts, to keep or reject by hand; only on this machine."""
