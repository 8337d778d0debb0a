"""What all rooms of the package share: errors, messages, the paper's protocol, checkpoint files."""
