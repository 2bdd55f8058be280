"""What happens after a delivery: the PACS commits, and shows that it keeps what it got."""
