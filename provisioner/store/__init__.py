"""What is kept on disk between pulls, and the locks that keep it whole."""
