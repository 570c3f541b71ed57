"""The review page: look at photos with their verdicts, keep or reject by hand; runs on this machine only."""
