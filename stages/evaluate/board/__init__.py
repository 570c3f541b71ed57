"""The board: every model that was trained here, and others, judged on the same photos."""
