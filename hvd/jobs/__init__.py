"""Jobs: declared by operators, submitted over HTTP, kept in a database, run by a companion as subprocesses."""
