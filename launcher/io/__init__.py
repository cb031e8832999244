"""The input and output of tasks that are served: what is read of them, kept, logged and passed on."""
