"""What is done to an invoice: issued, paid, voided, credited."""
