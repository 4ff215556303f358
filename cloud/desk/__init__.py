"""Cases and tickets: from a fault with its four codes to a finding. See docs/desk.md."""
