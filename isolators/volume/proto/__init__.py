"""Messages of the Container Storage Interface; `make proto` compiles them."""
