"""What every service stands on; nothing here knows what the shop sells."""
