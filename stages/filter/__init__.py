"""What is kept: photos that decode, are large enough, have color to teach, and are there only once."""
