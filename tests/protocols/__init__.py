"""Tests of the contract between gateways and the cloud."""
