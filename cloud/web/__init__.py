"""The face of the cloud: the HTTP API, its event stream, metrics, and the console for people."""
