"""What one customer has agreed otherwise with an agent."""
