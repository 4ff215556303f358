"""What several tests need: real engines, the Debian 13 root, a faulty network."""
