"""Users, products, devices, who has which, and what fault codes mean. See docs/four-codes.md."""
