"""What sealing and verifying are made of beside the seal itself."""
