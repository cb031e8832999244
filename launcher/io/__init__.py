"""The supervisor's input and output: what it reads of the task, keeps, logs and passes on."""
