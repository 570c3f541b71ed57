"""What is kept: photos that decode, are large enough, have colour to teach, and are there only once."""
