"""From invoice lines to invoices: collecting, closing, issuing, exporting."""
