"""What the app has its workers do: every public module here registers tasks, and each worker imports them all."""
