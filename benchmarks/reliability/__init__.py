"""What takes minutes to show: that the server stays up, and stays small."""
