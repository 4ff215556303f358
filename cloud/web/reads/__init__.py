"""What the API and the console read from the database: one function a question, one frozen shape an answer."""
