"""The contract between gateways and the cloud: topics, codes, messages, frames, receipts."""
